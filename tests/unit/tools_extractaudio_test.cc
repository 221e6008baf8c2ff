// From packets to sound: what belongs where in time, mixing, and the formats of the output.
#include <doctest/doctest.h>
#include <sndfile.h>

#include <string>
#include <vector>

#include "relay/media/g711.h"
#include "tests/support/audio_signals.h"
#include "tests/support/packet_builder.h"
#include "tests/support/temporary_directory.h"
#include "tools/rtpp-extractaudio/extraction.h"

namespace relay::tools {
namespace {

using testing::Packet;
using testing::Samples;

constexpr int64_t kStartNs = 1'700'000'000'000'000'000;

// A packet of PCMA of constant samples, so that each can be told from the others.
struct Sent {
  uint16_t sequence = 0;
  uint32_t timestamp = 0;
  int64_t at_ms = 0;
  int16_t level = 0;  // exact in A-law: 8, 24, 40, …
  uint32_t ssrc = 1;
  size_t samples = 160;
  uint8_t payload_type = 8;
};

Capture capture_of(const std::vector<Sent>& packets) {
  Capture capture;
  for (const Sent& sent : packets) {
    Packet packet = testing::rtp_packet({.sequence = sent.sequence,
                                         .timestamp = sent.timestamp,
                                         .ssrc = sent.ssrc,
                                         .payload_type = sent.payload_type,
                                         .payload_bytes = sent.samples});
    std::fill(packet.begin() + 12, packet.end(), std::byte{g711::linear_to_a(sent.level)});
    capture.add(kStartNs + sent.at_ms * 1'000'000, packet);
  }
  return capture;
}

std::optional<Side> side_of(const std::vector<Sent>& packets) {
  Side side{capture_of(packets), {}};
  side.timeline = make_timeline(side.capture);
  return side;
}

// A stretch of equal samples, of the output.
struct Run {
  size_t samples = 0;
  int level = 0;
  bool operator==(const Run&) const = default;
};
using Runs = std::vector<Run>;

std::string to_text(const Runs& runs) {
  std::string text;
  for (const Run& run : runs) {
    text += std::to_string(run.samples) + "x" + std::to_string(run.level) + " ";
  }
  return text;
}

Samples read_sound(const std::string& path, int* channels = nullptr) {
  SF_INFO info{};
  SNDFILE* file = sf_open(path.c_str(), SFM_READ, &info);
  REQUIRE(file != nullptr);
  Samples samples(static_cast<size_t>(info.frames * info.channels));
  sf_read_short(file, samples.data(), static_cast<sf_count_t>(samples.size()));
  sf_close(file);
  if (channels != nullptr) *channels = info.channels;
  return samples;
}

Samples extracted(std::optional<Side> answer, std::optional<Side> originate, int channels,
                  bool synchronised = true) {
  const TemporaryDirectory directory;
  const auto format = choose_format("wav", "pcm_16", channels, kTimelineRateHz);
  REQUIRE(format);
  auto file = SoundFile::create(directory.file("out.wav"), *format);
  REQUIRE(file);
  const auto samples = extract(answer, originate, synchronised, channels, *file);
  REQUIRE(samples);
  REQUIRE(file->close());
  Samples sound = read_sound(directory.file("out.wav"));
  CHECK(sound.size() == samples->written * static_cast<size_t>(channels));
  return sound;
}

Runs runs_of(const Samples& samples, size_t first = 0, size_t step = 1) {
  Runs runs;
  for (size_t i = first; i < samples.size(); i += step) {
    if (runs.empty() || runs.back().level != samples[i]) runs.push_back({0, samples[i]});
    ++runs.back().samples;
  }
  return runs;
}

struct Case {
  std::string description;
  std::vector<Sent> packets;
  Runs expected;
  bool synchronised = true;
};

void run(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const Runs runs = runs_of(extracted(side_of(c.packets), std::nullopt, 1, c.synchronised));
    CHECK(to_text(runs) == to_text(c.expected));
  }
}

}  // namespace

TEST_CASE("packets are put where their timestamps say") {
  run({
      {"one after the other", {{1, 0, 0, 8}, {2, 160, 20, 24}}, {{160, 8}, {160, 24}}},
      {"jitter moves nothing", {{1, 0, 0, 8}, {2, 160, 45, 24}}, {{160, 8}, {160, 24}}},
      {"a lost packet is silent",
       {{1, 0, 0, 8}, {3, 320, 40, 24}},
       {{160, 8}, {160, 0}, {160, 24}}},
      {"a pause with running timestamps",
       {{1, 0, 0, 8}, {2, 80160, 10'020, 24}},
       {{160, 8}, {80'000, 0}, {160, 24}}},
      {"out of order",
       {{1, 0, 0, 8}, {3, 320, 40, 24}, {2, 160, 41, 40}},
       {{160, 8}, {160, 40}, {160, 24}}},
      {"the first one comes second", {{2, 160, 20, 24}, {1, 0, 21, 8}}, {{160, 8}, {160, 24}}},
      {"a repeated one counts once",
       {{1, 0, 0, 8}, {1, 0, 1, 40}, {2, 160, 20, 24}},
       {{160, 8}, {160, 24}}},
      {"sequence and timestamp wrap",
       {{65535, 0xFFFFFFA0, 0, 8}, {0, 64, 20, 24}},
       {{160, 8}, {160, 24}}},
      {"packets of other lengths",
       {{1, 0, 0, 8, 1, 80}, {2, 80, 10, 24, 1, 240}},
       {{80, 8}, {240, 24}}},
      {"timestamps slower than samples: what came first stays",
       {{1, 0, 0, 8}, {2, 100, 20, 24}},
       {{160, 8}, {100, 24}}},
      {"comfort noise and DTMF are silent",
       {{1, 0, 0, 8}, {2, 160, 20, 40, 1, 10, 13}, {3, 320, 40, 40, 1, 4, 101}, {4, 480, 60, 24}},
       {{160, 8}, {320, 0}, {160, 24}}},
  });
}

TEST_CASE("a sender that starts over begins a stretch of its own") {
  run({
      {"another SSRC starts when it arrives",
       {{1, 0, 0, 8}, {900, 77, 100, 24, 2}},
       {{160, 8}, {640, 0}, {160, 24}}},
      {"SSRCs that take turns do not disturb each other",
       {{1, 0, 0, 8}, {50, 9000, 20, 24, 2}, {2, 320, 40, 40}, {51, 9320, 60, 56, 2}},
       {{160, 8}, {160, 24}, {160, 40}, {160, 56}}},
      {"SSRCs at the same time are added", {{1, 0, 0, 8}, {50, 9000, 0, 24, 2}}, {{160, 32}}},
      {"timestamps jump back",
       {{1, 500'000, 0, 8}, {2, 0, 100, 24}},
       {{160, 8}, {640, 0}, {160, 24}}},
      {"timestamps jump ahead of the clock",
       {{1, 0, 0, 8}, {2, 500'000, 100, 24}},
       {{160, 8}, {640, 0}, {160, 24}}},
      {"sequence numbers jump",
       {{1, 0, 0, 8}, {1000, 160, 100, 24}},
       {{160, 8}, {640, 0}, {160, 24}}},
      {"a pause that timestamps do not count",
       {{1, 0, 0, 8}, {2, 160, 3000, 24}, {3, 320, 3020, 40}},
       {{160, 8}, {23'840, 0}, {160, 24}, {160, 40}}},
      {"packets held up for long come in a burst",
       {{1, 0, 0, 8}, {2, 160, 3000, 24}, {3, 320, 3000, 40}, {4, 24'160, 3020, 56}},
       {{160, 8}, {160, 24}, {160, 40}, {23'680, 0}, {160, 56}}},
      {"a clock that was set inserts no years",
       {{1, 0, 0, 8}, {2, 160, 86'400'000, 24, 2}},
       {{160, 8}, {160, 24}}},
      {"without synchronisation stretches follow each other",
       {{1, 0, 0, 8}, {900, 77, 100, 24, 2}},
       {{160, 8}, {160, 24}},
       false},
  });
}

TEST_CASE("both directions keep time with each other") {
  const auto answer = side_of({{1, 0, 0, 8}, {2, 160, 20, 24}});
  const auto originate = side_of({{7, 0, 20, 40}, {8, 160, 40, 56}});
  CHECK(to_text(runs_of(extracted(answer, originate, 1))) ==
        to_text({{160, 4}, {160, 32}, {160, 28}}));
  const Samples stereo = extracted(answer, originate, 2);
  CHECK(to_text(runs_of(stereo, 0, 2)) == to_text({{160, 8}, {160, 24}, {160, 0}}));
  CHECK(to_text(runs_of(stereo, 1, 2)) == to_text({{160, 0}, {160, 40}, {160, 56}}));
  const Samples unsynchronised = extracted(answer, originate, 2, false);
  CHECK(to_text(runs_of(unsynchronised, 1, 2)) == to_text({{160, 40}, {160, 56}}));
}

TEST_CASE("a direction alone is not halved") {
  const auto side = side_of({{1, 0, 0, 8}});
  CHECK(to_text(runs_of(extracted(side, std::nullopt, 1))) == to_text({{160, 8}}));
  CHECK(to_text(runs_of(extracted(std::nullopt, side, 1))) == to_text({{160, 8}}));
  CHECK(to_text(runs_of(extracted(side, side_of({}), 1))) == to_text({{160, 8}}));
  CHECK(to_text(runs_of(extracted(std::nullopt, side, 2), 0, 2)) == to_text({{160, 0}}));
  CHECK(extracted(std::nullopt, std::nullopt, 1).empty());
}

TEST_CASE("every codec of a call is decoded, also in turns") {
  for (const AudioCodec codec :
       {AudioCodec::pcmu, AudioCodec::pcma, AudioCodec::gsm, AudioCodec::g722, AudioCodec::g729}) {
    if (!can_transcode(codec)) continue;
    CAPTURE(traits_of(codec).name);
    const auto encoder = make_encoder(codec, {.sample_rate_hz = 8000});
    REQUIRE(encoder);
    const Samples voice = testing::voice_like(8000, 8000);
    std::vector<std::byte> payload(400);
    Side side;
    for (uint16_t i = 0; i < 50; ++i) {
      const size_t bytes = (*encoder)->encode(std::span(voice).subspan(i * 160U, 160), payload);
      Packet packet =
          testing::rtp_packet({.sequence = i,
                               .timestamp = i * 160U,
                               .payload_type = static_cast<uint8_t>(traits_of(codec).payload_type),
                               .payload_bytes = bytes});
      std::copy_n(payload.begin(), bytes, packet.begin() + 12);
      side.capture.add(kStartNs + i * 20'000'000, packet);
    }
    side.timeline = make_timeline(side.capture);
    const Samples sound = extracted(std::move(side), std::nullopt, 1);
    CHECK(sound.size() == 8000);
    CHECK(testing::best_snr_db(voice, sound, 80) > (codec == AudioCodec::g729 ? 2 : 14));
  }
  run({{"PCMA, PCMU, PCMA",
        {{1, 0, 0, 8}, {2, 160, 20, 8, 1, 160, 0}, {3, 320, 40, 8}},
        // The same byte means something else in µ-law.
        {{160, 8}, {160, g711::mu_to_linear(g711::linear_to_a(8))}, {160, 8}}}});
}

TEST_CASE("payload types that cannot be decoded are counted") {
  const auto side = side_of({{1, 0, 0, 8},
                             {2, 160, 20, 8, 1, 24, 4},
                             {3, 320, 40, 8, 1, 9, 96},
                             {4, 320, 40, 8, 1, 9, 96},
                             {5, 320, 60, 8, 1, 0, 97}});
  CHECK(side->timeline.undecoded_packets == std::map<uint8_t, size_t>{{4, 1}, {96, 2}});
  CHECK(side->timeline.end() == 160);
}

TEST_CASE("a stranger with a new SSRC in each packet costs little") {
  std::vector<Sent> packets;
  for (uint32_t i = 0; i < 20'000; ++i) packets.push_back({1, 0, i / 100, 8, i});
  const Samples sound = extracted(side_of(packets), std::nullopt, 1);
  CHECK(sound.size() == 199 * 8 + 160);
}

TEST_CASE("a sender whose timestamps outrun time cannot make the output long") {
  for (const uint32_t step : {39'200U, 41'000U, 3'000'000U, 2'000'000'000U}) {
    CAPTURE(step);
    std::vector<Sent> packets;
    for (uint16_t i = 0; i < 500; ++i) packets.push_back({i, i * step, i * 20, 8});
    // 10 s, and what one stretch may be ahead and begin ahead.
    CHECK(extracted(side_of(packets), std::nullopt, 1).size() <= 8000 * (10 + 5 + 5));
  }
}

TEST_CASE("formats are chosen by their old names") {
  struct FormatCase {
    std::string description;
    std::string file, data;
    int channels;
    int code;              // 0: refused
    std::string expected;  // part of the message
  };
  const std::vector<FormatCase> cases = {
      {"the default", "wav", "", 1, SF_FORMAT_WAV | SF_FORMAT_GSM610, ""},
      {"the default in stereo", "wav", "", 2, SF_FORMAT_WAV | SF_FORMAT_MS_ADPCM, ""},
      {"a format without the default", "au", "", 1, SF_FORMAT_AU | SF_FORMAT_PCM_16, ""},
      {"Ogg has Vorbis", "ogg", "", 1, SF_FORMAT_OGG | SF_FORMAT_VORBIS, ""},
      {"XI has differences", "xi", "", 1, SF_FORMAT_XI | SF_FORMAT_DPCM_16, ""},
      {"Opus in Ogg", "ogg", "opus", 2, SF_FORMAT_OGG | SF_FORMAT_OPUS, ""},
      {"24 bits in FLAC", "flac", "pcm_24", 2, SF_FORMAT_FLAC | SF_FORMAT_PCM_24, ""},
      {"G.721", "au", "g721_32", 1, SF_FORMAT_AU | SF_FORMAT_G721_32, ""},
      {"GSM is of one channel", "wav", "gsm610", 2, 0, "with 2 channels"},
      {"MP3 in WAV there is none", "mp3", "", 1, 0, "-F mp3: expected one of wav aiff"},
      {"no such samples", "wav", "pcm_12", 1, 0, "-D pcm_12: expected one of pcm_s8"},
      {"what does not go together", "flac", "ulaw", 1, 0, "does not write them together"},
  };
  for (const FormatCase& c : cases) {
    CAPTURE(c.description);
    const auto format = choose_format(c.file, c.data, c.channels, 8000);
    CHECK(format.has_value() == (c.code != 0));
    if (format) {
      CHECK(format->code == c.code);
    } else {
      CHECK(format.error().message.find(c.expected) != std::string::npos);
    }
  }
}

TEST_CASE("every file format that can be written can be read again") {
  const std::string names = file_format_names() + " ";
  int written = 0;
  for (size_t at = 0; at < names.size();) {
    const size_t end = names.find(' ', at);
    const std::string name = names.substr(at, end - at);
    at = end + 1;
    CAPTURE(name);
    const auto format = choose_format(name, "", 1, 8000);
    // Not all builds of libsndfile write everything, and raw data does not say what it is.
    if (!format || name == "raw") continue;
    const TemporaryDirectory directory;
    auto file = SoundFile::create(directory.file("out." + name), *format);
    REQUIRE(file);
    const Samples voice = testing::voice_like(8000, 1600);
    REQUIRE(file->write(voice));
    REQUIRE(file->close());
    int channels = 0;
    const Samples back = read_sound(directory.file("out." + name), &channels);
    CHECK(channels == 1);
    // Vorbis rounds up to its blocks, GSM and ADPCM to theirs.
    CHECK(back.size() >= voice.size());
    CHECK(testing::best_snr_db(voice, back, 0) > 3);
    ++written;
  }
  CHECK(written >= 15);
}

TEST_CASE("an output that cannot be made is refused by name") {
  const auto format = choose_format("wav", "", 1, 8000);
  const auto file = SoundFile::create("/nonexistent/out.wav", *format);
  REQUIRE_FALSE(file);
  CHECK(file.error().message.find("/nonexistent/out.wav") == 0);
}

}  // namespace relay::tools
