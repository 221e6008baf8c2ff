// rtpp-extractaudio: turns the two directions of a recorded call into one sound file.
#include <fmt/core.h>
#include <sched.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "tools/rtpp-extractaudio/extraction.h"
#include "tools/rtpp-extractaudio/srtp_stream.h"
#include "tools/rtpp-extractaudio/statistics.h"

namespace relay::tools {
namespace {

enum class ExitCode : int { ok = 0, failed = 1, no_output = 2 };

struct Input {
  std::string path;
  std::string crypto;
  std::optional<Side> side;  // once it is read
  bool is_whole() const { return side && side->capture.damage.empty(); }
};

struct Arguments {
  Input answer, originate;
  std::string file_format = "wav", data_format;
  std::vector<std::string> names;  // [RDIR] OUT LINK…
  bool idle = false, delete_inputs = false, stereo = false, unsynchronised = false;
  bool need_both = false, scan = false;
};

void complain(const std::string& message) {
  fmt::print(stderr, "rtpp-extractaudio: {}\n", message);
}

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_flag("-i", arguments.idle, "Run at idle priority");
  app.add_flag("-d", arguments.delete_inputs, "Delete the recording afterwards");
  app.add_flag("-s", arguments.stereo, "Stereo: answering party left, originating party right");
  app.add_flag("-n", arguments.unsynchronised, "Do not keep time: speech without its pauses");
  app.add_flag("-e", arguments.need_both, "Fail unless both directions can be read whole");
  app.add_flag("-S", arguments.scan, "Only count the packets of each file");
  app.add_option("-F", arguments.file_format, "File format: " + file_format_names())
      ->capture_default_str();
  app.add_option("-D", arguments.data_format, "Sample format: " + data_format_names());
  app.add_option("-A", arguments.answer.path, "Recording of the answering party");
  app.add_option("-B", arguments.originate.path, "Recording of the originating party");
  app.add_option("--alice-crypto", arguments.answer.crypto, "SRTP of -A, as SUITE:KEY");
  app.add_option("--bob-crypto", arguments.originate.crypto, "SRTP of -B, as SUITE:KEY");
  app.add_option("names", arguments.names,
                 "RDIR OUT [LINK...], or with -A or -B: OUT [LINK...]; reads RDIR.a.rtp and "
                 "RDIR.o.rtp, writes OUT and hard links to it");
}

// Takes RDIR off the names, unless -A or -B stand for it.
Result<void> complete(Arguments& arguments) {
  auto& names = arguments.names;
  if (arguments.answer.path.empty() && arguments.originate.path.empty()) {
    if (names.empty()) return fail("expected RDIR, or -A and -B");
    arguments.answer.path = names.front() + ".a.rtp";
    arguments.originate.path = names.front() + ".o.rtp";
    names.erase(names.begin());
  }
  if (arguments.scan && !names.empty()) {
    return fail(fmt::format("'{}': expected no output with -S", names.front()));
  }
  if (!arguments.scan && names.empty()) return fail("expected the name of the output");
  return {};
}

Result<void> unlock(Input& input) {
  if (input.crypto.empty() || !input.side) return {};
  const auto key = parse_srtp_key(input.crypto);
  if (!key) return tl::unexpected(key.error());
  const auto result = decrypt(input.side->capture, *key);
  if (!result) return tl::unexpected(result.error());
  if (result->refused == 0) return {};
  if (result->decrypted == 0) {
    return fail(fmt::format("{}: none of {} packets can be decrypted with this key", input.path,
                            result->refused));
  }
  complain(fmt::format("{}: {} packets cannot be decrypted", input.path, result->refused));
  return {};
}

void load(Input& input) {
  if (input.path.empty()) return;
  auto capture = read_capture(input.path);
  if (!capture) return complain(capture.error().message);
  if (!capture->damage.empty()) complain(capture->damage);
  input.side.emplace(Side{std::move(*capture), {}});
}

ExitCode scan(const Arguments& arguments) {
  bool whole = true;
  for (const Input* input : {&arguments.answer, &arguments.originate}) {
    if (input->path.empty()) continue;
    const int64_t packets = input->side ? static_cast<int64_t>(input->side->capture.size()) : -1;
    fmt::print("{}: {}\n", input->path, packets);
    whole = whole && input->is_whole();
  }
  return whole || !arguments.need_both ? ExitCode::ok : ExitCode::failed;
}

void analyse(Input& input) {
  if (!input.side || input.side->capture.size() == 0) return;
  Side& side = *input.side;
  fmt::print("{}", describe(side.capture));
  side.timeline = make_timeline(side.capture);
  for (const auto& [type, packets] : side.timeline.undecoded_packets) {
    complain(
        fmt::format("{}: {} packets of payload type {} are left out", input.path, packets, type));
  }
}

ExitCode write_output(Arguments& arguments, const SoundFormat& format) {
  auto file = SoundFile::create(arguments.names.front(), format);
  if (!file) {
    complain(file.error().message);
    return ExitCode::no_output;
  }
  const auto samples = extract(arguments.answer.side, arguments.originate.side,
                               !arguments.unsynchronised, format.channels, *file);
  const auto closed = file->close();
  if (!samples || !closed) {
    complain(samples ? closed.error().message : samples.error().message);
    return ExitCode::failed;
  }
  fmt::print(stderr, "samples decoded: O: {}, A: {}, written: {}\n", samples->originate,
             samples->answer, samples->written);
  return ExitCode::ok;
}

ExitCode make_links(const Arguments& arguments) {
  ExitCode code = ExitCode::ok;
  for (size_t i = 1; i < arguments.names.size(); ++i) {
    std::error_code error;
    std::filesystem::create_hard_link(arguments.names.front(), arguments.names[i], error);
    if (!error) continue;
    complain(fmt::format("{}: {}", arguments.names[i], error.message()));
    code = ExitCode::failed;
  }
  return code;
}

// What is not in the output is kept.
void delete_inputs(const Arguments& arguments) {
  for (const Input* input : {&arguments.answer, &arguments.originate}) {
    if (!input->side) continue;
    const bool is_silent = input->side->timeline.stretches.empty();
    std::error_code error;
    if (!input->is_whole() || (is_silent && input->side->capture.size() > 0)) {
      complain(fmt::format("{}: {}, not deleted", input->path,
                           is_silent ? "nothing of it was decoded" : "damaged"));
    } else if (!std::filesystem::remove(input->path, error) && error) {
      complain(fmt::format("{}: {}", input->path, error.message()));
    }
  }
}

ExitCode work(Arguments& arguments) {
  const auto format = choose_format(arguments.file_format, arguments.data_format,
                                    arguments.stereo ? 2 : 1, kTimelineRateHz);
  if (!format) {
    complain(format.error().message);
    return ExitCode::failed;
  }
  load(arguments.answer);
  load(arguments.originate);
  if (arguments.scan) return scan(arguments);
  for (Input* input : {&arguments.answer, &arguments.originate}) {
    if (const auto ok = unlock(*input); !ok) {
      complain(ok.error().message);
      return ExitCode::failed;
    }
  }
  const bool both = arguments.answer.is_whole() && arguments.originate.is_whole();
  const bool any = arguments.answer.side || arguments.originate.side;
  if (!any || (arguments.need_both && !both)) return ExitCode::failed;
  analyse(arguments.answer);
  analyse(arguments.originate);
  std::fflush(stdout);
  ExitCode code = write_output(arguments, *format);
  if (code == ExitCode::ok) code = make_links(arguments);
  if (code == ExitCode::ok && arguments.delete_inputs) delete_inputs(arguments);
  return code;
}

int run(int argc, char** argv) {
  CLI::App app("Turns the two directions of a recorded call into one sound file.",
               "rtpp-extractaudio");
  Arguments arguments;
  add_options(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    complain(std::string(error.what()) + "\nTry rtpp-extractaudio --help.");
    return static_cast<int>(ExitCode::failed);
  }
  if (const auto ok = complete(arguments); !ok) {
    complain(ok.error().message + "\nTry rtpp-extractaudio --help.");
    return static_cast<int>(ExitCode::failed);
  }
  if (arguments.idle) {
    // Best effort: what asks for it wants the machine for others.
    const sched_param none{};
    (void)::sched_setscheduler(0, SCHED_IDLE, &none);
    (void)::setpriority(PRIO_PROCESS, 0, 19);
  }
  return static_cast<int>(work(arguments));
}

}  // namespace
}  // namespace relay::tools

int main(int argc, char** argv) {
  return relay::tools::run(argc, argv);
}
