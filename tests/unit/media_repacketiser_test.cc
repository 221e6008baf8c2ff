#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "relay/media/repacketiser.h"
#include "tests/support/alloc_counter.h"
#include "tests/support/packet_builder.h"

namespace relay {
namespace {

using testing::Packet;
using testing::RtpFields;
using namespace std::chrono_literals;

constexpr uint8_t kPcmu = 0, kGsm = 3, kG723 = 4, kG722 = 9, kG729 = 18, kEvent = 101;

// What has left, told apart.
struct Sent {
  uint16_t sequence;
  uint32_t timestamp;
  size_t payload_bytes;
  bool marker;
  uint8_t payload_type;
  friend bool operator==(const Sent&, const Sent&) = default;
};

std::string text_of(const std::vector<Sent>& sent) {
  std::string text;
  for (const Sent& s : sent) {
    text += "seq " + std::to_string(s.sequence) + " ts " + std::to_string(s.timestamp) + " bytes " +
            std::to_string(s.payload_bytes) + " pt " + std::to_string(s.payload_type) +
            (s.marker ? " marker" : "") + "; ";
  }
  return text;
}

class Collector final : public PacketSink {
 public:
  void emit(Bytes packet) override { packets.emplace_back(packet.begin(), packet.end()); }
  std::vector<Sent> sent() const {
    std::vector<Sent> all;
    for (const Packet& packet : packets) {
      const auto view = RtpView::parse(packet);
      REQUIRE(view);
      all.push_back({view->sequence(), view->timestamp(), view->payload().size(), view->marker(),
                     view->payload_type()});
    }
    return all;
  }
  std::vector<Packet> packets;
};

struct Step {
  RtpFields packet;
  Duration after = 0ms;  // since the step before
  bool in_time = true;
};

struct Case {
  std::string description;
  int ptime_ms;
  std::vector<Step> steps;
  std::vector<Sent> expected;
};

void check(const Case& c) {
  CAPTURE(c.description);
  Repacketiser repacketiser(c.ptime_ms);
  Collector sink;
  Instant now = from_ns(1'000'000'000);
  for (const Step& step : c.steps) {
    now += step.after;
    CHECK(repacketiser.on_packet(testing::rtp_packet(step.packet), now, sink) == step.in_time);
  }
  INFO("sent: ", text_of(sink.sent()));
  CHECK(sink.sent() == c.expected);
}

RtpFields audio(uint16_t sequence, uint32_t timestamp, size_t bytes, uint8_t payload_type = kPcmu,
                bool marker = false) {
  return {sequence, timestamp, 0x11111111, payload_type, marker, bytes};
}

TEST_CASE("packets of each codec come out in the length asked for") {
  const std::vector<Case> cases = {
      {"10 ms to 20",
       20,
       {{audio(7, 0, 80, kPcmu, true)},
        {audio(8, 80, 80), 10ms},
        {audio(9, 160, 80), 10ms},
        {audio(10, 240, 80), 10ms}},
       {{7, 0, 160, true, kPcmu}, {8, 160, 160, false, kPcmu}}},
      {"the same length passes at once",
       20,
       {{audio(7, 0, 160)}, {audio(8, 160, 160), 20ms}},
       {{7, 0, 160, false, kPcmu}, {8, 160, 160, false, kPcmu}}},
      {"20 ms to 30: a packet is cut in two",
       30,
       {{audio(7, 0, 160)}, {audio(8, 160, 160), 20ms}, {audio(9, 320, 160), 20ms}},
       {{7, 0, 240, false, kPcmu}, {8, 240, 240, false, kPcmu}}},
      {"60 ms to 20: the marker stays on the first part",
       20,
       {{audio(65535, 0, 480, kPcmu, true)}, {audio(0, 480, 480), 60ms}},
       {{65535, 0, 160, true, kPcmu},
        {0, 160, 160, false, kPcmu},
        {1, 320, 160, false, kPcmu},
        {2, 480, 160, false, kPcmu},
        {3, 640, 160, false, kPcmu},
        {4, 800, 160, false, kPcmu}}},
      {"a length between is raised to whole 10 ms",
       11,
       {{audio(7, 0, 80)}, {audio(8, 80, 80), 10ms}},
       {{7, 0, 160, false, kPcmu}}},
      {"G.722 has a byte a timestamp unit when cut, too",
       20,
       {{audio(7, 0, 320, kG722)}},
       {{7, 0, 160, false, kG722}, {8, 160, 160, false, kG722}}},
      {"GSM: whole frames of 20 ms",
       10,
       {{audio(7, 0, 66, kGsm)}},
       {{7, 0, 33, false, kGsm}, {8, 160, 33, false, kGsm}}},
      {"G.729: frames of 10 ms",
       40,
       {{audio(7, 0, 20, kG729)}, {audio(8, 160, 20, kG729), 20ms}},
       {{7, 0, 40, false, kG729}}},
      {"G.729: a silence descriptor ends a packet and does not wait",
       40,
       {{audio(7, 0, 10, kG729)}, {audio(8, 80, 12, kG729), 10ms}},
       {{7, 0, 22, false, kG729}}},
      {"GSM that is no whole number of frames passes as it is",
       40,
       {{audio(7, 0, 33, kGsm)}, {audio(8, 160, 32, kGsm), 20ms}},
       {{7, 0, 33, false, kGsm}, {8, 160, 32, false, kGsm}}},
  };
  for (const Case& c : cases) check(c);
}

TEST_CASE("what is lost, late, doubled or of another kind") {
  const std::vector<Case> cases = {
      {"a hole ends a packet and stays a hole",
       20,
       {{audio(1, 0, 80)}, {audio(3, 160, 80), 20ms}, {audio(4, 240, 80), 10ms}},
       {{1, 0, 80, false, kPcmu}, {3, 160, 160, false, kPcmu}}},
      {"a pause ends one, too, without a hole in the sequence",
       20,
       {{audio(1, 0, 80)}, {audio(2, 8000, 80, kPcmu, true), 1s}, {audio(3, 8080, 80), 10ms}},
       {{1, 0, 80, false, kPcmu}, {2, 8000, 160, true, kPcmu}}},
      {"reordered within what waits: in order again",
       40,
       {{audio(1, 0, 80)},
        {audio(3, 160, 80), 10ms},
        {audio(2, 80, 80), 10ms},
        {audio(4, 240, 80), 10ms}},
       {{1, 0, 320, false, kPcmu}}},
      {"late: dropped",
       20,
       {{audio(2, 80, 80)},
        {audio(3, 160, 80), 10ms},
        {audio(1, 0, 80), 10ms, false},
        {audio(4, 240, 160), 10ms}},
       {{2, 80, 160, false, kPcmu}, {3, 240, 160, false, kPcmu}}},
      {"twice, one still waits",
       20,
       {{audio(1, 0, 80)}, {audio(1, 0, 80), 10ms, false}, {audio(2, 80, 80), 10ms}},
       {{1, 0, 160, false, kPcmu}}},
      {"an event in between goes in order, and its number with it",
       20,
       {{audio(1, 0, 80)},
        {audio(2, 80, 80), 10ms},
        {audio(3, 160, 80), 10ms},
        {audio(4, 240, 4, kEvent, true), 10ms},
        {audio(5, 240, 4, kEvent), 10ms},
        {audio(6, 560, 80), 20ms},
        {audio(7, 640, 80), 10ms}},
       {{1, 0, 160, false, kPcmu},
        {2, 160, 80, false, kPcmu},
        {3, 240, 4, true, kEvent},
        {4, 240, 4, false, kEvent},
        {5, 560, 160, false, kPcmu}}},
      {"another payload type ends a packet",
       20,
       {{audio(1, 0, 80)}, {audio(2, 80, 80, 8), 10ms}},
       {{1, 0, 80, false, kPcmu}}},
      {"what waits 40 ms goes with the next packet, however short",
       20,
       {{audio(1, 0, 40)}, {audio(2, 8000, 40), 41ms}},
       {{1, 0, 40, false, kPcmu}}},
      {"the sender starts its timestamps anew",
       20,
       {{audio(1, 80000, 160)}, {audio(2, 0, 160), 20ms}, {audio(3, 160, 160), 20ms}},
       {{1, 80000, 160, false, kPcmu}, {2, 0, 160, false, kPcmu}, {3, 160, 160, false, kPcmu}}},
      {"the sender starts its sequence and timestamps anew",
       20,
       {{audio(9000, 80000, 160)},
        {audio(100, 0, 160), 20ms, false},
        {audio(101, 160, 160), 20ms},
        {audio(102, 320, 160), 20ms}},
       {{9000, 80000, 160, false, kPcmu},
        {101, 160, 160, false, kPcmu},
        {102, 320, 160, false, kPcmu}}},
      {"a timestamp that wraps",
       20,
       {{audio(1, 0xFFFFFFB0, 80)}, {audio(2, 0, 80), 10ms}},
       {{1, 0xFFFFFFB0, 160, false, kPcmu}}},
  };
  for (const Case& c : cases) check(c);
}

TEST_CASE("video with z: nothing is changed, however long it lasts") {
  Repacketiser repacketiser(20);
  Collector sink;
  Packet last;
  for (uint32_t i = 0; i < 70'000; ++i) {
    const bool in_time = repacketiser.on_packet(
        last = testing::rtp_packet(audio(static_cast<uint16_t>(i ^ 1), i * 1000, 20, 96)),
        from_ns(int64_t{i}), sink);
    REQUIRE(in_time);
    REQUIRE(sink.packets.back() == last);
  }
}

TEST_CASE("G.723 is cut at its frames, whose lengths differ") {
  Packet packet = testing::rtp_packet(audio(1, 0, 24 + 20 + 4, kG723));
  packet[12] = std::byte{0x00};
  packet[12 + 24] = std::byte{0x01};
  packet[12 + 44] = std::byte{0x02};
  Repacketiser repacketiser(30);
  Collector sink;
  CHECK(repacketiser.on_packet(packet, from_ns(0), sink));
  CHECK(sink.sent() == std::vector<Sent>{{1, 0, 24, false, kG723},
                                         {2, 240, 20, false, kG723},
                                         {3, 480, 4, false, kG723}});
  packet[12] = std::byte{0x03};  // no such frame
  packet[3] = std::byte{2};
  CHECK(repacketiser.on_packet(packet, from_ns(1), sink));
  CHECK(sink.sent().back().payload_bytes == 48);
}

TEST_CASE("another SSRC: what waits leaves first, and the new stream has its own numbers") {
  Repacketiser repacketiser(20);
  Collector sink;
  const auto put = [&](const RtpFields& fields) {
    return repacketiser.on_packet(testing::rtp_packet(fields), from_ns(0), sink);
  };
  CHECK(put(audio(1, 0, 80)));
  CHECK(put(audio(2, 80, 80)));
  CHECK(put(audio(3, 160, 80)));
  RtpFields other = audio(500, 4000, 160);
  other.ssrc = 0x22222222;
  CHECK(put(other));
  CHECK(sink.sent() == std::vector<Sent>{{1, 0, 160, false, kPcmu},
                                         {2, 160, 80, false, kPcmu},
                                         {500, 4000, 160, false, kPcmu}});
  CHECK(read_be32(sink.packets[2], 8) == 0x22222222);
}

TEST_CASE("the end of a talk spurt leaves by the clock") {
  Repacketiser repacketiser(30);
  Collector sink;
  const Instant start = from_ns(1'000'000'000);
  // Nothing waits: whatever comes from now on is due no earlier than that.
  CHECK(repacketiser.on_time(start, sink) == start + 60ms);
  CHECK(repacketiser.on_packet(testing::rtp_packet(audio(1, 0, 160)), start + 10ms, sink));
  CHECK(repacketiser.on_time(start + 60ms, sink) == start + 70ms);
  CHECK(sink.packets.empty());
  CHECK(repacketiser.on_time(start + 70ms, sink) == start + 130ms);
  CHECK(sink.sent() == std::vector<Sent>{{1, 0, 160, false, kPcmu}});
}

TEST_CASE("what is left behind continues the sequence") {
  Repacketiser repacketiser(10);
  Collector sink;
  CHECK(repacketiser.on_packet(testing::rtp_packet(audio(5, 0, 160)), from_ns(0), sink));
  CHECK(repacketiser.on_packet(testing::rtp_packet(audio(6, 160, 160)), from_ns(0), sink));
  REQUIRE(sink.sent().back().sequence == 8);
  CHECK(repacketiser.shift().ssrc == 0x11111111);
  CHECK(static_cast<uint16_t>(7 + repacketiser.shift().offset) == 9);
}

// Every sample says where it belongs.
std::byte sample_at(uint32_t timestamp) {
  return static_cast<std::byte>((timestamp * 2654435761U) >> 24);
}

TEST_CASE("whatever lengths come and whatever is lost or reordered, samples keep their place") {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto pick = [&](uint32_t below) { return static_cast<uint32_t>(random() % below); };
    const int ptime_ms = 1 + static_cast<int>(pick(pick(2) == 0 ? 60 : 999));
    std::vector<Packet> packets;
    uint32_t timestamp = static_cast<uint32_t>(random());
    auto sequence = static_cast<uint16_t>(random());
    for (int i = 0; i < 300; ++i, ++sequence) {
      const uint32_t samples = 1 + pick(pick(4) == 0 ? 1600 : 240);
      const RtpFields fields = audio(sequence, timestamp, samples);
      Packet packet = testing::rtp_packet(fields);
      for (uint32_t s = 0; s < samples; ++s) packet[12 + s] = sample_at(timestamp + s);
      timestamp += samples;
      if (pick(20) == 0) continue;  // lost
      packets.push_back(std::move(packet));
      if (pick(20) == 0 && packets.size() > 1) std::swap(packets.back(), *(packets.end() - 2));
      if (pick(30) == 0) packets.push_back(packets.back());
    }
    Repacketiser repacketiser(ptime_ms);
    Collector sink;
    size_t samples_in = 0, samples_out = 0;
    for (size_t i = 0; i < packets.size(); ++i) {
      const Instant now = from_ns(static_cast<int64_t>(i) * 20'000'000);
      if (repacketiser.on_packet(packets[i], now, sink)) samples_in += packets[i].size() - 12;
      if (pick(3) == 0) repacketiser.on_time(now, sink);
    }
    repacketiser.on_time(from_ns(int64_t{1} << 50), sink);
    uint16_t last_sequence = 0;
    uint32_t sent_until = 0;
    for (size_t i = 0; i < sink.packets.size(); ++i) {
      const auto view = RtpView::parse(sink.packets[i]);
      REQUIRE(view);
      const uint32_t at = view->timestamp();
      const bool in_order = i == 0 || (static_cast<int32_t>(at - sent_until) >= 0 &&
                                       static_cast<int16_t>(view->sequence() - last_sequence) > 0);
      REQUIRE(in_order);
      REQUIRE(view->payload().size() <= static_cast<size_t>(ptime_ms + 9) / 10 * 80);
      for (uint32_t s = 0; s < view->payload().size(); ++s) {
        REQUIRE(view->payload()[s] == sample_at(at + s));
      }
      sent_until = at + static_cast<uint32_t>(view->payload().size());
      last_sequence = view->sequence();
      samples_out += view->payload().size();
    }
    REQUIRE(samples_out == samples_in);
  }
}

TEST_CASE("re-packetising allocates nothing") {
  if (!testing::AllocationsElsewhere::works()) return;
  struct Null final : PacketSink {
    void emit(Bytes packet) override { bytes += packet.size(); }
    size_t bytes = 0;
  } sink;
  Repacketiser repacketiser(999);
  std::vector<Packet> packets;
  for (uint32_t i = 0; i < 1000; ++i) {
    const uint32_t hole = i % 7 == 0 ? 80 : 0;
    packets.push_back(
        testing::rtp_packet(audio(static_cast<uint16_t>(i), i * 240 + hole, 1 + i % 500)));
  }
  const testing::AllocationsElsewhere allocations;
  std::atomic<int> step{0};
  std::thread other([&] {
    step = 1;
    while (step != 2) std::this_thread::yield();
    for (size_t i = 0; i < packets.size(); ++i) {
      repacketiser.on_packet(packets[i], from_ns(static_cast<int64_t>(i) * 1'000'000), sink);
    }
    step = 3;
  });
  while (step != 1) std::this_thread::yield();
  const uint64_t before = allocations.count();
  step = 2;
  while (step != 3) std::this_thread::yield();
  CHECK(allocations.count() == before);
  other.join();
  CHECK(sink.bytes > 0);
}

}  // namespace
}  // namespace relay
