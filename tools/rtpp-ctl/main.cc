// rtpp-ctl: asks an RTP relay over its control socket, for people and for scripts.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

#include "tools/common/control_address.h"
#include "tools/common/control_client.h"
#include "tools/rtpp-ctl/commands.h"
#include "tools/rtpp-ctl/voice_commands.h"

namespace relay::tools {
namespace {

struct Options {
  std::string socket;
  bool json = false;
  double timeout_s = 1.0;
  std::vector<std::string> words;
  std::string call_id, from_tag, to_tag, profile;
  bool follow = false;
  double watch_s = 0;
};

int show(const CommandResult& result) {
  std::fputs(result.out.c_str(), stdout);
  std::fflush(stdout);
  std::fputs(result.err.c_str(), stderr);
  return static_cast<int>(result.code);
}

int run_lines(const CommandContext& context, std::istream& lines) {
  int worst = 0;
  std::string line;
  while (std::getline(lines, line)) {
    if (!line.empty()) worst = std::max(worst, show(run_raw(context, line)));
  }
  return worst;
}

int run_words(const CommandContext& context, const std::vector<std::string>& words) {
  if (words.size() == 1 && words[0] == "-") return run_lines(context, std::cin);
  std::string command;
  for (const std::string& word : words) command += (command.empty() ? "" : " ") + word;
  return show(run_raw(context, command));
}

int run_stats(const CommandContext& context, double watch_s) {
  StatsCommand stats;
  int code = show(stats.run(context));
  while (watch_s > 0 && code == 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(watch_s));
    if (!context.json) std::fputs("\n", stdout);
    code = show(stats.run(context));
  }
  return code;
}

// A protocol command is told from a mistyped word by its capital letter.
bool is_protocol_command(const std::vector<std::string>& words) {
  if (words.empty()) return false;
  if (words[0] == "-") return true;
  return !words[0].empty() && std::isupper(static_cast<unsigned char>(words[0][0])) != 0;
}

struct Commands {
  CLI::App* raw;
  CLI::App* ping;
  CLI::App* info;
  CLI::App* sessions;
  CLI::App* query;
  CLI::App* why;
  CLI::App* stats;
  CLI::App* remove;
  CLI::App* voice_list;
  CLI::App* voice_start;
  CLI::App* voice_stop;
  CLI::App* voice_test;
  CLI::App* events;
};

void add_voice_options(CLI::App& app, Options& options, Commands& commands) {
  CLI::App* voice = app.add_subcommand("voice", "AI voice sessions: list, start, stop, test");
  voice->require_subcommand(1);
  commands.voice_list = voice->add_subcommand("list", "Those that run, and each profile's figures");
  commands.voice_start = voice->add_subcommand("start", "Connect a call's party to an endpoint");
  commands.voice_start->add_option("CALLID", options.call_id)->required();
  commands.voice_start->add_option("PROFILE", options.profile)->required();
  commands.voice_start->add_option("TAG", options.from_tag, "Of the party; default: the caller");
  commands.voice_stop = voice->add_subcommand("stop", "End it");
  commands.voice_stop->add_option("CALLID", options.call_id)->required();
  commands.voice_stop->add_option("TAG", options.from_tag);
  commands.voice_test = voice->add_subcommand("test", "Connect a profile without a call");
  commands.voice_test->add_option("PROFILE", options.profile)->required();
  commands.events = app.add_subcommand("events", "What voice sessions have told");
  commands.events->add_flag("--follow", options.follow, "Go on until interrupted");
}

Commands add_options(CLI::App& app, Options& options) {
  app.add_option("-s,--socket", options.socket,
                 "Control socket as the daemon's -s takes it; $RTPP_CTL_SOCKET, else "
                 "unix:/run/rtpp-relay.sock or unix:/var/run/rtpproxy.sock");
  app.add_flag("--json", options.json, "One JSON object a reply instead of tables");
  app.add_option("--timeout", options.timeout_s,
                 "Seconds to wait before a datagram is sent again, five times in all")
      ->check(CLI::Range(0.001, 3600.0));
  app.prefix_command();
  app.fallthrough();
  app.require_subcommand(0, 1);
  Commands commands{};
  commands.raw = app.add_subcommand("raw", "Send protocol commands as they are; - reads lines");
  commands.raw->add_option("COMMAND", options.words, "The command's words, or -")->required();
  commands.ping = app.add_subcommand("ping", "Is the relay there, and how fast does it answer");
  commands.info = app.add_subcommand("info", "Totals: sessions, streams, packets");
  commands.sessions = app.add_subcommand("sessions", "List the sessions");
  commands.query = app.add_subcommand("query", "Show one session");
  commands.query->add_option("CALLID", options.call_id)->required();
  commands.query->add_option("FROM", options.from_tag);
  commands.query->add_option("TO", options.to_tag);
  commands.why = app.add_subcommand("why", "Explain which way a call takes, and what was refused");
  commands.why->add_option("CALLID", options.call_id)->required();
  commands.stats = app.add_subcommand("stats", "Counters");
  commands.stats->add_option("--watch", options.watch_s, "Again every N seconds, with rates")
      ->expected(0, 1)
      ->default_str("1")
      ->check(CLI::PositiveNumber);
  commands.remove = app.add_subcommand("delete", "Delete a session, or all of a call-id");
  commands.remove->add_option("CALLID", options.call_id)->required();
  commands.remove->add_option("FROM", options.from_tag);
  commands.remove->add_option("TO", options.to_tag);
  add_voice_options(app, options, commands);
  app.footer(
      "A word that begins with a capital letter is sent as a protocol command:\n"
      "  rtpp-ctl V\n  rtpp-ctl U call-1 192.0.2.1 4000 from-tag\n"
      "Exit status: 0 done, 1 the relay answered an error, 2 usage, 3 no answer.");
  return commands;
}

constexpr auto kEventPoll = std::chrono::milliseconds(200);

int run_events(const CommandContext& context, bool follow) {
  VoiceEvents events;
  int code = show(events.next(context));
  while (follow && code == 0) {
    std::this_thread::sleep_for(kEventPoll);
    code = show(events.next(context));
  }
  return code;
}

int run_voice_test(const CommandContext& context, const std::string& profile) {
  VoiceEvents events;
  int code = show(start_voice_test(context, profile, events));
  while (code == 0 && !events.has_ended()) {
    std::this_thread::sleep_for(kEventPoll);
    code = show(events.next(context));
  }
  return code == 0 && events.has_failed() ? static_cast<int>(ExitCode::relay_error) : code;
}

int dispatch(const CommandContext& context, const CLI::App& app, const Commands& commands,
             const Options& options) {
  if (commands.raw->parsed()) return run_words(context, options.words);
  if (commands.ping->parsed()) return show(run_ping(context));
  if (commands.info->parsed()) return show(run_info(context));
  if (commands.sessions->parsed()) return show(run_sessions(context));
  if (commands.stats->parsed()) return run_stats(context, options.watch_s);
  if (commands.query->parsed()) {
    return show(run_query(context, options.call_id, options.from_tag, options.to_tag));
  }
  if (commands.why->parsed()) return show(run_why(context, options.call_id));
  if (commands.remove->parsed()) {
    return show(run_delete(context, options.call_id, options.from_tag, options.to_tag));
  }
  if (commands.voice_list->parsed()) return show(run_voice_list(context));
  if (commands.voice_start->parsed()) {
    return show(run_voice_start(context, options.call_id, options.profile, options.from_tag));
  }
  if (commands.voice_stop->parsed()) {
    return show(run_voice_stop(context, options.call_id, options.from_tag));
  }
  if (commands.voice_test->parsed()) return run_voice_test(context, options.profile);
  if (commands.events->parsed()) return run_events(context, options.follow);
  return run_words(context, app.remaining());
}

int usage_error(const std::string& message) {
  fmt::print(stderr, "rtpp-ctl: {}\nTry rtpp-ctl --help.\n", message);
  return static_cast<int>(ExitCode::usage);
}

int run(int argc, char** argv) {
  CLI::App app("Asks an RTP relay over its control socket.", "rtpp-ctl");
  Options options;
  const Commands commands = add_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  if (app.get_subcommands().empty() && !is_protocol_command(app.remaining())) {
    if (app.remaining().empty()) return usage_error("no command given");
    return usage_error(fmt::format("\"{}\" is no command", app.remaining().front()));
  }
  if (options.socket.empty()) {
    const char* environment = std::getenv("RTPP_CTL_SOCKET");
    options.socket = default_control_address(
        environment != nullptr ? environment : "",
        [](const std::string& p) { return ::access(p.c_str(), F_OK) == 0; });
  }
  const auto address = parse_control_address(options.socket);
  if (!address) return usage_error(address.error().message);

  EventLoop loop;
  ControlClientSettings settings;
  settings.retry_after = std::chrono::ceil<std::chrono::milliseconds>(
      std::chrono::duration<double>(options.timeout_s));
  const auto client = open_control_client(loop, *address, settings);
  if (!client) {
    fmt::print(stderr, "rtpp-ctl: {}\n", client.error().message);
    return static_cast<int>(ExitCode::no_answer);
  }
  const CommandContext context{
      [&](const std::string& command) { return ask_and_wait(loop, **client, command); },
      options.json, address->to_string()};
  return dispatch(context, app, commands, options);
}

}  // namespace
}  // namespace relay::tools

int main(int argc, char** argv) {
  return relay::tools::run(argc, argv);
}
