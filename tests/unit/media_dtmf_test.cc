#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/media/dtmf_tap.h"
#include "tests/support/packet_builder.h"

namespace relay {
namespace {

using testing::Packet;

struct EventPacket {
  uint32_t timestamp;
  uint8_t digit;
  bool is_end;
  uint16_t duration;
  uint8_t payload_type = 101;
  size_t payload_bytes = 4;
};

Packet to_packet(const EventPacket& event) {
  Packet packet = testing::rtp_packet({.timestamp = event.timestamp,
                                       .payload_type = event.payload_type,
                                       .payload_bytes = event.payload_bytes});
  if (event.payload_bytes < 4) return packet;
  packet[12] = static_cast<std::byte>(event.digit);
  packet[13] = static_cast<std::byte>((event.is_end ? 0x80 : 0) | 7);
  packet[14] = static_cast<std::byte>(event.duration >> 8);
  packet[15] = static_cast<std::byte>(event.duration & 0xFF);
  return packet;
}

std::string text_of(const std::vector<DtmfEvent>& events) {
  std::string text;
  for (const DtmfEvent& event : events) {
    text += std::string(1, event.digit) + ":" + std::to_string(event.duration) + " ";
  }
  return text;
}

TEST_CASE("key presses are told apart") {
  struct Case {
    std::string description;
    std::vector<EventPacket> packets;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {"start, end, end again",
       {{1, 5, false, 80}, {1, 5, true, 160}, {1, 5, true, 160}},
       "5:160 "},
      {"an end on its own says nothing", {{1, 5, true, 160}}, ""},
      {"the start was lost, the end repeated", {{1, 5, true, 160}, {1, 5, true, 160}}, "5:160 "},
      {"no end", {{1, 5, false, 80}, {1, 5, false, 160}}, ""},
      {"the largest duration counts", {{1, 5, false, 400}, {1, 5, true, 160}}, "5:400 "},
      {"the same key twice",
       {{1, 9, false, 80}, {1, 9, true, 160}, {900, 9, false, 80}, {900, 9, true, 240}},
       "9:160 9:240 "},
      {"packets of two presses mixed",
       {{1, 1, false, 80}, {900, 2, false, 80}, {1, 1, true, 160}, {900, 2, true, 160}},
       "1:160 2:160 "},
      {"four presses are remembered, a fifth takes the oldest's place",
       {{1, 1, false, 80},
        {2, 2, false, 80},
        {3, 3, false, 80},
        {4, 4, false, 80},
        {5, 5, false, 80},
        {2, 2, true, 90},
        {1, 1, true, 90}},
       "2:90 "},
      {"star, hash, D and flash",
       {{1, 10, false, 1},
        {1, 10, true, 1},
        {2, 11, false, 1},
        {2, 11, true, 1},
        {3, 15, false, 1},
        {3, 15, true, 1},
        {4, 16, false, 1},
        {4, 16, true, 1}},
       "*:1 #:1 D:1  :1 "},
      {"tones that are no keys", {{1, 17, false, 1}, {1, 17, true, 1}}, ""},
      {"too short", {{1, 5, false, 80, 101, 3}, {1, 5, true, 160, 101, 3}}, ""},
      {"another payload type", {{1, 5, false, 80, 96}, {1, 5, true, 160, 96}}, ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto events = DtmfEvents::create();
    REQUIRE(events);
    for (const bool hidden : {false, true}) {
      DtmfTap tap(7, LegId::caller, {"tag", 101, hidden}, **events);
      CHECK(tap.may_consume() == hidden);
      for (const EventPacket& event : c.packets) {
        const Packet packet = to_packet(event);
        TappedPacket tapped;
        tapped.kind = PacketKind::rtp;
        tapped.bytes = packet;
        tapped.thread = 3;
        const bool is_kept = tap.offer(tapped) == TapAnswer::consume;
        CHECK(is_kept == (hidden && event.payload_type == 101));
      }
      CHECK(text_of((*events)->take_all()) == c.expected);
    }
  }
}

TEST_CASE("more key presses than the queue takes are counted") {
  const auto events = DtmfEvents::create();
  REQUIRE(events);
  for (int i = 0; i < 70; ++i) (*events)->push(0, {1, LegId::callee, '1', 0, 0});
  (*events)->push(63, {1, LegId::callee, '2', 0, 0});
  CHECK((*events)->take_all().size() == 65);
  CHECK((*events)->lost() == 6);
  CHECK((*events)->take_all().empty());
}

}  // namespace
}  // namespace relay
