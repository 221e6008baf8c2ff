// rtpp-makeann: turns a recording into the files a relay plays as a prompt.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "relay/media/codec.h"
#include "tools/rtpp-makeann/announcement.h"

namespace relay::tools {
namespace {

int complain(const std::string& message) {
  fmt::print(stderr, "rtpp-makeann: {}\n", message);
  return 1;
}

int run(int argc, char** argv) {
  CLI::App app("Turns a recording into the files a relay plays as a prompt.", "rtpp-makeann");
  AnnouncementOptions options;
  uint64_t limit = 0;
  std::string input, stem;
  CLI::Option* limit_option =
      app.add_option("-l", limit, "Stop after so many samples (8000 a second)")
          ->check(CLI::PositiveNumber);
  app.add_flag("-L", options.rewind, "Start the input over until the limit is reached")
      ->needs(limit_option);
  app.add_flag("-v", options.voice_activity, "Voice activity detection in G.729");
  app.add_option("infile", input, "Raw signed 16-bit little-endian at 8 kHz, or WAV")->required();
  app.add_option("template", stem, "Start of the names of the outputs; default: infile");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + "\nTry rtpp-makeann --help.");
  }
  if (limit > 0) options.limit = limit;
  if (options.voice_activity && !can_transcode(AudioCodec::g729)) {
    fmt::print(stderr, "rtpp-makeann: -v has no effect: this build has no G.729\n");
  }
  const auto pcm = load_pcm(input);
  if (!pcm) return complain(pcm.error().message);
  if (!pcm->warning.empty()) fmt::print(stderr, "rtpp-makeann: {}\n", pcm->warning);
  const auto written = write_announcement(*pcm, stem.empty() ? input : stem, input, options);
  return written ? 0 : complain(written.error().message);
}

}  // namespace
}  // namespace relay::tools

int main(int argc, char** argv) {
  return relay::tools::run(argc, argv);
}
