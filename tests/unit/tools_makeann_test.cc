#include <doctest/doctest.h>
#include <sndfile.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "relay/media/codec.h"
#include "relay/media/g711.h"
#include "tests/support/audio_signals.h"
#include "tests/support/temporary_directory.h"
#include "tools/rtpp-makeann/announcement.h"
#include "tools/rtpp-makeann/pcm_file.h"

namespace relay::tools {
namespace {

using testing::Samples;

std::string raw_bytes(const Samples& samples) {
  std::string bytes;
  for (const int16_t sample : samples) {
    bytes += static_cast<char>(sample & 0xFF);
    bytes += static_cast<char>((sample >> 8) & 0xFF);
  }
  return bytes;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string mu_law(const Samples& samples) {
  std::string bytes;
  for (const int16_t sample : samples) bytes += static_cast<char>(g711::linear_to_mu(sample));
  return bytes;
}

void write_wav(const std::string& path, const std::vector<float>& interleaved, int channels,
               int rate_hz, int format) {
  SF_INFO info{};
  info.channels = channels;
  info.samplerate = rate_hz;
  info.format = format;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  REQUIRE(file != nullptr);
  const auto count = static_cast<sf_count_t>(interleaved.size());
  CHECK(sf_write_float(file, interleaved.data(), count) == count);
  sf_close(file);
}

}  // namespace

TEST_CASE("an announcement has a file for each codec, of the right length") {
  struct Case {
    std::string description;
    size_t samples;
    AnnouncementOptions options;
    size_t pcm_bytes;    // of G.711
    size_t block_count;  // of 160 samples, for the others
  };
  const std::vector<Case> cases = {
      {"whole blocks", 320, {}, 320, 2},
      {"a part of a block is padded", 321, {}, 321, 3},
      {"one sample", 1, {}, 1, 1},
      {"a limit", 1000, {.limit = 200}, 200, 2},
      {"a limit beyond the input", 100, {.limit = 200}, 100, 1},
      {"a limit with rewinding", 100, {.limit = 1050, .rewind = true}, 1050, 7},
      {"a limit on the end of the input", 100, {.limit = 300, .rewind = true}, 300, 2},
      {"no limit at all", 100, {.limit = ~uint64_t{0}}, 100, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const TemporaryDirectory directory;
    const Samples voice = testing::voice_like(8000, c.samples);
    const std::string input = directory.write("in.sln", raw_bytes(voice));
    const auto pcm = load_pcm(input);
    REQUIRE(pcm);
    CHECK(pcm->samples == voice);
    CHECK(pcm->warning.empty());
    REQUIRE(write_announcement(*pcm, directory.file("out"), input, c.options));
    Samples expected;
    while (expected.size() < c.pcm_bytes) {
      expected.push_back(voice[expected.size() % voice.size()]);
    }
    CHECK(read_file(directory.file("out.0")) == mu_law(expected));
    CHECK(read_file(directory.file("out.8")).size() == c.pcm_bytes);
    CHECK(read_file(directory.file("out.3")).size() == 33 * c.block_count);
    CHECK(read_file(directory.file("out.9")).size() == 160 * c.block_count);
    const bool has_g729 = can_transcode(AudioCodec::g729);
    CHECK(std::filesystem::exists(directory.file("out.18")) == has_g729);
    if (has_g729) CHECK(read_file(directory.file("out.18")).size() == 20 * c.block_count);
    const auto entries = std::filesystem::directory_iterator(directory.file(""));
    CHECK(std::distance(begin(entries), end(entries)) == (has_g729 ? 6 : 5));
  }
}

TEST_CASE("each file of an announcement decodes to the announcement") {
  const TemporaryDirectory directory;
  const Samples voice = testing::voice_like(8000, 8000);
  const std::string input = directory.write("in.sln", raw_bytes(voice));
  REQUIRE(write_announcement(*load_pcm(input), input, input, {}));
  struct Case {
    std::string description;
    AudioCodec codec;
    double snr_min_db;
  };
  for (const Case& c : std::vector<Case>{{"PCMU", AudioCodec::pcmu, 35},
                                         {"PCMA", AudioCodec::pcma, 35},
                                         {"GSM", AudioCodec::gsm, 14},
                                         {"G.722", AudioCodec::g722, 30}}) {
    CAPTURE(c.description);
    const std::string payload =
        read_file(input + "." + std::to_string(traits_of(c.codec).payload_type));
    const auto decoder = make_decoder(c.codec, {.sample_rate_hz = 8000});
    REQUIRE(decoder);
    Samples back(8000);
    CHECK((*decoder)->decode(std::as_bytes(std::span(payload)), back) == 8000);
    CHECK(testing::best_snr_db(voice, back, 40) >= c.snr_min_db);
  }
}

TEST_CASE("WAV files of any rate and sample format are read") {
  struct Case {
    std::string description;
    int rate_hz, channels, format;
    double snr_min_db;
  };
  const std::vector<Case> cases = {
      {"16 bits at 8 kHz", 8000, 1, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 60},
      {"float at 48 kHz", 48000, 1, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 45},
      {"stereo at 44.1 kHz", 44100, 2, SF_FORMAT_WAV | SF_FORMAT_PCM_24, 45},
      {"8 bits at 16 kHz", 16000, 1, SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 30},
      {"RF64", 8000, 1, SF_FORMAT_RF64 | SF_FORMAT_PCM_16, 60},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const TemporaryDirectory directory;
    const auto rate_hz = static_cast<uint32_t>(c.rate_hz);
    std::vector<float> sound;
    for (const int16_t sample : testing::tone(rate_hz, 440, rate_hz)) {
      for (int channel = 0; channel < c.channels; ++channel) {
        sound.push_back(static_cast<float>(sample) / 32768);
      }
    }
    write_wav(directory.file("in.wav"), sound, c.channels, c.rate_hz, c.format);
    const auto pcm = load_pcm(directory.file("in.wav"));
    REQUIRE(pcm);
    CHECK(pcm->rate_hz == rate_hz);
    const auto narrow = at_rate(*pcm, 8000);
    REQUIRE(narrow);
    REQUIRE(narrow->size() == 8000);
    // The filter rounds off where the tone starts and stops.
    const auto middle = std::span(*narrow).subspan(100, 7800);
    const Samples expected = testing::tone(8000, 440, 8000);
    CHECK(testing::snr_db(std::span(expected).subspan(100), middle) >= c.snr_min_db);
  }
}

TEST_CASE("G.722 keeps what a wideband input has above 4 kHz") {
  const TemporaryDirectory directory;
  std::vector<float> sound;
  for (const int16_t sample : testing::tone(16000, 6000, 16000)) {
    sound.push_back(static_cast<float>(sample) / 32768);
  }
  const std::string input = directory.file("in.wav");
  write_wav(input, sound, 1, 16000, SF_FORMAT_WAV | SF_FORMAT_PCM_16);
  REQUIRE(write_announcement(*load_pcm(input), input, input, {}));
  const std::string payload = read_file(input + ".9");
  CHECK(payload.size() == 8000);
  const auto decoder = make_decoder(AudioCodec::g722);
  REQUIRE(decoder);
  Samples back(16000);
  (*decoder)->decode(std::as_bytes(std::span(payload)), back);
  CHECK(testing::energy(back) > 0.5 * testing::energy(testing::tone(16000, 6000, 16000)));
}

TEST_CASE("inputs that are no sound are refused, odd ones remarked on") {
  const TemporaryDirectory directory;
  struct Case {
    std::string description;
    std::string name, content;
    std::string expected;  // part of the error
  };
  const std::vector<Case> cases = {
      {"empty", "a", "", "no samples"},
      {"one byte", "b", "x", "no samples"},
      {"a WAV head and nothing else", "c", "RIFF....WAVE", "c: "},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto pcm = load_pcm(directory.write(c.name, c.content));
    REQUIRE_FALSE(pcm);
    CHECK(pcm.error().message.find(c.expected) != std::string::npos);
  }
  const auto missing = load_pcm(directory.file("missing"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.find("No such file") != std::string::npos);
  const auto folder = load_pcm(directory.file(""));
  REQUIRE_FALSE(folder);
  CHECK(folder.error().message.find("Is a directory") != std::string::npos);
  const auto odd = load_pcm(directory.write("odd", "abc"));
  REQUIRE(odd);
  CHECK(odd->samples.size() == 1);
  CHECK(odd->warning.find("3 bytes") != std::string::npos);
}

TEST_CASE("outputs that cannot be written leave nothing behind") {
  const TemporaryDirectory directory;
  const std::string input = directory.write("in", raw_bytes(testing::tone(8000, 440, 160)));
  const auto pcm = load_pcm(input);
  REQUIRE(pcm);
  const auto no_folder = write_announcement(*pcm, directory.file("none/out"), input, {});
  REQUIRE_FALSE(no_folder);
  CHECK(no_folder.error().message.find("none/out.0") != std::string::npos);

  std::filesystem::create_directory(directory.file("taken.0"));
  const auto taken = write_announcement(*pcm, directory.file("taken"), input, {});
  REQUIRE_FALSE(taken);
  CHECK_FALSE(std::filesystem::exists(directory.file("taken.0.part")));

  const std::string self = directory.write("self.8", raw_bytes(testing::tone(8000, 440, 160)));
  const auto own_input = write_announcement(*pcm, directory.file("self"), self, {});
  REQUIRE_FALSE(own_input);
  CHECK(own_input.error().message.find("is the input") != std::string::npos);
  CHECK(read_file(self).size() == 320);
}

}  // namespace relay::tools
