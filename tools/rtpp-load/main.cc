// rtpp-load: makes calls through an RTP relay and tells what became of every packet.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "tools/rtpp-load/find_max.h"
#include "tools/rtpp-load/load_run.h"
#include "tools/rtpp-load/probe.h"
#include "tools/rtpp-load/report.h"
#include "tools/rtpp-load/thresholds.h"

namespace relay::tools {
namespace {

enum class ExitCode : int { ok = 0, failed = 1, usage = 2, no_answer = 3 };

struct Arguments {
  LoadOptions load;
  std::string socket = "udp:127.0.0.1:22222";
  std::string protocol = "rtpproxy";
  std::string profile = "g711";
  std::string arrival = "even";
  std::vector<std::string> endpoint_addresses = {"127.0.0.1"};
  std::string relay_address;
  bool nat = false;
  bool json = false;
  bool fail_on_loss = false;
  bool find_max = false;
  Thresholds thresholds;
};

void add_media_options(CLI::App& app, Arguments& arguments) {
  LoadOptions& load = arguments.load;
  app.add_option("--profile", arguments.profile,
                 "g711; opus: speech with pauses; video: bursts of full packets")
      ->check(CLI::IsMember({"g711", "opus", "video"}))
      ->capture_default_str();
  app.add_option(
         "--ptime", load.ptime_ms,
         "Milliseconds of speech in a packet, or between two pictures; default: the profile's")
      ->check(CLI::Range(1, 200));
  app.add_option("--payload", load.payload_bytes, "Bytes behind the RTP header of G.711")
      ->check(CLI::Range(int{kProbeBytes}, int{kPacketBytesMax - kRtpHeaderBytes}))
      ->capture_default_str();
  app.add_option("--endpoint-address", arguments.endpoint_addresses,
                 "Address of the phones; given twice, of phones A and of phones B")
      ->expected(1, 2)
      ->capture_default_str();
  app.add_flag("--rtcp", load.phones.rtcp, "Send RTCP too, every 5 s");
  app.add_option("--addresses", load.phones.addresses_a_side,
                 "How many addresses the phones of a side have: this one and those that follow")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--nat-share", load.phones.nat_percent,
                 "Percent of the phones that send from another port than the one signalled")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  app.add_flag("--nat", arguments.nat, "The same as --nat-share 100");
}

void add_options(CLI::App& app, Arguments& arguments) {
  LoadOptions& load = arguments.load;
  app.add_option("-s,--socket", arguments.socket, "Control socket, as the daemon's -s takes it")
      ->capture_default_str();
  app.add_option("--protocol", arguments.protocol, "rtpproxy, or ng for rtpengine")
      ->check(CLI::IsMember({"rtpproxy", "ng"}))
      ->capture_default_str();
  app.add_option("--calls", load.calls, "Calls at the same time")
      ->check(CLI::Range(1, 50000))
      ->capture_default_str();
  app.add_option("--duration", load.duration_s, "Seconds to measure, once all calls are up")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--rate", load.rate_per_s, "New calls a second")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--arrival", arguments.arrival, "New calls come even or at random (poisson)")
      ->check(CLI::IsMember({"even", "poisson"}))
      ->capture_default_str();
  app.add_option("--hold", load.hold_s,
                 "Mean seconds a call lasts; then another one takes its place. Default: to the end")
      ->check(CLI::PositiveNumber);
  app.add_option("--reinvite", load.reinvite_percent,
                 "Percent of the calls in which phone A moves to another port and says so")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  app.add_option("--modifiers", load.signalling.modifiers, "Letters behind U and L");
  app.add_option("--relay-address", arguments.relay_address,
                 "Where media goes if the relay answers a port alone; default: the socket's host");
  app.add_option("--threads", load.threads, "Media threads")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_flag("--control-only", load.control_only, "Commands without media, as fast as they go");
  app.add_option("--standing", load.standing,
                 "With --control-only: calls set up first, which stay until the end")
      ->check(CLI::Range(0, 30000))
      ->capture_default_str();
  app.add_option("--in-flight", load.in_flight, "Calls that wait for an answer at the same time")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--pid", load.pids, "Processes of the relay, to measure their CPU and memory")
      ->check(CLI::PositiveNumber);
  app.add_flag("--find-max", arguments.find_max,
               "Find the most calls within --max-loss and --max-p99-us, beginning with --calls");
  app.add_flag("--json", arguments.json, "Report as one JSON object");
  app.add_flag("--fail-on-loss", arguments.fail_on_loss,
               "Exit status 1 if a packet was lost or went astray");
  app.footer(
      "Exit status: 0 done, 1 calls failed or a limit was passed (--max-…, --fail-on-loss), "
      "2 usage or no room for the run, 3 the relay did not answer.");
}

void add_thresholds(CLI::App& app, Thresholds& thresholds) {
  app.add_option("--max-loss", thresholds.loss_percent, "Exit status 1 above this loss in percent")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--max-p99-us", thresholds.delay_p99_us,
                 "Exit status 1 if the delay's p99 is above")
      ->check(CLI::PositiveNumber);
  app.add_option("--max-command-ms", thresholds.command_ms,
                 "Exit status 1 if a command took longer")
      ->check(CLI::PositiveNumber);
}

Result<void> complete(Arguments& arguments) {
  LoadOptions& load = arguments.load;
  const auto socket = parse_control_address(arguments.socket);
  if (!socket) return tl::unexpected(socket.error());
  load.socket = *socket;
  load.ng = arguments.protocol == "ng";
  load.profile = *parse_media_profile(arguments.profile);
  load.poisson = arguments.arrival == "poisson";
  if (load.ptime_ms == 0) load.ptime_ms = traits_of(load.profile).ptime_ms;
  if (arguments.nat) load.phones.nat_percent = 100;
  for (size_t side = 0; side < 2; ++side) {
    const std::string& text =
        arguments.endpoint_addresses[std::min(side, arguments.endpoint_addresses.size() - 1)];
    const auto address = IpAddress::parse(text);
    if (!address) return fail(fmt::format("--endpoint-address {}: expected an IP address", text));
    load.phones.addresses[side] = *address;
  }
  load.signalling.relay_address = load.phones.addresses[0];
  if (!arguments.relay_address.empty()) {
    const auto address = IpAddress::parse(arguments.relay_address);
    if (!address) {
      return fail(
          fmt::format("--relay-address {}: expected an IP address", arguments.relay_address));
    }
    load.signalling.relay_address = *address;
  } else if (load.socket.family != Family::none) {
    const auto host = resolve(load.socket);
    if (!host) return tl::unexpected(host.error());
    load.signalling.relay_address = host->address;
  }
  if (arguments.find_max && load.control_only) {
    return fail("--find-max: it needs media, so expected no --control-only");
  }
  if (load.standing > 0 && !load.control_only) {
    return fail("--standing: expected --control-only with it");
  }
  if (load.ng && load.socket.kind != ControlAddress::Kind::udp) {
    return fail("--protocol ng: expected a udp: or udp6: socket");
  }
  load.progress = !load.control_only && ::isatty(STDERR_FILENO) == 1;
  return {};
}

ExitCode judge(const Arguments& arguments, const LoadReport& report) {
  const uint64_t answered =
      report.signalling.commands + (report.standing ? report.standing->signalling.commands : 0);
  if (answered == 0) return ExitCode::no_answer;
  if (report.calls_failed > 0) return ExitCode::failed;
  const auto passed = limits_passed(arguments.thresholds, report);
  for (const std::string& limit : passed) fmt::print(stderr, "rtpp-load: {}\n", limit);
  if (!passed.empty()) return ExitCode::failed;
  const MediaCounters& media = report.media;
  const bool astray = media.misdelivered + media.wrong_source + media.foreign > 0;
  if (arguments.fail_on_loss && (media.lost() > 0 || astray)) return ExitCode::failed;
  return ExitCode::ok;
}

int usage_error(const std::string& message) {
  fmt::print(stderr, "rtpp-load: {}\nTry rtpp-load --help.\n", message);
  return static_cast<int>(ExitCode::usage);
}

int run_find_max(const Arguments& arguments) {
  const auto found = find_max(arguments.load, arguments.thresholds);
  if (!found) return usage_error(found.error().message);
  fmt::print("{}", arguments.json ? found_max_json(arguments.load, *found) + "\n"
                                  : found_max_table(*found));
  if (!found->tries.empty() && found->tries.back().report.signalling.commands == 0) {
    return static_cast<int>(ExitCode::no_answer);
  }
  return static_cast<int>(found->calls > 0 ? ExitCode::ok : ExitCode::failed);
}

int run(int argc, char** argv) {
  CLI::App app("Makes calls through an RTP relay and tells what became of every packet.",
               "rtpp-load");
  Arguments arguments;
  add_options(app, arguments);
  add_media_options(app, arguments);
  add_thresholds(app, arguments.thresholds);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  if (const auto ok = complete(arguments); !ok) return usage_error(ok.error().message);
  if (arguments.find_max) return run_find_max(arguments);
  const auto report =
      arguments.load.control_only ? run_commands(arguments.load) : run_calls(arguments.load);
  if (!report) {
    fmt::print(stderr, "rtpp-load: {}\n", report.error().message);
    return static_cast<int>(ExitCode::usage);
  }
  fmt::print("{}", arguments.json ? report_json(arguments.load, *report) + "\n"
                                  : report_table(arguments.load, *report));
  return static_cast<int>(judge(arguments, *report));
}

}  // namespace
}  // namespace relay::tools

int main(int argc, char** argv) {
  return relay::tools::run(argc, argv);
}
