#include <doctest/doctest.h>
#include <fcntl.h>
#include <sndfile.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "relay/media/prompt_files.h"
#include "tests/support/audio_signals.h"
#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

using testing::Samples;
namespace fs = std::filesystem;

std::string text_of(const Result<std::shared_ptr<const PromptAudio>>& audio) {
  if (!audio) return "error: " + audio.error().message;
  const auto& payload = (*audio)->payload;
  return std::string(reinterpret_cast<const char*>(payload.data()), payload.size());
}

void write_wav(const std::string& path, const Samples& samples, int rate_hz, int channels,
               int format = SF_FORMAT_WAV | SF_FORMAT_PCM_16) {
  SF_INFO info{};
  info.samplerate = rate_hz;
  info.channels = channels;
  info.format = format;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  REQUIRE(file != nullptr);
  sf_command(file, SFC_SET_SCALE_INT_FLOAT_WRITE, nullptr, SF_TRUE);
  const auto frames = static_cast<sf_count_t>(samples.size()) / channels;
  CHECK(sf_writef_short(file, samples.data(), frames) == frames);
  sf_close(file);
}

TEST_CASE("only what lies in a prompt directory is opened") {
  TemporaryDirectory all;
  fs::create_directories(all.file("prompts/de"));
  fs::create_directories(all.file("more"));
  fs::create_directories(all.file("prompts-secret"));
  const auto write = [&](const char* name, const char* text) { all.write(name, text); };
  write("secret.8", "secret");
  write("prompts-secret/x.8", "secret");
  write("prompts/hello.8", "hello");
  write("prompts/de/hello.8", "hallo");
  write("prompts/both.8", "first");
  write("more/both.8", "second");
  write("more/only.8", "only");
  fs::create_symlink("../secret.8", all.file("prompts/out.8"));
  fs::create_symlink(all.file("secret.8"), all.file("prompts/absolute.8"));
  fs::create_symlink("..", all.file("prompts/up"));
  fs::create_symlink("de/hello.8", all.file("prompts/in.8"));
  fs::create_symlink("/proc/self/root", all.file("prompts/magic"));
  fs::create_symlink("loop.8", all.file("prompts/loop.8"));
  fs::create_directory(all.file("prompts/directory.8"));
  REQUIRE(::mkfifo(all.file("prompts/pipe.8").c_str(), 0600) == 0);
  PromptFiles files({all.file("prompts"), all.file("more")});
  struct Case {
    std::string description, name, text;  // text empty: refused
  };
  const std::vector<Case> cases = {
      {"plain", "hello", "hello"},
      {"below", "de/hello", "hallo"},
      {"a dot", "./hello", "hello"},
      {"up and down again, inside", "de/../hello", "hello"},
      {"in the first directory that has it", "both", "first"},
      {"in the second directory", "only", "only"},
      {"absolute", all.file("prompts/de/hello"), "hallo"},
      {"absolute, in the second directory", all.file("more/both"), "second"},
      {"absolute, with slashes", all.file("prompts///hello"), "hello"},
      {"a link that stays inside", "in", "hallo"},
      {"up", "../secret", ""},
      {"far up", "../../../../../../../../../../etc/hostname", ""},
      {"up from below", "de/../../secret", ""},
      {"absolute and up", all.file("prompts/../secret"), ""},
      {"absolute elsewhere", all.file("secret"), ""},
      {"a directory of which ours is a prefix", all.file("prompts-secret/x"), ""},
      {"a link out", "out", ""},
      {"an absolute link", "absolute", ""},
      {"through a directory link", "up/secret", ""},
      {"through a magic link", "magic/etc/hostname", ""},
      {"a link to itself", "loop", ""},
      {"a directory", "directory", ""},
      {"a pipe does not keep us waiting", "pipe", ""},
      {"nothing there", "nothing", ""},
      {"a long name", std::string(300, 'a'), ""},
      {"a very long name", std::string(8000, 'a') + "/" + std::string(3000, 'b'), ""},
      {"the directory itself", all.file("prompts"), ""},
      {"nothing but slashes", "///", ""},
      {"percent and braces", "%s{}%n", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string got = text_of(files.load(c.name, 8));
    CAPTURE(got);
    if (c.text.empty()) {
      CHECK(got.starts_with("error: "));
    } else {
      CHECK(got == c.text);
    }
  }
  CHECK_FALSE(PromptFiles({}).has_directories());
  CHECK(text_of(PromptFiles({}).load("hello", 8)).starts_with("error: "));
  CHECK(text_of(PromptFiles({all.file("none"), all.file("more")}).load("only", 8)) == "only");
}

TEST_CASE("what cannot be played is refused before a file is looked for") {
  TemporaryDirectory directory;
  directory.write("x.13", "noise");
  directory.write("x.101", "digits");
  PromptFiles files({directory.file("")});
  CHECK(text_of(files.load("x", 13)) == "error: payload type 13 cannot be played");
  CHECK(text_of(files.load("x", 101)) == "error: payload type 101 cannot be played");
}

TEST_CASE("a file is read again when it is another") {
  TemporaryDirectory directory;
  PromptFiles files({directory.file("")});
  directory.write("x.0", "one");
  const auto first = files.load("x", 0);
  REQUIRE(first);
  CHECK(*files.load("x", 0) == *first);
  CHECK(files.cached_files() == 1);

  const auto age = [&](const std::string& name, int64_t ns) {
    const timespec times[2] = {{0, UTIME_OMIT}, {1'700'000'000, ns}};
    REQUIRE(::utimensat(AT_FDCWD, directory.file(name).c_str(), times, 0) == 0);
  };
  directory.write("x.0", "other");
  CHECK(text_of(files.load("x", 0)) == "other");
  age("x.0", 1);
  const auto before = files.load("x", 0);
  age("x.0", 2);
  CHECK(*files.load("x", 0) != *before);  // of another time
  directory.write("new", "OTHER");
  age("new", 2);
  fs::rename(directory.file("new"), directory.file("x.0"));
  CHECK(text_of(files.load("x", 0)) == "OTHER");  // another file of the same time and size
  fs::remove(directory.file("x.0"));
  CHECK(text_of(files.load("x", 0)).starts_with("error: "));
  CHECK(text_of(first) == "one");  // who plays it still has it
}

TEST_CASE("what is kept in memory is bounded") {
  TemporaryDirectory directory;
  const auto write = [&](const char* name, size_t bytes) {
    directory.write(name, std::string(bytes, 'x'));
  };
  write("a.0", 40);
  write("b.0", 40);
  write("c.0", 40);
  write("big.0", 101);
  write("huge.0", 1001);
  write("empty.0", 0);
  PromptFiles::Bounds bounds;
  bounds.file_bytes = 1000;
  bounds.cache_bytes = 100;
  PromptFiles files({directory.file("")}, bounds);
  const auto a = files.load("a", 0);
  const auto b = files.load("b", 0);
  CHECK(*files.load("a", 0) == *a);
  REQUIRE(files.load("c", 0));  // in place of b, which was used longest ago
  CHECK(files.cached_files() == 2);
  CHECK(files.cached_bytes() == 80);
  CHECK(*files.load("a", 0) == *a);
  CHECK(*files.load("b", 0) != *b);
  CHECK(text_of(files.load("big", 0)).size() == 101);  // played, not kept
  CHECK(files.cached_bytes() == 80);
  CHECK(text_of(files.load("huge", 0)).find("1001 bytes, expected at most 1000") !=
        std::string::npos);
  CHECK(text_of(files.load("empty", 0)).empty());

  bounds.cache_files = 2;
  PromptFiles few({directory.file("")}, bounds);
  for (const char* name : {"a", "b", "c", "empty"}) REQUIRE(few.load(name, 0));
  CHECK(few.cached_files() == 2);
}

TEST_CASE("a WAV file of any rate is encoded for each payload type asked for") {
  struct Case {
    std::string description;
    int rate_hz, channels, format;
    uint8_t payload_type;
    double snr_min_db;
  };
  constexpr int kPcm16 = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  const std::vector<Case> cases = {
      {"8 kHz to PCMU", 8000, 1, kPcm16, 0, 30},
      {"8 kHz to PCMA", 8000, 1, kPcm16, 8, 30},
      {"16 kHz to PCMA", 16000, 1, kPcm16, 8, 30},
      {"44.1 kHz stereo to PCMU", 44100, 2, kPcm16, 0, 30},
      {"48 kHz float stereo to PCMA", 48000, 2, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 8, 30},
      {"8 kHz A-law in the file", 8000, 1, SF_FORMAT_WAV | SF_FORMAT_ALAW, 8, 30},
      {"48 kHz, 24 bit, extensible header", 48000, 1, SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 8, 30},
      {"16 kHz to G.722", 16000, 1, kPcm16, 9, 15},
      {"22.05 kHz to GSM", 22050, 1, kPcm16, 3, 5},
  };
  TemporaryDirectory directory;
  PromptFiles files({directory.file("")});
  for (const Case& c : cases) {
    CAPTURE(c.description);
    constexpr size_t kSeconds = 1;
    const auto rate = static_cast<uint32_t>(c.rate_hz);
    const Samples tone = testing::tone(rate, 440, rate * kSeconds);
    Samples frames;
    for (const int16_t sample : tone) {
      // Mixed down, these are the tone again.
      frames.push_back(c.channels == 2 ? static_cast<int16_t>(sample / 2 * 3) : sample);
      if (c.channels == 2) frames.push_back(static_cast<int16_t>(sample / 2));
    }
    write_wav(directory.file("tone.wav"), frames, c.rate_hz, c.channels, c.format);
    const auto audio = files.load("tone", c.payload_type);
    REQUIRE_MESSAGE(audio, text_of(audio));
    const CodecTraits& traits = traits_of((*audio)->codec);
    CHECK((*audio)->payload.size() == 1000 * kSeconds / traits.unit_ms * traits.unit_bytes);
    auto decoder = *make_decoder((*audio)->codec);
    Samples decoded(decoder->sample_rate_hz() * kSeconds);
    decoded.resize(decoder->decode((*audio)->payload, decoded));
    const Samples expected =
        testing::tone(decoder->sample_rate_hz(), 440, decoder->sample_rate_hz() * kSeconds);
    CHECK(testing::best_snr_db(expected, decoded, 400) > c.snr_min_db);
    CHECK(*files.load("tone.wav", c.payload_type) != nullptr);
    CHECK(*files.load("tone", c.payload_type) == *audio);
  }
}

TEST_CASE("raw payload goes before a WAV file, and odd WAV files are refused") {
  TemporaryDirectory directory;
  PromptFiles files({directory.file("")});
  directory.write("x.8", "raw");
  const Samples second = testing::tone(8000, 440, 8000);
  write_wav(directory.file("x.wav"), second, 8000, 1);
  CHECK(text_of(files.load("x", 8)) == "raw");
  CHECK(text_of(files.load("x", 0)).size() == 8000);
  CHECK(text_of(files.load("x", 4)).find("x.4") != std::string::npos);

  const Samples six(48000, 1);
  struct Case {
    std::string description, name, says;
  };
  write_wav(directory.file("six.wav"), six, 48000, 6);
  write_wav(directory.file("slow.wav"), six, 2000, 1);
  write_wav(directory.file("long.wav"), Samples(4000 * 602, 1), 4000, 1);
  write_wav(directory.file("flac.wav"), second, 8000, 1, SF_FORMAT_FLAC | SF_FORMAT_PCM_16);
  write_wav(directory.file("none.wav"), {}, 8000, 1);
  directory.write("text.wav", "this is no sound");
  directory.write("empty.wav", "");
  const std::vector<Case> cases = {
      {"six channels", "six", "6 channels: expected 1 or 2"},
      {"too slow", "slow", "2000 Hz: expected 4000 to 192000 Hz"},
      {"too long", "long", "602 s: expected"},
      {"another format", "flac", "not a WAV file"},
      {"not audio", "text", "libsndfile: "},
      {"empty", "empty", "libsndfile: "},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string got = text_of(files.load(c.name, 8));
    CAPTURE(got);
    CHECK(got.starts_with("error: "));
    CHECK(got.find(c.says) != std::string::npos);
    CHECK(got.find(c.name + ".wav") != std::string::npos);
  }
  CHECK(text_of(files.load("none", 8)).empty());
}

}  // namespace
}  // namespace relay
