// The names are those of `J session`, where both say the same.
#include <nlohmann/json.hpp>

#include "relay/acct/record_text.h"
#include "relay/flow/latch_text.h"

namespace relay {
namespace {

using Json = nlohmann::ordered_json;

const char* to_text(SessionEnd ending) {
  switch (ending) {
    case SessionEnd::deleted:
      return "deleted";
    case SessionEnd::timed_out:
      return "timed_out";
    case SessionEnd::shut_down:
      break;
  }
  return "shut_down";
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Json time_or_null(const CallRecord& record, Instant instant) {
  const int64_t us = wall_us(record, instant);
  return us != 0 ? Json(static_cast<double>(us) / 1e6) : Json(nullptr);
}

Json endpoint_or_null(const Endpoint& endpoint) {
  return endpoint.valid() ? Json(endpoint.to_string()) : Json(nullptr);
}

Json flow_json(const CallRecord& record, const FlowFigures& figures, uint64_t relayed,
               uint64_t relayed_in_kernel) {
  Json dropped = Json::object();
  for (size_t i = 0; i < kDropReasons; ++i) {
    if (figures.drops[i] == 0) continue;
    dropped[std::string(to_string(static_cast<DropReason>(i)))] = figures.drops[i];
  }
  return {{"received", figures.received},
          {"received_bytes", figures.received_bytes},
          {"relayed", relayed},
          {"relayed_in_kernel", relayed_in_kernel},
          {"dropped", std::move(dropped)},
          {"first", time_or_null(record, figures.first_accepted)},
          {"last", time_or_null(record, figures.last_accepted)}};
}

Json stream_json(const AnalyserTotals& analysis) {
  if (analysis.ssrc_changes == 0) return nullptr;
  return {{"ssrc", analysis.ssrc_last},
          {"ssrc_changes", analysis.ssrc_changes},
          {"payload_type", analysis.payload_type_last},
          {"sent", analysis.sent},
          {"received", analysis.received},
          {"lost", analysis.lost()},
          {"duplicates", analysis.duplicates},
          {"parse_errors", analysis.parse_errors},
          {"jitter_last", analysis.jitter_last},
          {"jitter_max", analysis.jitter_max},
          {"jitter_average", analysis.jitter_average},
          {"longest_gap_s", seconds(analysis.longest_gap)}};
}

Json leg_json(const CallRecord& record, const LegRecord& leg) {
  Json codecs = Json::array();
  for (const char type : leg.codecs) codecs.push_back(static_cast<uint8_t>(type));
  Json rtp = flow_json(record, leg.rtp, leg.rtp_relayed, leg.rtp_in_kernel);
  rtp["played"] = leg.played;
  rtp["stream"] = stream_json(leg.rtp.analysis);
  return {{"local", leg.open ? endpoint_or_null(leg.local) : Json(nullptr)},
          {"signalled", endpoint_or_null(leg.signalled.value_or(Endpoint{}))},
          {"rtp_remote", endpoint_or_null(leg.rtp_remote)},
          {"rtcp_remote", endpoint_or_null(leg.rtcp_remote)},
          {"latch", {{"rank", to_text(leg.latch.rank)}, {"holders", leg.latch.holders}}},
          {"on_hold", leg.on_hold},
          {"holds", leg.holds},
          {"codecs", std::move(codecs)},
          {"rtp", std::move(rtp)},
          {"rtcp", flow_json(record, leg.rtcp, leg.rtcp_relayed, leg.rtcp_in_kernel)}};
}

}  // namespace

std::string json_line(const CallRecord& record, const RecordOrigin& origin) {
  const Json line = {{"node", origin.node},
                     {"pid", origin.pid},
                     {"session", record.serial},
                     {"call_id", record.call_id},
                     {"from_tag", record.from_tag},
                     {"to_tags", record.to_tags},
                     {"setup", time_or_null(record, record.created)},
                     {"teardown", time_or_null(record, record.ended)},
                     {"duration_s", seconds(record.ended - record.created)},
                     {"ended_by", to_text(record.ending)},
                     {"complete", record.complete},
                     {"callee", leg_json(record, record.leg(LegId::callee))},
                     {"caller", leg_json(record, record.leg(LegId::caller))}};
  // Call-ids and tags are any bytes; JSON is UTF-8.
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace relay
