// Runs the cases in a network namespace of their own; without the privileges for that, or for
// bpf(2), it says so and ends with 77, which ctest shows as skipped.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "relay/base/unique_fd.h"

namespace {

constexpr int kSkipped = 77;

int skip(const char* what) {
  std::fprintf(stderr, "SKIPPED: the fast path cannot be tested here: %s: %s\n", what,
               std::strerror(errno));
  return kSkipped;
}

bool bring_up_loopback() {
  const relay::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP;
  return socket && ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

// Some machines do not mount it; then we do, for ourselves.
bool have_bpffs() {
  struct statfs status {};
  if (::statfs("/sys/fs/bpf", &status) == 0 && status.f_type == BPF_FS_MAGIC) return true;
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr) == 0;
}

bool may_use_bpf() {
  bpf_attr attribute{};
  attribute.map_type = BPF_MAP_TYPE_ARRAY;
  attribute.key_size = attribute.value_size = 4;
  attribute.max_entries = 1;
  const relay::UniqueFd map(
      static_cast<int>(::syscall(__NR_bpf, BPF_MAP_CREATE, &attribute, sizeof attribute)));
  return map.valid();
}

}  // namespace

int main(int argc, char** argv) {
  if (::unshare(CLONE_NEWNET) != 0) return skip("unshare(CLONE_NEWNET)");
  if (!bring_up_loopback()) return skip("bringing lo up");
  if (!may_use_bpf()) return skip("bpf(BPF_MAP_CREATE)");
  if (!have_bpffs()) return skip("mount -t bpf bpf /sys/fs/bpf");
  return doctest::Context(argc, argv).run();
}
