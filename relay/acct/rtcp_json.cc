// Written by hand because collectors may compare the text, whose white space is rtpproxy's.
// `ntp_timestamp_usec` is what it is called there; it is the fraction of the NTP time.
#include "relay/acct/rtcp_json.h"

#include <fmt/format.h>

#include <iterator>

#include "relay/rtp/rtcp.h"

namespace relay {
namespace {

using Output = std::back_insert_iterator<std::string>;

void write_block(Output out, const RtcpBlock& block) {
  fmt::format_to(out,
                 "  {{\n"
                 "   \"source_ssrc\": {},\n"
                 "   \"fraction_lost\": {},\n"
                 "   \"packets_lost\": {},\n"
                 "   \"highest_seq_no\": {},\n"
                 "   \"ia_jitter\": {},\n"
                 "   \"lsr\": {},\n"
                 "   \"dlsr\": {}\n"
                 "  }}\n",
                 block.source_ssrc, block.fraction_lost, block.packets_lost, block.highest_sequence,
                 block.jitter, block.last_report, block.delay_since);
}

void write_report(Output out, const RtcpReport& report) {
  fmt::format_to(out, "{{\n \"ssrc\": {},\n", report.ssrc);
  if (report.sender) {
    fmt::format_to(out,
                   " \"sender_information\": {{\n"
                   "  \"ntp_timestamp_sec\": {},\n"
                   "  \"ntp_timestamp_usec\": {},\n"
                   "  \"rtp_timestamp\": {},\n"
                   "  \"packets\": {},\n"
                   "  \"octets\": {}\n"
                   " }},\n",
                   report.sender->ntp_seconds, report.sender->ntp_fraction,
                   report.sender->rtp_timestamp, report.sender->packets, report.sender->octets);
  }
  fmt::format_to(out, " \"type\": {},\n", static_cast<int>(report.type));
  if (report.blocks > 0) {
    fmt::format_to(out, " \"report_blocks\": [\n");
    for (uint8_t n = 0; n < report.blocks; ++n) {
      if (n > 0) fmt::format_to(out, "  ,\n");
      write_block(out, report.block(n));
    }
    fmt::format_to(out, " ],\n");
  }
  fmt::format_to(out, " \"report_count\": {}\n}}\n", report.blocks);
}

}  // namespace

std::string rtcp_json(Bytes packet) {
  std::string text;
  auto reports = RtcpReports::parse(packet);
  if (!reports) return text;
  while (const auto report = reports->next()) write_report(std::back_inserter(text), *report);
  return text;
}

}  // namespace relay
