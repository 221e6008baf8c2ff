#include "relay/acct/hep_exporter.h"

#include <system_error>
#include <utility>

#include "relay/acct/call_record.h"
#include "relay/acct/hep_packet.h"
#include "relay/acct/rtcp_json.h"
#include "relay/base/process.h"

namespace relay {
namespace {

constexpr auto kRoundEvery = std::chrono::milliseconds(50);
// At the end, for streams.
constexpr int kLastRoundsMax = 20;

}  // namespace

HepExporter::HepExporter(const std::vector<HepCollectorSettings>& collectors, size_t worker_threads,
                         std::shared_ptr<AcctCounters> counters)
    : counters_(std::move(counters)), queue_(std::make_shared<RtcpQueue>(worker_threads)) {
  for (const HepCollectorSettings& settings : collectors) {
    collectors_.push_back(std::make_unique<HepCollector>(settings));
  }
}

Result<std::unique_ptr<HepExporter>> HepExporter::start(
    const std::vector<HepCollectorSettings>& collectors, size_t worker_threads,
    std::shared_ptr<AcctCounters> counters) {
  std::unique_ptr<HepExporter> exporter(
      new HepExporter(collectors, worker_threads, std::move(counters)));
  try {
    exporter->thread_ = std::thread([e = exporter.get()] { e->run(); });
  } catch (const std::system_error& error) {
    return fail(std::string("cannot start the thread for HEP: ") + error.what());
  }
  return exporter;
}

HepExporter::~HepExporter() {
  stopping_.store(true, std::memory_order_release);
  if (thread_.joinable()) thread_.join();
}

// A round and not a signal from the workers: they have nothing to do with it but the copy.
void HepExporter::run() {
  enter_background_thread("relay/hep");
  for (int last_rounds = 0; last_rounds < kLastRoundsMax;) {
    if (stopping_.load(std::memory_order_acquire)) ++last_rounds;
    round();
    if (last_rounds > 0 && waiting() == 0) return;
    std::this_thread::sleep_for(kRoundEvery);
  }
  counters_->reports_failed.add(waiting());
}

size_t HepExporter::waiting() const {
  size_t sum = 0;
  for (const auto& collector : collectors_) sum += collector->waiting();
  return sum;
}

void HepExporter::round() {
  wall_offset_ = wall_offset_now();
  CapturedRtcp captured;
  while (queue_->take(captured)) report(captured);
  const uint64_t overrun = queue_->overrun();
  counters_->reports_overrun.add(overrun - overrun_counted_);
  overrun_counted_ = overrun;
  for (const auto& collector : collectors_) collector->advance(steady_now());
}

void HepExporter::report(const CapturedRtcp& captured) {
  const std::string payload = rtcp_json(captured.bytes());
  if (payload.empty()) return;
  HepReport report;
  report.source = captured.source;
  report.destination = captured.local;
  report.since_1970 = captured.arrival.time_since_epoch() + wall_offset_;
  report.call_id = *captured.call_id;
  report.payload = payload;
  for (const auto& collector : collectors_) {
    report.capture_id = collector->settings().capture_id;
    std::string packet = hep_packet(report);
    const bool sent = !packet.empty() && collector->send(std::move(packet), steady_now());
    (sent ? counters_->reports_sent : counters_->reports_failed).add();
  }
}

}  // namespace relay
