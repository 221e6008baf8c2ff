// The kernel program and its maps, loaded. Control thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

struct relay_bpf;
struct FastpathConfig;  // abi.h

namespace relay {

enum class BpfMap : uint8_t { flows, stats, streams, config };
inline constexpr std::array kBpfMaps{BpfMap::flows, BpfMap::stats, BpfMap::streams, BpfMap::config};
const char* to_string(BpfMap map);

using BpfMapFds = std::array<UniqueFd, kBpfMaps.size()>;  // by BpfMap

// What the program did with a frame it was shown; nothing is sent.
struct BpfTestRun {
  int verdict = 0;  // of tc: -1 next, 2 drop, 7 redirect
  std::vector<std::byte> frame;
  uint32_t duration_ns = 0;  // of one run, on average
};

class BpfProgram {
 public:
  // Loads with new maps, or with those of `adopted`. The error says what would help.
  static Result<BpfProgram> load(uint32_t flows_max, const BpfMapFds* adopted);
  BpfProgram(BpfProgram&&) noexcept;
  BpfProgram& operator=(BpfProgram&&) noexcept;
  ~BpfProgram();

  int fd() const;
  int map_fd(BpfMap map) const;
  uint32_t flows_max() const { return flows_max_; }

  Result<FastpathConfig> read_config() const;
  Result<void> write_config(const FastpathConfig& config);

  // `frame` starts with an Ethernet header of at least 14 bytes. It arrives on `ifindex`.
  Result<BpfTestRun> test_run(std::span<const std::byte> frame, uint32_t ifindex = 1,
                              uint32_t mark = 0, uint32_t repeat = 1) const;

 private:
  BpfProgram(relay_bpf* skeleton, uint32_t flows_max);
  relay_bpf* skeleton_ = nullptr;
  uint32_t flows_max_ = 0;
};

}  // namespace relay
