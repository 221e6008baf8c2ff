#include "relay/acct/call_record_writer.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "relay/acct/append_file.h"
#include "relay/base/log.h"
#include "relay/base/process.h"
#include "relay/base/spsc_ring.h"

namespace relay {
namespace {

// Room for all sessions of two addresses' ports ending at once, or some seconds of a disk that does
// not answer.
constexpr size_t kWaitingMax = 32768;
constexpr auto kPatienceStep = std::chrono::milliseconds(5);

bool may_pass(int error_number) {
  return error_number == ENOSPC || error_number == EROFS || error_number == EDQUOT ||
         error_number == EIO;
}

Result<std::optional<AppendFile>> open_file(const std::string& path, std::string header) {
  if (path.empty()) return std::nullopt;
  AppendFile file(path, std::move(header));
  if (auto opened = file.open(); !opened) {
    if (!may_pass(file.open_error()))
      return tl::unexpected(with_context("call records", opened.error()));
    log_warning("call records will be lost until it is put right: {}", opened.error().message);
  }
  return file;
}

}  // namespace

// Outlives its owner if the disk does not come back.
class CallRecordWriter::Job {
 public:
  Job(std::optional<AppendFile> csv, std::optional<AppendFile> json, RecordOrigin origin,
      std::shared_ptr<AcctCounters> counters)
      : csv_(std::move(csv)),
        json_(std::move(json)),
        origin_(std::move(origin)),
        counters_(std::move(counters)) {}

  // Control thread.
  void post(std::unique_ptr<CallRecord> record) {
    if (!waiting_.push(std::move(record))) {
      counters_->records_overrun.add();
      return;
    }
    wake();
  }
  void stop() {
    stopping_.store(true, std::memory_order_release);
    wake();
  }
  // The rest is lost, and nothing said of it.
  void give_up() { given_up_.store(true, std::memory_order_release); }
  bool done() const { return done_.load(std::memory_order_acquire); }
  uint64_t handled() const { return handled_.get(); }

  // The thread.
  void run() {
    enter_background_thread("relay/records");
    for (;;) {
      const uint32_t seen = posts_.load(std::memory_order_acquire);
      const bool last_round = stopping_.load(std::memory_order_acquire);
      std::unique_ptr<CallRecord> record;
      while (!given_up() && waiting_.pop(record)) write(*record);
      if (last_round || given_up()) break;
      posts_.wait(seen, std::memory_order_acquire);
    }
    done_.store(true, std::memory_order_release);
  }

 private:
  void wake() {
    posts_.fetch_add(1, std::memory_order_release);
    posts_.notify_one();
  }
  bool given_up() const { return given_up_.load(std::memory_order_acquire); }
  void write(const CallRecord& record) {
    if (csv_) append(*csv_, csv_row(record, origin_));
    if (json_) append(*json_, json_line(record, origin_));
    handled_.add();
  }
  void append(AppendFile& file, const std::string& row) {
    const auto appended = file.append(row);
    if (appended) {
      counters_->records_written.add();
      return;
    }
    counters_->records_failed.add();
    if (!given_up()) failures_.warning("call record lost: {}", appended.error().message);
  }

  std::optional<AppendFile> csv_, json_;
  const RecordOrigin origin_;
  const std::shared_ptr<AcctCounters> counters_;
  SpscRing<std::unique_ptr<CallRecord>> waiting_{kWaitingMax};
  std::atomic<uint32_t> posts_{0};
  std::atomic<bool> stopping_{false}, given_up_{false}, done_{false};
  Counter handled_;
  LogLimit failures_{2};
};

Result<std::unique_ptr<CallRecordWriter>> CallRecordWriter::start(
    const CallRecordWriterOptions& options, std::shared_ptr<AcctCounters> counters) {
  auto csv = open_file(options.csv_file, csv_header());
  if (!csv) return tl::unexpected(csv.error());
  auto json = open_file(options.json_file, "");
  if (!json) return tl::unexpected(json.error());
  auto job =
      std::make_shared<Job>(std::move(*csv), std::move(*json), options.origin, std::move(counters));
  try {
    std::thread thread([job] { job->run(); });
    return std::unique_ptr<CallRecordWriter>(
        new CallRecordWriter(std::move(job), std::move(thread)));
  } catch (const std::system_error& error) {
    return fail(std::string("cannot start the thread for call records: ") + error.what());
  }
}

CallRecordWriter::~CallRecordWriter() {
  job_->stop();
  if (!wait(kPatience)) {
    log_error("call records are lost: the disk is too slow");
    job_->give_up();
    wait(kPatienceStep * 20);
  }
  if (job_->done()) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

// For the thread's end. False: it has done nothing for that long.
bool CallRecordWriter::wait(Duration patience) const {
  const Instant end = steady_now() + kPatienceAtMost;
  uint64_t handled = job_->handled();
  Instant give_up = steady_now() + patience;
  while (!job_->done() && steady_now() < std::min(give_up, end)) {
    std::this_thread::sleep_for(kPatienceStep);
    if (job_->handled() == handled) continue;
    handled = job_->handled();
    give_up = steady_now() + patience;
  }
  return job_->done();
}

void CallRecordWriter::write(CallRecord&& record) {
  job_->post(std::make_unique<CallRecord>(std::move(record)));
}

}  // namespace relay
