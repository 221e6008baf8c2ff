// Which worker a new call goes to: the first that still has room. A worker that is awake anyway
// relays the next packet without being woken, so a few busy workers cost less than many that are
// nearly idle: 400 calls on two CPUs a quarter less than spread over two (bench/README.md). Others
// join as the first ones fill.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace relay {

struct WorkerLoad {
  uint32_t groups = 0;
  double busy = 0;  // share of a CPU, when it was last measured
};

// Far from where packets queue: at 0.5 those of half the other calls may be before one.
constexpr double kFullWorker = 0.5;
// Of a call, until it is seen to take more: 100 packets a second of 10 us.
constexpr double kShareOfGroup = 0.001;

// `workers`: at least one.
inline uint32_t choose_worker(std::span<const WorkerLoad> workers,
                              double share_of_group = kShareOfGroup) {
  const auto share = [&](const WorkerLoad& worker) {
    return std::max(worker.busy, worker.groups * share_of_group);
  };
  const auto has_room = [&](const WorkerLoad& worker) { return share(worker) < kFullWorker; };
  auto chosen = std::ranges::find_if(workers, has_room);
  if (chosen == workers.end()) chosen = std::ranges::min_element(workers, {}, share);
  return static_cast<uint32_t>(chosen - workers.begin());
}

}  // namespace relay
