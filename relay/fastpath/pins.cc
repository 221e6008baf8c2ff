#include "relay/fastpath/pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "relay/fastpath/abi.h"

namespace relay {
namespace {

bool is_plain_name(const std::string& name) {
  // bpffs takes no dots.
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

struct MapShape {
  uint32_t type, key_bytes, value_bytes;
};

MapShape shape_of(BpfMap map) {
  switch (map) {
    case BpfMap::flows:
      return {BPF_MAP_TYPE_HASH, sizeof(FastpathKey), sizeof(FastpathFlow)};
    case BpfMap::stats:
      return {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(KernelFlowStats)};
    case BpfMap::streams:
      return {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(FastpathStream)};
    case BpfMap::config:
      break;
  }
  return {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(FastpathConfig)};
}

bool fits(int fd, BpfMap map) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  const MapShape shape = shape_of(map);
  return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == shape.type &&
         info.key_size == shape.key_bytes && info.value_size == shape.value_bytes;
}

// The layout that the pinned configuration names; nothing: not written by this program.
std::optional<uint32_t> layout_of(int config) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(config, &info, &size) != 0) return std::nullopt;
  constexpr size_t head = offsetof(FastpathConfig, layout) + sizeof(uint32_t);
  if (info.type != BPF_MAP_TYPE_ARRAY || info.key_size != 4 || info.value_size < head) {
    return std::nullopt;
  }
  std::vector<std::byte> value(info.value_size);
  const uint32_t only = 0;
  if (bpf_map_lookup_elem(config, &only, value.data()) != 0) return std::nullopt;
  FastpathConfig known{};
  std::memcpy(&known, value.data(), head);
  if (known.magic != kFastpathMagic) return std::nullopt;
  return known.layout;
}

}  // namespace

Result<Pins> Pins::open(const std::string& bpffs, const std::string& instance) {
  if (!is_plain_name(instance)) {
    return fail("instance \"" + instance + "\": only letters, digits, - and _ can be in its name");
  }
  struct statfs file_system {};
  if (::statfs(bpffs.c_str(), &file_system) != 0 ||
      static_cast<uint64_t>(file_system.f_type) != BPF_FS_MAGIC) {
    return fail(bpffs + " is not a bpf file system; mount it with: mount -t bpf bpf " + bpffs);
  }
  const std::string folder = bpffs + "/" + instance;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno("cannot make the folder " + folder);
  }
  UniqueFd lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return fail_errno("cannot open the folder " + folder);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return fail("another process holds " + folder +
                  "; give each relay on this host an instance name of its own");
    }
    return fail_errno("cannot lock the folder " + folder);
  }
  return Pins(folder, std::move(lock));
}

std::string Pins::map_path(BpfMap map) const {
  return folder_ + "/" + to_string(map);
}

std::string Pins::link_path(uint32_t ifindex) const {
  return folder_ + "/link-" + std::to_string(ifindex);
}

Result<std::optional<BpfMapFds>> Pins::adopt() {
  BpfMapFds maps;
  bool complete = true, fitting = true;
  for (const BpfMap map : kBpfMaps) {
    UniqueFd& fd = maps[static_cast<size_t>(map)];
    fd = UniqueFd(bpf_obj_get(map_path(map).c_str()));
    if (!fd && errno != ENOENT) return fail_errno("cannot open " + map_path(map));
    complete = complete && fd.valid();
    fitting = fitting && fd.valid() && fits(fd.get(), map);
  }
  const UniqueFd& config = maps[static_cast<size_t>(BpfMap::config)];
  if (!config) {
    // It is pinned last: whoever began to pin here did not get far.
    remove_contents();
    return std::optional<BpfMapFds>();
  }
  const auto layout = layout_of(config.get());
  if (!layout) {
    return fail(map_path(BpfMap::config) +
                " was not made by this program; remove it or choose another instance name");
  }
  if (*layout != kFastpathLayout || !complete || !fitting) {
    remove_contents();
    return std::optional<BpfMapFds>();
  }
  return std::optional<BpfMapFds>(std::move(maps));
}

Result<void> Pins::pin_maps(const BpfProgram& program) {
  for (const BpfMap map : kBpfMaps) {
    if (bpf_obj_pin(program.map_fd(map), map_path(map).c_str()) != 0) {
      return fail_errno("cannot pin " + map_path(map));
    }
  }
  return {};
}

void Pins::remove_contents() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(folder_.c_str()), ::closedir);
  if (!folder) return;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  for (const std::string& name : names) ::unlink((folder_ + "/" + name).c_str());
}

void Pins::remove_all() {
  remove_contents();
  ::rmdir(folder_.c_str());
}

}  // namespace relay
