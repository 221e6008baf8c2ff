// The columns are rtpproxy's: `_ino` and `_o` are of stream 0, which faces the callee, `_ina` and
// `_a` of stream 1, which faces the caller.
#include <fmt/core.h>

#include <string_view>

#include "relay/acct/record_text.h"
#include "relay/session/party_figures.h"

namespace relay {
namespace {

std::string quoted_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return std::string(text);
  std::string field = "\"";
  for (const char c : text) {
    if (c == '"') field += '"';
    field += c;
  }
  return field + "\"";
}

std::string time_field(const CallRecord& record, Instant instant) {
  const int64_t us = wall_us(record, instant);
  return fmt::format("{}.{:06}", us / 1'000'000, us % 1'000'000);
}

using Row = std::string;

void add(Row& row, std::string_view field) {
  if (!row.empty()) row += ',';
  row += field;
}
void add(Row& row, uint64_t number) {
  add(row, std::string_view(fmt::format("{}", number)));
}

void add_analysis(Row& row, const AnalyserTotals& analysis) {
  for (const uint64_t count : {analysis.sent, analysis.received, analysis.duplicates,
                               analysis.lost(), analysis.parse_errors}) {
    add(row, count);
  }
  const bool heard = analysis.ssrc_changes != 0;
  add(row, heard ? fmt::format("0x{:08X}", analysis.ssrc_last) : "");
  add(row, uint64_t{analysis.ssrc_changes});
  add(row, heard ? fmt::format("{}", analysis.payload_type_last) : "-1");
}

void add_jitter(Row& row, const AnalyserTotals& analysis) {
  for (const double jitter : {analysis.jitter_last, analysis.jitter_max, analysis.jitter_average}) {
    add(row, fmt::format("{:.6f}", jitter));
  }
}

void add_remote(Row& row, const Endpoint& remote) {
  add(row, remote.valid() ? remote.address.to_string() : "");
  add(row, remote.valid() ? fmt::format("{}", remote.port) : "");
}

}  // namespace

std::string csv_header() {
  return "rec_ver,rtpp_node_id,rtpp_pid,sess_uid,call_id,from_tag,setup_ts,teardown_ts,"
         "first_rtp_ts_ino,last_rtp_ts_ino,first_rtp_ts_ina,last_rtp_ts_ina,"
         "rtp_npkts_ina,rtp_npkts_ino,rtp_nrelayed,rtp_ndropped,"
         "rtcp_npkts_ina,rtcp_npkts_ino,rtcp_nrelayed,rtcp_ndropped,"
         "rtpa_nsent_ino,rtpa_nrcvd_ino,rtpa_ndups_ino,rtpa_nlost_ino,rtpa_perrs_ino,"
         "rtpa_ssrc_last_ino,rtpa_ssrc_cnt_ino,rtpa_pt_last_ino,"
         "rtpa_nsent_ina,rtpa_nrcvd_ina,rtpa_ndups_ina,rtpa_nlost_ina,rtpa_perrs_ina,"
         "rtpa_ssrc_last_ina,rtpa_ssrc_cnt_ina,rtpa_pt_last_ina,"
         "rtpa_jitter_last_ino,rtpa_jitter_max_ino,rtpa_jitter_avg_ino,"
         "rtpa_jitter_last_ina,rtpa_jitter_max_ina,rtpa_jitter_avg_ina,"
         "rtpp_rtp_rmt_ip_o,rtpp_rtp_rmt_pt_o,rtpp_rtp_rmt_ip_a,rtpp_rtp_rmt_pt_a,"
         "rtpp_rtcp_rmt_ip_o,rtpp_rtcp_rmt_pt_o,rtpp_rtcp_rmt_ip_a,rtpp_rtcp_rmt_pt_a,"
         "rtpp_hld_sts_o,rtpp_hld_sts_a,rtpp_hld_cnt_o,rtpp_hld_cnt_a\n";
}

std::string csv_row(const CallRecord& record, const RecordOrigin& origin) {
  const LegRecord& callee = record.leg(LegId::callee);
  const LegRecord& caller = record.leg(LegId::caller);
  Row row = "1.2";
  add(row, quoted_field(origin.node));
  add(row, fmt::format("{}", origin.pid));
  add(row, record.serial);
  add(row, quoted_field(record.call_id));
  add(row, quoted_field(record.from_tag));
  for (const Instant instant :
       {record.created, record.ended, callee.rtp.first_accepted, callee.rtp.last_accepted,
        caller.rtp.first_accepted, caller.rtp.last_accepted}) {
    add(row, time_field(record, instant));
  }
  for (const uint64_t count :
       {packets_in(caller.rtp), packets_in(callee.rtp), callee.rtp_relayed + caller.rtp_relayed,
        packets_dropped(callee.rtp) + packets_dropped(caller.rtp), packets_in(caller.rtcp),
        packets_in(callee.rtcp), callee.rtcp_relayed + caller.rtcp_relayed,
        packets_dropped(callee.rtcp) + packets_dropped(caller.rtcp)}) {
    add(row, count);
  }
  for (const LegRecord* leg : {&callee, &caller}) add_analysis(row, leg->rtp.analysis);
  for (const LegRecord* leg : {&callee, &caller}) add_jitter(row, leg->rtp.analysis);
  for (const LegRecord* leg : {&callee, &caller}) add_remote(row, leg->rtp_remote);
  for (const LegRecord* leg : {&callee, &caller}) add_remote(row, leg->rtcp_remote);
  for (const LegRecord* leg : {&callee, &caller}) add(row, leg->on_hold ? "t" : "f");
  for (const LegRecord* leg : {&callee, &caller}) add(row, uint64_t{leg->holds});
  return row + "\n";
}

}  // namespace relay
