#include "relay/acct/accounting.h"

#include <unistd.h>

#include <array>
#include <climits>

#include "relay/base/log.h"

namespace relay {
namespace {

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace

Result<std::unique_ptr<Accounting>> Accounting::start(const AcctSettings& settings,
                                                      SessionManager& sessions) {
  std::unique_ptr<Accounting> accounting(new Accounting);
  if (!settings.csv_file.empty() || !settings.json_file.empty()) {
    auto records = CallRecordWriter::start(
        {settings.csv_file, settings.json_file, {host_name(), ::getpid()}}, accounting->counters_);
    if (!records) return tl::unexpected(records.error());
    accounting->records_ = std::move(*records);
    sessions.on_settled([writer = accounting->records_.get()](const Session& session) {
      writer->write(to_call_record(session, wall_offset_now()));
    });
  }
  if (!settings.collectors.empty()) {
    auto hep =
        HepExporter::start(settings.collectors, settings.worker_threads, accounting->counters_);
    if (!hep) return tl::unexpected(hep.error());
    accounting->hep_ = std::move(*hep);
    sessions.on_open([&sessions, exporter = accounting->hep_.get()](Session& session) {
      const auto call_id = std::make_shared<const std::string>(session.call_id);
      for (const LegId leg : kLegs) {
        if (!sessions.attach(session, leg, exporter->tap(call_id))) {
          log_warning("no RTCP reports of a leg call_id={}", quoted(*call_id));
        }
      }
    });
  }
  return accounting;
}

Accounting::~Accounting() {
  records_.reset();
  hep_.reset();
  for (const AcctCounterRow& row : kAcctCounterRows) {
    const uint64_t count = (*counters_.*row.value).get();
    if (row.is_loss && count != 0) log_error("{}={}: {}", row.name, count, row.meaning);
  }
}

}  // namespace relay
