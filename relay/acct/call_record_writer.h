// Appends call records to files in a thread of its own, so that a slow or full disk is the
// records' problem only.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "relay/acct/call_record.h"
#include "relay/acct/counters.h"
#include "relay/acct/record_text.h"
#include "relay/base/result.h"

namespace relay {

struct CallRecordWriterOptions {
  std::string csv_file, json_file;  // empty: none
  RecordOrigin origin;
};

class CallRecordWriter {
 public:
  // Opens the files. A file that cannot be opened for a reason that may pass (a full or read-only
  // disk) is a warning, and tried again with each record. The thread adds to `counters`, which it
  // shares.
  static Result<std::unique_ptr<CallRecordWriter>> start(const CallRecordWriterOptions& options,
                                                         std::shared_ptr<AcctCounters> counters);
  // Writes what is waiting: until nothing has been written for kPatience, and not for longer than
  // kPatienceAtMost.
  ~CallRecordWriter();

  // Never waits. Control thread.
  void write(CallRecord&& record);

  static constexpr Duration kPatience = std::chrono::seconds(3);
  static constexpr Duration kPatienceAtMost = std::chrono::seconds(30);

 private:
  class Job;
  bool wait(Duration patience) const;
  CallRecordWriter(std::shared_ptr<Job> job, std::thread thread)
      : job_(std::move(job)), thread_(std::move(thread)) {}
  std::shared_ptr<Job> job_;
  std::thread thread_;
};

}  // namespace relay
