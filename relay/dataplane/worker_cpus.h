// Where a realtime worker runs: not on the CPU on which most of its packets come in. The kernel
// wakes a realtime thread where it ran last, even if another CPU is idle (select_task_rq_rt(),
// Linux 6.18); there it would take the CPU from the sender at each packet, where that is on this
// machine, and from ksoftirqd, which brings the packets, where it is not. Worker thread.
#pragma once

#include <sched.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace relay {

inline constexpr int kNoCpu = -1;

class IncomingCpus {
 public:
  static constexpr uint32_t kSamples = 64;

  // After each kSamples: the CPU of more than half of them, or kNoCpu. Samples of other CPUs than 0
  // to 1023 count for none.
  std::optional<int> add(int cpu) {
    if (cpu >= 0 && static_cast<size_t>(cpu) < seen_.size()) ++seen_[static_cast<size_t>(cpu)];
    if (++samples_ < kSamples) return std::nullopt;
    int most = kNoCpu;
    for (size_t i = 0; i < seen_.size(); ++i) {
      if (seen_[i] > kSamples / 2) most = static_cast<int>(i);
    }
    seen_ = {};
    samples_ = 0;
    return most;
  }

 private:
  std::array<uint8_t, CPU_SETSIZE> seen_{};
  uint32_t samples_ = 0;
};

class WorkerCpus {
 public:
  // For a packet by a connected socket: of others the kernel does not keep the CPU.
  void packet_came_by(int socket);

 private:
  void keep_off(int cpu);

  uint32_t until_sample_ = 0;
  IncomingCpus incoming_;
  int kept_off_ = kNoCpu;
  cpu_set_t allowed_{}, chosen_{};
};

}  // namespace relay
