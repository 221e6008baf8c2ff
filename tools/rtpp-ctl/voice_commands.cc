#include "tools/rtpp-ctl/voice_commands.h"

#include <fmt/core.h>

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
  return run(context, fmt::format("P-1 {} ai:{} 0 {}", call_id, profile, *named));
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
      result.out += context.json ? event.dump() + "\n" : event_text(event);
      const auto kind = get<std::string>(event, "event", "");
      has_failed_ = has_failed_ || kind == "call-error";
      has_ended_ = has_ended_ || (id_ != 0 && kind == "ended");
    }
    const auto last = get<uint64_t>(*document, "last", last_);
    more = last > last_ && !events.empty();
    last_ = last;
  }
  return result;
}

CommandResult start_voice_test(const CommandContext& context, const std::string& profile,
                               VoiceEvents& events) {
  const auto answer = context.ask("J voicetest " + profile);
  if (!answer) return no_answer(answer.error());
  const auto document = parsed(*answer);
  if (!document) {
    return {ExitCode::relay_error, "", "the relay has no voice profile " + profile + "\n"};
  }
  events.follow(get<uint64_t>(*document, "id", 0), get<uint64_t>(*document, "last", 0));
  return {};
}

}  // namespace relay::tools
