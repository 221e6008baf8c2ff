// What is told to others about calls: a record of each session that has ended, and the reports of
// the parties' RTCP. Control thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "relay/acct/call_record_writer.h"
#include "relay/acct/counters.h"
#include "relay/acct/hep_exporter.h"
#include "relay/base/result.h"
#include "relay/session/session_manager.h"

namespace relay {

struct AcctSettings {
  std::string csv_file, json_file;  // empty: none
  std::vector<HepCollectorSettings> collectors;
  size_t worker_threads = 0;  // of the slow path
};

class Accounting {
 public:
  // Hears of sessions from `sessions`, also those that it ends in its destructor: outlives it.
  static Result<std::unique_ptr<Accounting>> start(const AcctSettings& settings,
                                                   SessionManager& sessions);

  // Says in the log what was lost.
  ~Accounting();

  const AcctCounters& counters() const { return *counters_; }

 private:
  Accounting() = default;
  const std::shared_ptr<AcctCounters> counters_ = std::make_shared<AcctCounters>();
  std::unique_ptr<CallRecordWriter> records_;  // may be null
  std::unique_ptr<HepExporter> hep_;           // may be null
};

}  // namespace relay
