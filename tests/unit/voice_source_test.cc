#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "relay/rtp/analyser.h"
#include "relay/rtp/rtp_header.h"
#include "relay/voice/voice_source.h"
#include "tests/support/packet_builder.h"

namespace relay {
namespace {

using namespace std::chrono_literals;
using testing::Packet;

constexpr Instant kStart = Instant(100s);
constexpr uint32_t kOther = 0x11111111;
constexpr std::byte kSpoken{0x55}, kTheirs{0xD5};
constexpr VoiceSource::Beginning kBeginning{0xAAAA0001, 5000, 65530};

class Collector final : public SourceOutput {
 public:
  void emit(Component component, Bytes packet) override {
    auto& into = component == Component::rtp ? rtp : rtcp;
    into.emplace_back(packet.begin(), packet.end());
  }
  std::vector<Packet> rtp, rtcp;
};

struct Fixture {
  explicit Fixture(OtherParty other_party, bool idle_noise = true) {
    VoiceStreamFormat format;
    if (idle_noise) format.idle_payloads = {Packet(160, std::byte{0xFE}), Packet(160)};
    source = std::make_unique<VoiceSource>(1, path, format, other_party, kBeginning);
  }
  void start(const RtpStreamState& heard = {}) { source->start(heard, shift, kStart); }
  void frame(uint32_t epoch, bool first = false) {
    SpokenFrame spoken;
    spoken.epoch = epoch;
    spoken.starts_talk_spurt = first;
    spoken.payload_bytes = 160;
    spoken.payload.fill(kSpoken);
    CHECK(path->spoken.push(std::move(spoken)));
  }
  void play() {
    now = std::max(now, next);
    next = source->play(now, output);
    left.resize(output.rtp.size(), now);
  }
  // All that is due until then, and then it is then.
  void until(Duration since_start) {
    while (next <= kStart + since_start) play();
    now = kStart + since_start;
  }
  // As the plane does it: what comes back is shifted where the SSRC fits.
  Packet pass(const Packet& packet, PacketKind kind = PacketKind::rtp) {
    std::vector<std::byte> scratch(8192);
    const Bytes leaving = source->instead_of(kind, packet, now, scratch);
    Packet result(leaving.begin(), leaving.end());
    if (kind == PacketKind::rtp && !result.empty() && read_be32(result, 8) == shift.ssrc) {
      const auto sequence = static_cast<uint16_t>(read_be16(result, 2) + shift.offset);
      result[2] = static_cast<std::byte>(sequence >> 8);
      result[3] = static_cast<std::byte>(sequence & 0xFF);
    }
    return result;
  }
  std::shared_ptr<VoicePath> path = std::make_shared<VoicePath>();
  std::unique_ptr<VoiceSource> source;
  SequenceShift shift;
  Collector output;
  Instant now = kStart, next = kStart;
  std::vector<Instant> left;  // of output.rtp
};

TEST_CASE("one stream without a gap, of frames and of noise between them") {
  Fixture f(OtherParty::silent);
  f.start();
  f.until(40ms);
  f.frame(0, true);
  f.frame(0);
  f.until(140ms);
  REQUIRE(f.output.rtp.size() == 8);
  for (size_t i = 0; i < 8; ++i) {
    const auto rtp = RtpView::parse(f.output.rtp[i]);
    REQUIRE(rtp);
    CHECK(rtp->ssrc() == kBeginning.random_ssrc);
    CHECK(rtp->sequence() == static_cast<uint16_t>(kBeginning.random_sequence + i));
    CHECK(rtp->timestamp() == kBeginning.random_timestamp + 160 * i);
    CHECK(rtp->marker() == (i == 0 || i == 3));
  }
  CHECK(f.pass(testing::rtp_packet({})).empty());
  CHECK(f.path->frames_spoken.get() == 2);
}

TEST_CASE("frames of an earlier epoch are not spoken") {
  Fixture f(OtherParty::silent, false);
  f.start();
  for (int i = 0; i < 5; ++i) f.frame(0);
  f.play();
  f.path->epoch.store(1);
  f.frame(1);
  f.until(100ms);
  CHECK(f.output.rtp.size() == 2);
  CHECK(f.path->frames_discarded.get() == 4);
  CHECK(f.path->frames_taken.load() == 6);
}

TEST_CASE("a thread that was held up does not burst") {
  Fixture f(OtherParty::silent);
  f.start();
  f.play();
  f.now += 500ms;
  f.play();
  f.until(520ms);
  CHECK(f.left == std::vector<Instant>{kStart, kStart + 500ms, kStart + 520ms});
  const auto rtp = RtpView::parse(f.output.rtp[1]);
  CHECK(rtp->timestamp() == kBeginning.random_timestamp + 500 * 8);
}

// What has left since packet `from`: when, of which slot by the timestamp (both in ms), M for the
// marker, n for noise. The sequence numbers have no gap.
std::string left_since(const Fixture& f, size_t from) {
  std::string all;
  for (size_t i = from; i < f.output.rtp.size(); ++i) {
    const auto rtp = RtpView::parse(f.output.rtp[i]);
    REQUIRE(rtp);
    CHECK(rtp->sequence() == static_cast<uint16_t>(kBeginning.random_sequence + i));
    const uint32_t units = rtp->timestamp() - kBeginning.random_timestamp;
    CHECK(units % 160 == 0);
    all += std::to_string((f.left[i] - kStart) / 1ms) + "/" + std::to_string(units / 8) +
           (rtp->marker() ? "M" : "") + (rtp->payload()[0] == kSpoken ? " " : "n ");
  }
  return all;
}

// Noise leaves at 0 and 20 ms before all this.
TEST_CASE("an answer leaves up to 10 ms before its slot, and so does the talk spurt") {
  struct Case {
    std::string description;
    OtherParty other_party;
    bool idle_noise;
    std::vector<int> frames_ms;  // negative: the queue is cleared
    std::string left;
  };
  constexpr auto kSilent = OtherParty::silent;
  const std::vector<Case> cases = {
      {"early, with more behind it, and back to the slots by 1 ms a packet",
       kSilent,
       true,
       {25, 25, 25},
       "30/40M 50/60 70/80 90/100n 111/120n 132/140n "},
      {"too late for that",
       kSilent,
       true,
       {35, 35, 35},
       "40/40M 60/60 80/80 100/100n 120/120n 140/140n "},
      {"one that grows no lead in its midst",
       kSilent,
       true,
       {35, 41, 61, 81},
       "40/40M 60/60 80/80 100/100 120/120n 140/140n "},
      {"a frame that misses the lead",
       kSilent,
       true,
       {25, 52},
       "30/40M 50/60n 70/80M 90/100n 111/120n 132/140n "},
      {"the next one while noise falls back",
       kSilent,
       true,
       {25, 75},
       "30/40M 50/60n 71/80n 90/100M 110/120n 131/140n "},
      {"cleared, and another answer at once",
       kSilent,
       true,
       {25, 25, 25, 25, -55, 56},
       "30/40M 50/60 70/80M 90/100n 111/120n 132/140n "},
      {"a stream that pauses", kSilent, false, {25, 25, 135}, "30/40M 50/60 140/140 "},
      {"the other party has not been heard",
       OtherParty::muted,
       true,
       {105},
       "40/40n 60/60n 80/80n 100/100n 110/120M 130/140n "},
      {"mixed by a clock: no lead",
       OtherParty::mixed_in,
       true,
       {25, 45, 65, 85, 105, 125},
       "40/40M 60/60 80/80 100/100 120/120 140/140 "},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Fixture f(c.other_party, c.idle_noise);
    f.start();
    f.until(24ms);
    const size_t before = f.output.rtp.size();
    CHECK(before == (c.idle_noise ? 2 : 0));
    uint32_t epoch = 0;
    bool first = true;
    for (const int at_ms : c.frames_ms) {
      f.until(std::abs(at_ms) * 1ms);
      if (at_ms < 0) f.path->epoch.store(++epoch);
      if (at_ms >= 0) f.frame(epoch, first);
      first = at_ms < 0;
    }
    f.until(140ms);
    CHECK(left_since(f, before) == c.left);
  }
}

TEST_CASE("a thread that was held up goes on from then, without the lead") {
  Fixture f(OtherParty::silent);
  f.start();
  f.until(25ms);
  for (int i = 0; i < 4; ++i) f.frame(0, i == 0);
  f.until(30ms);
  f.now = kStart + 160ms;
  f.play();
  f.until(200ms);
  CHECK(left_since(f, 2) == "30/40M 160/160 180/180 200/200 ");
}

TEST_CASE("the hang-over begins with the slot, not with the lead") {
  Fixture f(OtherParty::muted, false);
  f.start();
  f.until(25ms);
  f.frame(0, true);
  f.until(235ms);
  CHECK(f.pass(testing::rtp_packet({.sequence = 1, .ssrc = kOther})).empty());
  f.until(255ms);
  CHECK_FALSE(f.pass(testing::rtp_packet({.sequence = 2, .ssrc = kOther})).empty());
}

RtpStreamState heard_stream(uint16_t sequences, uint8_t payload_type = 0) {
  RtpAnalyser analyser;
  for (uint16_t i = 0; i < sequences; ++i) {
    analyser.on_packet(testing::rtp_packet({.sequence = static_cast<uint16_t>(100 + i),
                                            .timestamp = 1000 + 160U * i,
                                            .ssrc = kOther,
                                            .payload_type = payload_type}),
                       kStart - (sequences - i) * Duration(20ms));
  }
  return analyser.state();
}

TEST_CASE("a stream the party has been hearing goes on, and they go on with it afterwards") {
  Fixture f(OtherParty::muted, false);
  f.start(heard_stream(10));  // the last: sequence 109, timestamp 2440, 20 ms ago
  f.frame(0, true);
  f.frame(0);
  f.play();
  CHECK(f.pass(testing::rtp_packet({.sequence = 110, .timestamp = 2600, .ssrc = kOther})).empty());
  f.play();
  CHECK(f.pass(testing::rtp_packet({.sequence = 111, .timestamp = 2760, .ssrc = kOther})).empty());
  REQUIRE(f.output.rtp.size() == 2);
  CHECK(RtpView::parse(f.output.rtp[0])->ssrc() == kOther);
  CHECK(RtpView::parse(f.output.rtp[0])->sequence() == 110);
  CHECK(RtpView::parse(f.output.rtp[0])->timestamp() == 2600);
  CHECK(RtpView::parse(f.output.rtp[1])->sequence() == 111);

  f.frame(0);  // one more than they have sent
  f.play();
  f.now += 300ms;  // the hang-over is over
  const Packet after =
      f.pass(testing::rtp_packet({.sequence = 112, .timestamp = 2920, .ssrc = kOther}));
  REQUIRE_FALSE(after.empty());
  CHECK(RtpView::parse(after)->sequence() == 113);
  CHECK(RtpView::parse(after)->ssrc() == kOther);
  // And when the source is gone, the shift stays.
  CHECK(f.shift.ssrc == kOther);
  CHECK(f.shift.offset == 1);
}

TEST_CASE("the first packet comes when the other party's last one has been heard") {
  Fixture f(OtherParty::silent);
  f.now = f.next = kStart - 15ms;
  f.source->start(heard_stream(10), f.shift, f.now);  // the last: timestamp 2440, 5 ms ago
  f.until(20ms);
  CHECK(f.left == std::vector<Instant>{kStart, kStart + 20ms});
  CHECK(RtpView::parse(f.output.rtp[0])->timestamp() == 2600);
  CHECK(RtpView::parse(f.output.rtp[1])->timestamp() == 2760);
}

TEST_CASE("the other party is passed as part of our stream where it is another one") {
  Fixture f(OtherParty::muted, false);
  f.start();
  f.frame(0, true);
  f.play();
  f.now += 300ms;
  std::vector<uint16_t> sequences;
  std::vector<uint32_t> timestamps;
  for (const uint16_t sequence : {uint16_t{500}, uint16_t{501}, uint16_t{503}, uint16_t{502}}) {
    const Packet out = f.pass(
        testing::rtp_packet({.sequence = sequence, .timestamp = 160U * sequence, .ssrc = kOther}));
    REQUIRE_FALSE(out.empty());
    CHECK(RtpView::parse(out)->ssrc() == kBeginning.random_ssrc);
    CHECK(RtpView::parse(out)->marker() == (sequence == 500));
    sequences.push_back(RtpView::parse(out)->sequence());
    timestamps.push_back(RtpView::parse(out)->timestamp());
  }
  CHECK(sequences == std::vector<uint16_t>{65531, 65532, 65534, 65533});  // their gap, their order
  CHECK(timestamps[0] == kBeginning.random_timestamp + 300 * 8);
  CHECK(timestamps[2] == timestamps[0] + 3 * 160);
  f.frame(0, true);
  f.play();
  CHECK(RtpView::parse(f.output.rtp.back())->sequence() == 65535);
}

// What reaches the party, in order: of ours and of the other party's.
struct Reached {
  Instant at;
  Packet packet;
};

struct TheirSpeech {
  int packet_ms, phase_ms;
  bool idle_noise, is_heard;  // before the source is there
};

// They speak all the time, the endpoint for 60 ms from 407 on.
std::vector<Reached> spurt_within(const TheirSpeech& speech) {
  Fixture f(OtherParty::muted, speech.idle_noise);
  f.start(speech.is_heard ? heard_stream(10) : RtpStreamState{});
  std::vector<Reached> reached;
  for (int ms = 0; ms < 1000; ++ms) {
    const size_t before = f.output.rtp.size();
    f.until(ms * 1ms);
    for (size_t i = before; i < f.output.rtp.size(); ++i) {
      reached.push_back({f.left[i], f.output.rtp[i]});
    }
    for (int i = 0; ms == 407 && i < 3; ++i) f.frame(0, i == 0);
    if (ms % speech.packet_ms != speech.phase_ms) continue;
    const int number = ms / speech.packet_ms;
    Packet theirs = f.pass(testing::rtp_packet(
        {.sequence = static_cast<uint16_t>(110 + number),
         .timestamp = 2600 + static_cast<uint32_t>(8 * speech.packet_ms * number),
         .ssrc = kOther,
         .payload_bytes = static_cast<size_t>(8 * speech.packet_ms)}));
    if (!theirs.empty()) reached.push_back({f.now, std::move(theirs)});
  }
  return reached;
}

void check_spurt_within(const TheirSpeech& speech) {
  const auto reached = spurt_within(speech);
  std::vector<Duration> spoken;
  int theirs = 0;
  for (size_t i = 0; i < reached.size(); ++i) {
    const auto rtp = RtpView::parse(reached[i].packet);
    REQUIRE(rtp);
    const bool is_spoken = rtp->payload()[0] == kSpoken;
    if (is_spoken && spoken.empty()) CHECK(rtp->marker());
    if (is_spoken) spoken.push_back(reached[i].at - kStart);
    theirs += rtp->payload()[0] == kTheirs ? 1 : 0;
    if (i == 0) continue;
    const auto before = RtpView::parse(reached[i - 1].packet);
    CHECK(rtp->sequence() == static_cast<uint16_t>(before->sequence() + 1));
    CHECK(static_cast<int32_t>(rtp->timestamp() - before->timestamp()) >=
          std::ssize(before->payload()));
    if (speech.idle_noise && speech.packet_ms == 20) {
      CHECK(reached[i].at - reached[i - 1].at <= 40ms);
    }
  }
  const auto first = RtpView::parse(reached.front().packet);
  if (speech.is_heard) CHECK(first->timestamp() == 2600);  // as it came: they go on
  if (speech.is_heard) CHECK_FALSE(first->marker());
  REQUIRE(spoken.size() == 3);
  CHECK(spoken.front() <= 417ms);
  // All but those 60 ms, the hang-over, and two packets at each of the two turns.
  CHECK(theirs >= (1000 - 60 - 200) / speech.packet_ms - 4);
}

TEST_CASE("no two packets speak of the same time, whenever the other party's come") {
  for (const int packet_ms : {20, 30, 60}) {
    for (int n = 0; n < 4 * packet_ms; ++n) {
      const TheirSpeech speech{packet_ms, n / 4, n % 2 != 0, n / 2 % 2 != 0};
      CAPTURE(speech.packet_ms);
      CAPTURE(speech.phase_ms);
      CAPTURE(speech.idle_noise);
      CAPTURE(speech.is_heard);
      check_spurt_within(speech);
    }
  }
}

TEST_CASE("another clock rate begins a stream of its own") {
  Fixture f(OtherParty::silent);
  f.start(heard_stream(10, 111));
  f.play();
  CHECK(RtpView::parse(f.output.rtp[0])->ssrc() == kBeginning.random_ssrc);
  CHECK(f.shift.ssrc == 0);
}

TEST_CASE("sender reports are ours, receiver reports theirs") {
  Fixture f(OtherParty::silent);
  f.start();
  f.until(260 * 20ms);
  REQUIRE(f.output.rtcp.size() == 1);
  const Packet& report = f.output.rtcp[0];
  CHECK(read_be32(report, 4) == kBeginning.random_ssrc);
  CHECK(read_be32(report, 20) == 251);        // packets
  CHECK(read_be32(report, 24) == 251 * 160);  // octets
  CHECK(read_be32(report, 16) == kBeginning.random_timestamp + 5000 * 8);

  Packet theirs{std::byte{0x81}, std::byte{200}};
  testing::append_be16(theirs, 12);
  testing::append_be32(theirs, kOther);
  for (uint32_t i = 0; i < 5; ++i) testing::append_be32(theirs, 1000 + i);  // sender information
  for (uint32_t i = 0; i < 6; ++i) testing::append_be32(theirs, 2000 + i);  // a report block
  const Packet passed = f.pass(theirs, PacketKind::rtcp);
  REQUIRE(passed.size() == 32);
  CHECK(static_cast<uint8_t>(passed[1]) == 201);
  CHECK(read_be16(passed, 2) == 7);
  CHECK(read_be32(passed, 4) == kBeginning.random_ssrc);
  CHECK(read_be32(passed, 8) == 2000);
  Packet cut = theirs;
  cut.resize(20);
  CHECK(f.pass(cut, PacketKind::rtcp).empty());
}

}  // namespace
}  // namespace relay
