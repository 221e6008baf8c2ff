// Reports out of RTCP compound packets.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/rtp/rtcp.h"
#include "tests/support/packet_builder.h"

namespace relay {
namespace {

using testing::Packet;
using testing::report_packet;
using testing::ReportFields;

ReportFields sender_fields(std::vector<std::vector<uint32_t>> blocks) {
  return {.ssrc = 7,
          .from_sender = true,
          .ntp_seconds = 1,
          .ntp_fraction = 2,
          .rtp_timestamp = 3,
          .packets = 4,
          .octets = 5,
          .blocks = std::move(blocks)};
}

// "SR 7 2" for each report: type, SSRC, number of blocks.
std::string summary(const Packet& packet) {
  auto reports = RtcpReports::parse(packet);
  if (!reports) return "malformed";
  std::string text;
  while (const auto report = reports->next()) {
    text += report->type == RtcpType::sender_report ? "SR " : "RR ";
    text += std::to_string(report->ssrc) + " " + std::to_string(report->blocks) + "; ";
  }
  return text;
}

Packet cut(Packet packet, size_t bytes) {
  packet.resize(packet.size() - bytes);
  return packet;
}

Packet with_byte(Packet packet, size_t at, uint8_t value) {
  packet.at(at) = std::byte{value};
  return packet;
}

}  // namespace

TEST_CASE("the reports of a compound packet") {
  using testing::operator+;
  const std::vector<uint32_t> block = {9, 0, 0, 0, 0, 0, 0};
  const Packet sender = report_packet(sender_fields({block}));
  const Packet receiver = report_packet({.ssrc = 8, .blocks = {block, block}});
  const Packet names = testing::cname_packet(7);
  const Packet bye{std::byte{0x81}, std::byte{203}, std::byte{0}, std::byte{1},
                   std::byte{0},    std::byte{0},   std::byte{0}, std::byte{7}};
  const Packet extended = with_byte(sender + Packet(8), 3, 14);  // a profile's extension
  struct Case {
    std::string description;
    Packet packet;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {"a sender report", sender, "SR 7 1; "},
      {"a receiver report", receiver, "RR 8 2; "},
      {"a receiver report without blocks", report_packet({.ssrc = 8, .blocks = {}}), "RR 8 0; "},
      {"as a phone sends it", sender + names, "SR 7 1; "},
      {"two reports", sender + receiver + names, "SR 7 1; RR 8 2; "},
      {"a BYE behind it", receiver + bye, "RR 8 2; "},
      {"no report at all", names, ""},
      {"what a profile adds to a report is passed over", extended + names, "SR 7 1; "},
      {"31 blocks", report_packet({.ssrc = 8, .blocks = std::vector(31, block)}), "RR 8 31; "},
      {"nothing", {}, "malformed"},
      {"a header cut", cut(sender, sender.size() - 3), "malformed"},
      {"a block cut", cut(sender, 1), "malformed"},
      {"bytes left over", sender + Packet(3), "malformed"},
      {"version 1", with_byte(sender, 0, 0x41), "malformed"},
      {"version 1 in the second packet", sender + with_byte(names, 0, 0x41), "malformed"},
      {"more blocks counted than there are", with_byte(sender, 0, 0x82), "malformed"},
      {"a length beyond the packet", with_byte(sender, 3, 13), "malformed"},
      {"a sender report too short for its sender",
       with_byte(report_packet({.ssrc = 8, .blocks = {}}), 1, 200), "malformed"},
      {"a broken packet behind good ones", sender + names + cut(receiver, 4), "malformed"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(summary(c.packet) == c.expected);
  }
}

TEST_CASE("what a report says") {
  const Packet packet = report_packet(sender_fields(
      {{0x01020304, 255, 0x7FFFFF, 0xFFFFFFFF, 5, 6, 7}, {1, 0, 0xFFFFFE, 0, 0, 0, 0}}));
  const auto report = RtcpReports::parse(packet)->next();
  REQUIRE(report);
  REQUIRE(report->sender);
  CHECK(report->sender->ntp_seconds == 1);
  CHECK(report->sender->ntp_fraction == 2);
  CHECK(report->sender->rtp_timestamp == 3);
  CHECK(report->sender->packets == 4);
  CHECK(report->sender->octets == 5);
  const RtcpBlock block = report->block(0);
  CHECK(block.source_ssrc == 0x01020304);
  CHECK(block.fraction_lost == 255);
  CHECK(block.packets_lost == 0x7FFFFF);
  CHECK(block.highest_sequence == 0xFFFFFFFF);
  CHECK(block.jitter == 5);
  CHECK(block.last_report == 6);
  CHECK(block.delay_since == 7);
  // RFC 3550 §6.4.1: duplicates make it negative.
  CHECK(report->block(1).packets_lost == -2);
  CHECK_FALSE(RtcpReports::parse(testing::rtcp_packet())->next()->sender);
}

}  // namespace relay
