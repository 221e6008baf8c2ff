#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/rtp/demux.h"
#include "relay/rtp/rtp_header.h"
#include "tests/support/packet_builder.h"

namespace relay {
namespace {

Bytes bytes_of(const std::vector<uint8_t>& bytes) {
  return std::as_bytes(std::span(bytes));
}

std::vector<uint8_t> padded(std::vector<uint8_t> bytes, size_t size) {
  bytes.resize(size);
  return bytes;
}

TEST_CASE("the first bytes say what a packet is") {
  struct Case {
    std::string description;
    std::vector<uint8_t> bytes;
    PacketKind expected;
  };
  const std::vector<Case> cases = {
      {"empty", {}, PacketKind::other},
      {"one byte", {0x80}, PacketKind::other},
      {"RTP of 12 bytes", padded({0x80, 0}, 12), PacketKind::rtp},
      {"RTP with a marker", padded({0x80, 0x80 | 8}, 12), PacketKind::rtp},
      {"RTP cut at 11 bytes", padded({0x80, 0}, 11), PacketKind::other},
      {"RTP with all its CSRCs", padded({0x82, 0}, 20), PacketKind::rtp},
      {"RTP with a CSRC missing", padded({0x82, 0}, 19), PacketKind::other},
      {"SRTP whose padding bit covers ciphertext", padded({0xA0, 0}, 60), PacketKind::rtp},
      {"type 191 is RTP", padded({0x80, 191}, 12), PacketKind::rtp},
      {"a sender report", padded({0x80, 200, 0, 6}, 28), PacketKind::rtcp},
      {"type 192 is RTCP", padded({0x80, 192, 0, 1}, 8), PacketKind::rtcp},
      {"type 223 is RTCP", padded({0x80, 223, 0, 1}, 8), PacketKind::rtcp},
      {"type 224 is RTP with a marker", padded({0x80, 224, 0, 1}, 12), PacketKind::rtp},
      {"RTCP of 4 bytes", {0x80, 201, 0, 0}, PacketKind::other},
      {"RTCP shorter than it says", padded({0x80, 200, 0, 6}, 27), PacketKind::other},
      {"a compound's first packet fits", padded({0x80, 201, 0, 1}, 40), PacketKind::rtcp},
      {"version 1", padded({0x40, 0}, 12), PacketKind::other},
      {"version 3", padded({0xC0, 0}, 12), PacketKind::other},
      {"a STUN binding request", padded({0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 20),
       PacketKind::stun},
      {"STUN of 19 bytes", padded({0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 19), PacketKind::other},
      {"STUN without the cookie", padded({0, 1, 0, 0}, 20), PacketKind::other},
      {"a DTLS handshake", padded({22, 254, 253}, 60), PacketKind::dtls},
      {"byte 20 is DTLS", {20, 0}, PacketKind::dtls},
      {"byte 63 is DTLS", {63, 0}, PacketKind::dtls},
      {"byte 19 is not", {19, 0}, PacketKind::other},
      {"byte 64 is a TURN channel", {64, 0}, PacketKind::other},
      {"UDPTL", {0, 1, 5, 0, 0}, PacketKind::other},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(demux(bytes_of(c.bytes)) == c.expected);
  }
}

TEST_CASE("an RTP header is read field by field") {
  const auto packet = testing::rtp_packet({.sequence = 0xFFFE,
                                           .timestamp = 0x80000001,
                                           .ssrc = 0xCAFEBABE,
                                           .payload_type = 101,
                                           .marker = true,
                                           .payload_bytes = 4});
  const auto view = RtpView::parse(packet);
  REQUIRE(view);
  CHECK(view->marker());
  CHECK(view->payload_type() == 101);
  CHECK(view->sequence() == 0xFFFE);
  CHECK(view->timestamp() == 0x80000001);
  CHECK(view->ssrc() == 0xCAFEBABE);
  CHECK(view->payload().size() == 4);
}

TEST_CASE("the payload is what CSRCs, extension and padding leave") {
  struct Case {
    std::string description;
    uint8_t first_byte;
    std::vector<uint8_t> after_fixed_header;
    int payload_bytes;  // -1: refused
  };
  const std::vector<Case> cases = {
      {"nothing", 0x80, {}, 0},
      {"three bytes", 0x80, {1, 2, 3}, 3},
      {"one CSRC", 0x81, {0, 0, 0, 9, 1}, 1},
      {"one CSRC missing", 0x81, {0, 0, 9}, -1},
      {"an empty extension", 0x90, {0xBE, 0xDE, 0, 0, 1}, 1},
      {"an extension of a word", 0x90, {0xBE, 0xDE, 0, 1, 0, 0, 0, 0, 1, 2}, 2},
      {"an extension header cut", 0x90, {0xBE, 0xDE, 0}, -1},
      {"an extension body cut", 0x90, {0xBE, 0xDE, 0, 2, 0, 0, 0, 0}, -1},
      {"padding of two", 0xA0, {1, 0, 2}, 1},
      {"padding that is all", 0xA0, {0, 2}, 0},
      {"padding of zero", 0xA0, {1, 0}, -1},
      {"padding beyond the payload", 0xA0, {1, 3}, -1},
      {"padding without a byte to hold its count", 0xA0, {}, -1},
      {"everything at once", 0xB1, {0, 0, 0, 9, 0xBE, 0xDE, 0, 1, 0, 0, 0, 0, 7, 8, 0, 2}, 2},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    std::vector<uint8_t> bytes = padded({c.first_byte, 0}, 12);
    bytes.insert(bytes.end(), c.after_fixed_header.begin(), c.after_fixed_header.end());
    const auto view = RtpView::parse(bytes_of(bytes));
    CHECK(view.has_value() == (c.payload_bytes >= 0));
    if (view) CHECK(view->payload().size() == static_cast<size_t>(c.payload_bytes));
  }
}

TEST_CASE("a header that is not version 2 is refused") {
  CHECK_FALSE(RtpView::parse(bytes_of(padded({0x00, 0}, 12))));
  CHECK_FALSE(RtpView::parse(bytes_of(padded({0x40, 0}, 12))));
  CHECK_FALSE(RtpView::parse(bytes_of(padded({0x80, 0}, 11))));
}

}  // namespace
}  // namespace relay
