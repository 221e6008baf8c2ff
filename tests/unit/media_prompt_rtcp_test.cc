// RTCP around prompts.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/media/prompt.h"
#include "relay/rtp/analyser.h"
#include "relay/rtp/rtcp_rewrite.h"
#include "tests/support/manual_clock.h"
#include "tests/support/prompt_support.h"

namespace relay {
namespace {

using namespace std::chrono_literals;
using testing::append_be16;
using testing::append_be32;
using testing::Packet;

constexpr uint32_t kSsrc = 0x11111111;

Packet operator+(Packet a, const Packet& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Packet header(uint8_t count, uint8_t type, uint16_t words) {
  Packet packet{static_cast<std::byte>(0x80 | count), static_cast<std::byte>(type)};
  append_be16(packet, words);
  return packet;
}

Packet block() {
  Packet packet;
  for (uint32_t i = 0; i < 6; ++i) append_be32(packet, 0xB0B0B0B0 + i);
  return packet;
}

Packet sender_report(uint32_t packets, uint32_t octets, uint8_t blocks = 0, uint32_t ssrc = kSsrc) {
  Packet packet = header(blocks, 200, static_cast<uint16_t>(6 + 6 * blocks));
  for (const uint32_t word : {ssrc, 1U, 2U, 3U, packets, octets}) append_be32(packet, word);
  for (int i = 0; i < blocks; ++i) packet = packet + block();
  return packet;
}

Packet receiver_report(uint8_t blocks, uint32_t ssrc = kSsrc) {
  Packet packet = header(blocks, 201, static_cast<uint16_t>(1 + 6 * blocks));
  append_be32(packet, ssrc);
  for (int i = 0; i < blocks; ++i) packet = packet + block();
  return packet;
}

Packet description() {
  Packet packet = header(1, 202, 3);
  append_be32(packet, kSsrc);
  append_be32(packet, 0x01026162);
  append_be32(packet, 0);
  return packet;
}

Packet goodbye() {
  Packet packet = header(1, 203, 1);
  append_be32(packet, kSsrc);
  return packet;
}

Packet to_packet(Bytes bytes) {
  return Packet(bytes.begin(), bytes.end());
}

TEST_CASE("compound RTCP is changed packet by packet") {
  struct Case {
    std::string description;
    Packet packet, counted, without_goodbye, without_sender;
  };
  const Packet garbage(9, std::byte{0x55});
  Packet overlong = sender_report(5, 6);
  overlong[3] = std::byte{200};
  const std::vector<Case> cases = {
      {"sender report", sender_report(100, 2000), sender_report(107, 2070),
       sender_report(100, 2000), receiver_report(0)},
      {"with blocks, description and goodbye",
       sender_report(100, 2000, 2) + description() + goodbye(),
       sender_report(107, 2070, 2) + description() + goodbye(),
       sender_report(100, 2000, 2) + description(), receiver_report(2) + description()},
      {"the counts wrap", sender_report(0xFFFFFFFF, 0xFFFFFFC0), sender_report(6, 6),
       sender_report(0xFFFFFFFF, 0xFFFFFFC0), receiver_report(0)},
      {"another stream's counts", sender_report(1, 2, 0, 77), sender_report(1, 2, 0, 77),
       sender_report(1, 2, 0, 77), receiver_report(0, 77)},
      {"receiver report", receiver_report(1) + description(), receiver_report(1) + description(),
       receiver_report(1) + description(), receiver_report(1) + description()},
      {"a lone goodbye", goodbye(), goodbye(), {}, {}},
      {"garbage behind", receiver_report(0) + garbage, receiver_report(0) + garbage,
       receiver_report(0) + garbage, receiver_report(0) + garbage},
      {"longer than it is", overlong, overlong, overlong, overlong},
      {"a sender report too short to be one", header(0, 200, 1) + Packet(4),
       header(0, 200, 1) + Packet(4), header(0, 200, 1) + Packet(4), header(0, 200, 1) + Packet(4)},
      {"nothing", {}, {}, {}, {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    std::vector<std::byte> out(c.packet.size());
    CHECK(to_packet(with_sender_counts(c.packet, kSsrc, 7, 70, out)) == c.counted);
    CHECK(to_packet(without_goodbye(c.packet, out)) == c.without_goodbye);
    CHECK(to_packet(without_sender(c.packet, out)) == c.without_sender);
  }
}

struct PlayedTo {
  ManualClock clock;
  SequenceShift shift;
  testing::Listener listener;
  Prompt prompt{{"hello", testing::prompt_audio(AudioCodec::pcmu, 800), -1, 10}};

  explicit PlayedTo(bool heard) {
    RtpAnalyser analyser;
    for (uint16_t i = 0; heard && i < 3; ++i) {
      analyser.on_packet(testing::rtp_packet({.sequence = i, .timestamp = i * 160U}), clock.now());
      clock.advance(20ms);
    }
    prompt.start(analyser.state(), shift, clock.now());
    play(30ms);
  }
  void play(Duration time) {
    for (const Instant end = clock.now() + time; clock.now() < end; clock.advance(10ms)) {
      prompt.play(clock.now(), listener);
    }
  }
  Packet leaves_for(const Packet& rtcp) {
    std::vector<std::byte> scratch(2048);
    return to_packet(prompt.instead_of(PacketKind::rtcp, rtcp, clock.now(), scratch));
  }
};

TEST_CASE("the other party's RTCP while a prompt goes on as its stream") {
  PlayedTo call(true);
  const Packet report = sender_report(3, 480, 1) + description();
  CHECK(call.leaves_for(report) == report);
  CHECK(call.leaves_for(report + goodbye()) == report);
  CHECK(call.shift.packets == 3);
  CHECK(call.shift.octets == 240);
  call.play(60s);
  CHECK(call.listener.rtcp.empty());  // its own reports describe the stream
}

TEST_CASE("a prompt with a stream of its own reports about it, and the other party on hearing") {
  PlayedTo call(false);
  CHECK(call.leaves_for(sender_report(3, 480, 1) + description() + goodbye()) ==
        receiver_report(1) + description());
  call.play(2440ms);
  CHECK(call.listener.rtcp.empty());
  call.play(20070ms);
  REQUIRE(call.listener.rtcp.size() == 5);  // at 2.5 s, and each 5 s from then on
  const auto first = *RtpView::parse(call.listener.rtp[0]);
  uint64_t ntp_before = 0;
  for (size_t i = 0; i < 5; ++i) {
    const Packet& report = call.listener.rtcp[i];
    const uint32_t ms = 2500 + 5000 * static_cast<uint32_t>(i);
    const uint32_t packets = ms / 10 + 1;
    CHECK(report.size() == kSenderReportBytes);
    CHECK(demux(report) == PacketKind::rtcp);
    CHECK(read_be32(report, 4) == first.ssrc());
    CHECK(read_be32(report, 16) == first.timestamp() + ms * 8);
    CHECK(read_be32(report, 20) == packets);
    CHECK(read_be32(report, 24) == packets * 80);
    CHECK(byte_at(report, 29) == 202);
    const uint64_t ntp = uint64_t{read_be32(report, 8)} << 32 | read_be32(report, 12);
    if (ntp_before != 0) CHECK(((ntp - ntp_before + (1U << 31)) >> 32) == 5);
    ntp_before = ntp;
  }
}

}  // namespace
}  // namespace relay
