#include <doctest/doctest.h>

#include <sndfile.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "relay/media/g711.h"
#include "relay/media/recorder.h"
#include "relay/media/wav_file.h"
#include "tests/support/packet_builder.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/worker_call.h"

namespace relay {
namespace {

using namespace testing;
using std::chrono::milliseconds;

constexpr size_t kPacketSamples = 160;

struct Sound {
  int rate_hz = 0, channels = 0;
  std::vector<int16_t> left, right;
};

Sound read_sound(const std::string& path) {
  SF_INFO info{};
  SNDFILE* file = sf_open(path.c_str(), SFM_READ, &info);
  REQUIRE(file != nullptr);
  std::vector<int16_t> samples(static_cast<size_t>(info.frames * info.channels));
  CHECK(sf_readf_short(file, samples.data(), info.frames) == info.frames);
  sf_close(file);
  Sound sound{info.samplerate, info.channels, {}, {}};
  for (size_t i = 0; i + 1 < samples.size(); i += 2) {
    sound.left.push_back(samples[i]);
    sound.right.push_back(samples[i + 1]);
  }
  return sound;
}

// A file being written; one party's packets are of one value each, which G.711 keeps.
class Writing {
 public:
  explicit Writing(const TemporaryDirectory& directory)
      : directory_(RecordDirectory::open(directory.file("")).value()),
        file_(directory_.create("call.wav").value()),
        path_(directory.file("call.wav")) {}

  Result<bool> write(LegId leg, int at_ms, const RtpFields& fields, int16_t value = 1000) {
    Packet bytes = rtp_packet(fields);
    for (size_t i = 12; i < bytes.size(); ++i) bytes[i] = std::byte{g711::linear_to_a(value)};
    return write(leg, at_ms, bytes);
  }
  Result<bool> write(LegId leg, int at_ms, const Packet& bytes) {
    RecordedPacket packet;
    packet.leg = leg;
    packet.arrival = start_ + milliseconds(at_ms);
    packet.bytes = bytes;
    return file_.write(packet);
  }
  Sound finish() {
    CHECK(file_.finish());
    return read_sound(path_);
  }
  WavFile& file() { return file_; }

 private:
  RecordDirectory directory_;
  WavFile file_;
  const std::string path_;
  const Instant start_ = steady_now();
};

RtpFields alaw(uint16_t sequence, uint32_t timestamp, uint32_t ssrc = 1) {
  return {.sequence = sequence, .timestamp = timestamp, .ssrc = ssrc, .payload_type = 8};
}

// The value of the sample in the middle of the packet that begins there.
int16_t at(const std::vector<int16_t>& samples, size_t position) {
  REQUIRE(samples.size() > position + 80);
  return samples[position + 80];
}

int16_t kept(int16_t value) {
  return g711::a_to_linear(g711::linear_to_a(value));
}

TEST_CASE("the caller is left, the callee right, and their packets are where they were sent") {
  const TemporaryDirectory directory;
  Writing call(directory);
  for (uint16_t i = 0; i < 100; ++i) {
    // Arrival jitters; the timestamps say when it was spoken.
    const int jitter_ms = i % 5 == 3 ? 15 : 0;
    REQUIRE(*call.write(LegId::caller, 20 * i + jitter_ms, alaw(i, 4000 + 160U * i),
                        static_cast<int16_t>(1000 + 100 * i)));
    if (i >= 50) {
      REQUIRE(*call.write(LegId::callee, 20 * i, alaw(i, 77 + 160U * i, 2),
                          static_cast<int16_t>(-1000 - 100 * i)));
    }
  }
  const Sound sound = call.finish();
  CHECK(sound.rate_hz == 8000);
  CHECK(sound.channels == 2);
  REQUIRE(sound.left.size() == 100 * kPacketSamples);
  for (size_t i = 0; i < 100; ++i) {
    const int n = static_cast<int>(i);
    CHECK(at(sound.left, i * kPacketSamples) == kept(static_cast<int16_t>(1000 + 100 * n)));
    const auto right = i < 50 ? int16_t{0} : kept(static_cast<int16_t>(-1000 - 100 * n));
    CHECK(at(sound.right, i * kPacketSamples) == right);
  }
}

TEST_CASE("what is missing is silent, what comes late or twice finds its place") {
  const TemporaryDirectory directory;
  Writing call(directory);
  const auto send = [&](uint16_t i, int at_ms) {
    return call.write(LegId::caller, at_ms, alaw(i, 160U * i), static_cast<int16_t>(500 * (i + 1)));
  };
  REQUIRE(*send(0, 0));
  REQUIRE(*send(1, 20));
  REQUIRE(*send(4, 80));  // 2 comes late, 3 never
  REQUIRE(*send(2, 85));
  REQUIRE(*send(2, 86));
  const Sound sound = call.finish();
  REQUIRE(sound.left.size() == 5 * kPacketSamples);
  for (const int i : {0, 1, 2, 4}) {
    CHECK(at(sound.left, static_cast<size_t>(i) * kPacketSamples) ==
          kept(static_cast<int16_t>(500 * (i + 1))));
  }
  CHECK(at(sound.left, 3 * kPacketSamples) == 0);
}

TEST_CASE("timestamps that jump, and other streams, begin where they arrive") {
  const TemporaryDirectory directory;
  Writing call(directory);
  REQUIRE(*call.write(LegId::caller, 0, alaw(1, 160), 1000));
  SUBCASE("a jump") {
    REQUIRE(*call.write(LegId::caller, 1000, alaw(2, 4'000'000'000), 2000));
  }
  SUBCASE("a pause in which timestamps stood still") {
    REQUIRE(*call.write(LegId::caller, 1000, alaw(2, 320), 2000));
  }
  SUBCASE("another SSRC") {
    REQUIRE(*call.write(LegId::caller, 1000, alaw(2, 320, 9), 2000));
  }
  SUBCASE("the timestamp wraps") {
    REQUIRE(*call.write(LegId::caller, 980, alaw(2, 4294967216U, 9), 1500));
    REQUIRE(*call.write(LegId::caller, 1000, alaw(3, 80, 9), 2000));
  }
  const Sound sound = call.finish();
  REQUIRE(sound.left.size() == 8000 + kPacketSamples);
  CHECK(at(sound.left, 0) == kept(1000));
  CHECK(at(sound.left, 8000) == kept(2000));
  CHECK(at(sound.left, 4000) == 0);
}

TEST_CASE("what is no audio we can decode is left out and said so") {
  const TemporaryDirectory directory;
  Writing call(directory);
  struct Case {
    std::string description;
    Packet packet;
    bool expected;
  };
  const std::vector<Case> cases = {
      {"a dynamic payload type", rtp_packet({.payload_type = 96}), false},
      {"G.723.1", rtp_packet({.payload_type = 4}), false},
      {"no RTP", {std::byte{0}, std::byte{1}}, false},
      {"comfort noise: silence", rtp_packet({.payload_type = 13}), true},
      {"an empty packet", rtp_packet({.payload_type = 8, .payload_bytes = 0}), true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto written = call.write(LegId::caller, 0, c.packet);
    REQUIRE(written);
    CHECK(*written == c.expected);
  }
  CHECK(call.finish().left.empty());
}

TEST_CASE("wideband audio of the first packet makes a wideband file") {
  const TemporaryDirectory directory;
  Writing call(directory);
  for (uint16_t i = 0; i < 50; ++i) {
    REQUIRE(*call.write(LegId::callee, 20 * i,
                        rtp_packet({.sequence = i, .timestamp = 160U * i, .payload_type = 9})));
    REQUIRE(*call.write(LegId::caller, 20 * i, alaw(i, 160U * i), 8000));
  }
  const Sound sound = call.finish();
  CHECK(sound.rate_hz == 16000);
  CHECK(sound.left.size() >= 16000 - 320);
  CHECK(sound.left.size() <= 16000);
  CHECK(std::abs(at(sound.left, 8000) - kept(8000)) < 200);
}

TEST_CASE("a sender that sprays streams does not make the file longer than the call") {
  const TemporaryDirectory directory;
  Writing call(directory);
  for (uint16_t i = 0; i < 2000; ++i) {
    RtpFields fields = alaw(i, i * 90000U, i);
    fields.payload_bytes = 8000;
    CHECK(call.write(LegId::caller, i, fields));
  }
  CHECK(call.finish().left.size() <= 2000 * 8 + 8000);
}

TEST_CASE("a file can be heard while it is written, and a packet too late for it is refused") {
  const TemporaryDirectory directory;
  Writing call(directory);
  for (uint16_t i = 0; i < 100; ++i) {
    REQUIRE(*call.write(LegId::caller, 20 * i, alaw(i, 160U * i)));
  }
  REQUIRE(call.file().flush());
  const Sound sound = read_sound(directory.file("call.wav"));
  CHECK(sound.left.size() >= 11000);
  CHECK(sound.left.size() <= 12000);
  CHECK_FALSE(*call.write(LegId::caller, 1990, alaw(60, 160 * 60)));
  CHECK(call.finish().left.size() == 16000);
}

TEST_CASE("the recorder writes sound files of both legs and counts what it leaves out") {
  const TemporaryDirectory directory;
  RecorderSettings settings;
  settings.directory = directory.file("");
  settings.format = RecordFormat::wav;
  auto recorder = Recorder::start(settings);
  REQUIRE(recorder);
  {
    auto recording = (*recorder)->begin({"call.wav", ""});
    REQUIRE(recording);
    RecordingTap tap(*recording);
    for (uint16_t i = 0; i < 10; ++i) {
      const Packet good = rtp_packet({.sequence = i, .timestamp = 160U * i, .payload_type = 8});
      const Packet bad = rtp_packet({.sequence = i, .payload_type = 101});
      for (const Packet& bytes : {good, bad}) {
        TappedPacket packet;
        packet.leg = LegId::caller;
        packet.kind = PacketKind::rtp;
        packet.bytes = bytes;
        packet.arrival = steady_now();
        tap.offer(packet);
      }
    }
    CHECK(
        eventually([&] { return (*recording)->packets() == 10 && (*recording)->missing() == 10; }));
  }
  recorder->reset();
  CHECK(read_sound(directory.file("call.wav")).left.size() >= 10 * kPacketSamples);
}

}  // namespace
}  // namespace relay
