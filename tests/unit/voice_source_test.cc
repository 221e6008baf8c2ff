#include <doctest/doctest.h>

#include <chrono>
#include <memory>
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
    spoken.payload.fill(std::byte{0x55});
    CHECK(path->spoken.push(std::move(spoken)));
  }
  void play() {
    now = std::max(now, next);
    next = source->play(now, output);
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
};

TEST_CASE("one stream without a gap, of frames and of noise between them") {
  Fixture f(OtherParty::silent);
  f.start();
  for (int i = 0; i < 3; ++i) f.play();
  f.frame(0, true);
  f.frame(0);
  for (int i = 0; i < 5; ++i) f.play();
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
  for (int i = 0; i < 5; ++i) f.play();
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
  CHECK(f.next == f.now + 20ms);
  const auto rtp = RtpView::parse(f.output.rtp[1]);
  CHECK(rtp->timestamp() == kBeginning.random_timestamp + 500 * 8);
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
  for (int i = 0; i < 260; ++i) f.play();
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
