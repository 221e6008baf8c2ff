// Sends the parties' RTCP reports to collectors, in a thread of its own.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "relay/acct/counters.h"
#include "relay/acct/hep_collector.h"
#include "relay/acct/hep_tap.h"
#include "relay/base/result.h"

namespace relay {

class HepExporter {
 public:
  // `worker_threads`: how many threads call the taps.
  static Result<std::unique_ptr<HepExporter>> start(
      const std::vector<HepCollectorSettings>& collectors, size_t worker_threads,
      std::shared_ptr<AcctCounters> counters);
  // Sends what waits, for as long as collectors take it at once.
  ~HepExporter();

  // For a leg of that call; it may outlive the exporter. Control thread.
  std::unique_ptr<Tap> tap(std::shared_ptr<const std::string> call_id) const {
    return std::make_unique<HepTap>(queue_, std::move(call_id));
  }

 private:
  HepExporter(const std::vector<HepCollectorSettings>& collectors, size_t worker_threads,
              std::shared_ptr<AcctCounters> counters);
  void run();
  void round();
  size_t waiting() const;
  void report(const CapturedRtcp& captured);

  const std::shared_ptr<AcctCounters> counters_;
  const std::shared_ptr<RtcpQueue> queue_;
  std::vector<std::unique_ptr<HepCollector>> collectors_;
  uint64_t overrun_counted_ = 0;
  Duration wall_offset_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace relay
