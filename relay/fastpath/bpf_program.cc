#include "relay/fastpath/bpf_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "relay.skel.h"
#include "relay/fastpath/abi.h"

namespace relay {
namespace {

// What libbpf last complained of while this thread loads; shown with the error.
thread_local std::string* complaint = nullptr;

__attribute__((format(printf, 2, 0))) int keep_complaint(libbpf_print_level level,
                                                         const char* format, va_list arguments) {
  if (level != LIBBPF_WARN || complaint == nullptr) return 0;
  std::array<char, 512> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  std::string text(line.data());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  // The verifier's log has many lines; the first complaint names the cause.
  if (complaint->empty()) *complaint = text.substr(0, text.find('\n'));
  return 0;
}

Error load_error(int error, const std::string& detail) {
  std::string message = "cannot load the kernel program: " + std::string(std::strerror(error));
  if (!detail.empty()) message += " (" + detail + ")";
  if (error == EPERM || error == EACCES) {
    message += "; it needs the capabilities CAP_BPF and CAP_NET_ADMIN";
  } else if (error == ENOSYS || error == EINVAL) {
    message += "; it needs Linux 5.15 or later with CONFIG_BPF_SYSCALL";
  }
  return Error{message};
}

bpf_map* find(relay_bpf* skeleton, BpfMap map) {
  switch (map) {
    case BpfMap::flows:
      return skeleton->maps.relay_flows;
    case BpfMap::stats:
      return skeleton->maps.relay_stats;
    case BpfMap::streams:
      return skeleton->maps.relay_streams;
    case BpfMap::config:
      return skeleton->maps.relay_config;
  }
  return nullptr;
}

int prepare(relay_bpf* skeleton, uint32_t flows_max, const BpfMapFds* adopted) {
  for (const BpfMap map : kBpfMaps) {
    int error = 0;
    if (adopted != nullptr) {
      error = bpf_map__reuse_fd(find(skeleton, map), (*adopted)[static_cast<size_t>(map)].get());
    } else if (map != BpfMap::config) {
      error = bpf_map__set_max_entries(find(skeleton, map), flows_max);
    }
    if (error != 0) return error;
  }
  return relay_bpf__load(skeleton);
}

}  // namespace

const char* to_string(BpfMap map) {
  switch (map) {
    case BpfMap::flows:
      return "flows";
    case BpfMap::stats:
      return "stats";
    case BpfMap::streams:
      return "streams";
    case BpfMap::config:
      return "config";
  }
  return "?";
}

Result<BpfProgram> BpfProgram::load(uint32_t flows_max, const BpfMapFds* adopted) {
  std::string detail;
  complaint = &detail;
  libbpf_set_print(keep_complaint);
  relay_bpf* skeleton = relay_bpf__open();
  const int error = skeleton == nullptr ? -errno : prepare(skeleton, flows_max, adopted);
  complaint = nullptr;
  if (error != 0) {
    relay_bpf__destroy(skeleton);
    return tl::unexpected<Error>(load_error(-error, detail));
  }
  return BpfProgram(skeleton, bpf_map__max_entries(skeleton->maps.relay_flows));
}

BpfProgram::BpfProgram(relay_bpf* skeleton, uint32_t flows_max)
    : skeleton_(skeleton), flows_max_(flows_max) {}

BpfProgram::BpfProgram(BpfProgram&& other) noexcept
    : skeleton_(std::exchange(other.skeleton_, nullptr)), flows_max_(other.flows_max_) {}

BpfProgram& BpfProgram::operator=(BpfProgram&& other) noexcept {
  std::swap(skeleton_, other.skeleton_);
  flows_max_ = other.flows_max_;
  return *this;
}

BpfProgram::~BpfProgram() {
  relay_bpf__destroy(skeleton_);
}

int BpfProgram::fd() const {
  return bpf_program__fd(skeleton_->progs.rtpp_relay);
}

int BpfProgram::map_fd(BpfMap map) const {
  return bpf_map__fd(find(skeleton_, map));
}

Result<FastpathConfig> BpfProgram::read_config() const {
  FastpathConfig config{};
  const uint32_t only = 0;
  if (bpf_map_lookup_elem(map_fd(BpfMap::config), &only, &config) != 0) {
    return fail_errno("cannot read the kernel program's settings");
  }
  return config;
}

Result<void> BpfProgram::write_config(const FastpathConfig& config) {
  const uint32_t only = 0;
  if (bpf_map_update_elem(map_fd(BpfMap::config), &only, &config, BPF_ANY) != 0) {
    return fail_errno("cannot write the kernel program's settings");
  }
  return {};
}

Result<BpfTestRun> BpfProgram::test_run(std::span<const std::byte> frame, uint32_t ifindex,
                                        uint32_t mark, uint32_t repeat) const {
  __sk_buff context{};
  context.ifindex = ifindex;
  context.mark = mark;
  BpfTestRun run;
  run.frame.resize(frame.size() + 256);
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<uint32_t>(frame.size());
  options.data_out = run.frame.data();
  options.data_size_out = static_cast<uint32_t>(run.frame.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  options.repeat = static_cast<int>(repeat);
  if (bpf_prog_test_run_opts(fd(), &options) != 0) {
    return fail_errno("cannot run the kernel program on a frame of " +
                      std::to_string(frame.size()) + " bytes");
  }
  run.frame.resize(options.data_size_out);
  run.verdict = static_cast<int>(options.retval);
  run.duration_ns = options.duration;
  return run;
}

}  // namespace relay
