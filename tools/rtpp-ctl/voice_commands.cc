#include "tools/rtpp-ctl/voice_commands.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "tools/common/text_table.h"

namespace relay::tools {
namespace {

using nlohmann::json;

CommandResult no_answer(const Error& error) {
  return {ExitCode::no_answer, "", error.message + "\n"};
}

CommandResult failed(const std::string& reply) {
  const auto code = error_code(reply);
  const std::string text =
      code ? fmt::format("E{}: {}\n", *code, explain_error(*code)) : "unexpected reply\n";
  return {ExitCode::relay_error, "", text};
}

// Any member that is missing or of another type is `fallback`.
template <typename T>
T get(const json& object, const char* key, T fallback) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) return fallback;
  try {
    return found->get<T>();
  } catch (const json::exception&) {
    return fallback;
  }
}

// The reply as JSON; nothing: it is an error.
std::optional<json> parsed(const Answer& answer) {
  json document = json::parse(answer.reply, nullptr, false);
  if (!document.is_object()) return std::nullopt;
  return document;
}

std::string delay_cell(const json& profile, const char* name) {
  const json delay = get<json>(profile, name, json::object());
  if (get<uint64_t>(delay, "count", 0) == 0) return "-";
  return fmt::format("{:.1f}/{:.1f}", get<double>(delay, "p50_ms", 0),
                     get<double>(delay, "p99_ms", 0));
}

std::string list_text(const json& document) {
  TextTable voices({{"id", true}, {"call"}, {"party"}, {"profile"}, {"policy"}, {"age s", true}});
  for (const json& voice : get<json>(document, "voices", json::array())) {
    voices.add_row({fmt::format("{}", get<uint64_t>(voice, "id", 0)),
                    get<std::string>(voice, "call_id", ""), get<std::string>(voice, "party", ""),
                    get<std::string>(voice, "profile", ""), get<std::string>(voice, "policy", ""),
                    fmt::format("{:.0f}", get<double>(voice, "age_s", 0))});
  }
  TextTable profiles({{"profile"},
                      {"sessions", true},
                      {"failed", true},
                      {"turn ms", true},
                      {"up ms", true},
                      {"down ms", true}});
  const json all = get<json>(document, "profiles", json::object());
  for (const auto& [name, profile] : all.items()) {
    const json counters = get<json>(profile, "counters", json::object());
    profiles.add_row({name, fmt::format("{}", get<uint64_t>(counters, "sessions_started", 0)),
                      fmt::format("{}", get<uint64_t>(counters, "sessions_failed", 0)),
                      delay_cell(profile, "turn"), delay_cell(profile, "up"),
                      delay_cell(profile, "down")});
  }
  std::string text = voices.rows() > 0 ? voices.to_string() : "no voice sessions\n";
  if (profiles.rows() > 0)
    text += "\n" + profiles.to_string() + "Delays: median/99th percentile.\n";
  return text;
}

std::string event_text(const json& event) {
  std::string text =
      fmt::format("{:>5}  {}  {}", get<uint64_t>(event, "number", 0),
                  get<std::string>(event, "call_id", ""), get<std::string>(event, "event", ""));
  for (const char* key : {"text", "error", "outcome", "digit"}) {
    const auto value = get<std::string>(event, key, "");
    if (!value.empty()) text += "  " + value;
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  }
  return text + "\n";
}

struct Advice {
  std::string_view error, text;
};
constexpr Advice kAdvice[] = {
    {"busy", "raise sessions_max or starts_per_minute in [voice]"},
    {"refused-url", "put the URL into the profile's allow_urls"},
    {"unreachable", "does anything listen there, and is the URL's host and port right?"},
    {"connect-timeout", "is there a firewall or a wrong port in between?"},
    {"tls", "the endpoint's certificate is the matter: ca_file, server_name, or its operator"},
    {"rejected", "check the key in headers and the path of the URL"},
    {"unavailable", "the service is down or busy, or its quota is used up"},
    {"reply-timeout", "it took the connection and kept silent: check driver, dialect and URL"},
    {"protocol", "it speaks another protocol: check driver, dialect and URL"},
    {"endpoint-refusal", "check model, voice and the template against the service's documents"},
};

int64_t wall_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// One step of a test.
std::string step_text(const json& event, int64_t began_ms) {
  const auto kind = get<std::string>(event, "event", "");
  const auto text = get<std::string>(event, "text", "");
  const auto error = get<std::string>(event, "error", "");
  std::string shown = kind;
  if (kind == "started") {
    shown = "ready: connected, and the dialogue has begun";
  } else if (kind == "user-speech") {
    shown = "it heard: " + text;
  } else if (kind == "ai-response") {
    shown = "it said: " + text;
  } else if (kind == "call-error") {
    shown = fmt::format("error {}{}{}", error, text.empty() ? "" : ": ", text);
  } else if (kind == "ended") {
    shown = "ended, " + get<std::string>(event, "outcome", "");
  }
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  }
  const int64_t after = std::max<int64_t>(get<int64_t>(event, "time_ms", began_ms) - began_ms, 0);
  std::string line = fmt::format("{:8.2f} s  {}\n", static_cast<double>(after) / 1000, shown);
  for (const Advice& advice : kAdvice) {
    if (advice.error == error) line += fmt::format("{:12}{}\n", "", advice.text);
  }
  return line;
}

// The tag to name the party by.
Result<std::string> tag_of(const CommandContext& context, const std::string& call_id,
                           const std::string& tag) {
  if (!tag.empty()) return tag;
  const auto answer = context.ask("J session " + call_id);
  if (!answer) return tl::unexpected(answer.error());
  const auto document = parsed(*answer);
  const json sessions = document ? get<json>(*document, "sessions", json::array()) : json::array();
  if (sessions.empty()) return fail("no session has the call-id " + call_id);
  return get<std::string>(sessions.front(), "from_tag", "");
}

CommandResult run(const CommandContext& context, const std::string& command) {
  const auto answer = context.ask(command);
  if (!answer) return no_answer(answer.error());
  if (answer->reply == "0") return {ExitCode::ok, context.json ? "{}\n" : "", ""};
  return failed(answer->reply);
}

}  // namespace

CommandResult run_voice_list(const CommandContext& context) {
  const auto answer = context.ask("J voices");
  if (!answer) return no_answer(answer.error());
  const auto document = parsed(*answer);
  if (!document) return failed(answer->reply);
  return {ExitCode::ok, context.json ? answer->reply + "\n" : list_text(*document), ""};
}

CommandResult run_voice_start(const CommandContext& context, const std::string& call_id,
                              const std::string& profile, const std::string& tag) {
  const auto named = tag_of(context, call_id, tag);
  if (!named) return {ExitCode::relay_error, "", named.error().message + "\n"};
  return run(context, fmt::format("P-1 {} ai:{} session {}", call_id, profile, *named));
}

CommandResult run_voice_stop(const CommandContext& context, const std::string& call_id,
                             const std::string& tag) {
  const auto named = tag_of(context, call_id, tag);
  if (!named) return {ExitCode::relay_error, "", named.error().message + "\n"};
  return run(context, fmt::format("S {} {}", call_id, *named));
}

CommandResult VoiceEvents::next(const CommandContext& context) {
  CommandResult result;
  for (bool more = true; more;) {
    const auto answer = context.ask(fmt::format("J events {}", last_));
    if (!answer) return no_answer(answer.error());
    const auto document = parsed(*answer);
    if (!document) return failed(answer->reply);
    const json events = get<json>(*document, "events", json::array());
    for (const json& event : events) {
      if (id_ != 0 && get<uint64_t>(event, "id", 0) != id_) continue;
      const bool is_test = id_ != 0;
      result.out += context.json ? event.dump() + "\n"
                    : is_test    ? step_text(event, began_ms_)
                                 : event_text(event);
      const auto kind = get<std::string>(event, "event", "");
      was_ready_ = was_ready_ || kind == "started";
      has_failed_ = has_failed_ || kind == "call-error";
      has_ended_ = has_ended_ || (id_ != 0 && kind == "ended");
    }
    const auto last = get<uint64_t>(*document, "last", last_);
    more = last > last_ && !events.empty();
    last_ = last;
  }
  if (has_ended_ && !context.json) {
    const auto text = verdict(context);
    if (!text) return no_answer(text.error());
    result.out += *text;
  }
  return result;
}

Result<void> VoiceEvents::follow(const CommandContext& context, const std::string& profile,
                                 uint64_t id, uint64_t last) {
  id_ = id;
  last_ = last;
  profile_ = profile;
  began_ms_ = wall_ms();
  const auto before = traffic(context);
  if (!before) return tl::unexpected(before.error());
  before_ = *before;
  return {};
}

Result<VoiceEvents::Traffic> VoiceEvents::traffic(const CommandContext& context) const {
  const auto answer = context.ask("J voices");
  if (!answer) return tl::unexpected(answer.error());
  const json document = parsed(*answer).value_or(json::object());
  const json profile =
      get<json>(get<json>(document, "profiles", json::object()), profile_.c_str(), json::object());
  const json counters = get<json>(profile, "counters", json::object());
  return Traffic{get<uint64_t>(counters, "frames_up", 0),
                 get<uint64_t>(counters, "messages_down", 0)};
}

// Of the profile as a whole: calls that run beside the test count, too.
Result<std::string> VoiceEvents::verdict(const CommandContext& context) const {
  const auto after = traffic(context);
  if (!after) return tl::unexpected(after.error());
  const uint64_t up = after->up - before_.up, down = after->down - before_.down;
  const std::string_view word = !was_ready_   ? "It does not work."
                                : has_failed_ ? "It works, but did not last."
                                : down == 0   ? "It works; nobody spoke, so it was silent."
                                              : "It works.";
  return fmt::format("{} {:.1f} s of silence went there, {} messages came back.\n", word,
                     static_cast<double>(up) / 50, down);
}

CommandResult start_voice_test(const CommandContext& context, const std::string& profile,
                               VoiceEvents& events) {
  const auto answer = context.ask("J voicetest " + profile);
  if (!answer) return no_answer(answer.error());
  const auto document = parsed(*answer);
  if (!document) {
    return {ExitCode::relay_error, "", "the relay has no voice profile " + profile + "\n"};
  }
  const auto followed = events.follow(context, profile, get<uint64_t>(*document, "id", 0),
                                      get<uint64_t>(*document, "last", 0));
  if (!followed) return no_answer(followed.error());
  return {};
}

}  // namespace relay::tools
