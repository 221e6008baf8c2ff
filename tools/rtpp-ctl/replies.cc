#include "tools/rtpp-ctl/replies.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "ctlproto/error_codes.h"
#include "relay/base/log.h"

namespace relay::tools {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  size_t begin = text.find_first_not_of(separators);
  while (begin != std::string_view::npos) {
    const size_t end = text.find_first_of(separators, begin);
    parts.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(separators, end);
  }
  return parts;
}

// Numbers with at most three places, a dash for null; lists and objects as JSON.
std::string scalar_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_null()) return "-";
  if (!value.is_number_float()) return value.dump();
  std::string text = fmt::format("{:.3f}", value.get<double>());
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

void flatten_into(NamedValues& out, const std::string& path, const Json& value) {
  if (!value.is_structured()) {
    out.push_back({path, scalar_text(value)});
    return;
  }
  for (const auto& [key, child] : value.items()) {
    flatten_into(out, path.empty() ? key : path + "." + key, child);
  }
}

// Deeper than any relay nests. What is below is left out: flattening and dump() recurse, and
// hostile nesting must not exhaust the stack.
constexpr int kDepthMax = 32;

Result<Json> parse_object(std::string_view text) {
  const auto keep = [](int depth, Json::parse_event_t, Json&) { return depth <= kDepthMax; };
  Json parsed = Json::parse(text, keep, false);
  if (!parsed.is_object()) {
    return fail(fmt::format("the relay answered {}: expected a JSON object", quoted(text)));
  }
  return parsed;
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

void collect_tags(std::vector<SessionTags>& out, const Json& value) {
  if (value.is_object()) {
    SessionTags tags{text_at(value, "from_tag"), text_at(value, "to_tag")};
    const bool known = std::find(out.begin(), out.end(), tags) != out.end();
    if (!tags.from_tag.empty() && !known) out.push_back(std::move(tags));
  }
  if (!value.is_structured()) return;
  for (const Json& child : value) collect_tags(out, child);
}

Json number_or_text(const std::string& text) {
  const Json parsed = Json::parse(text, nullptr, false);
  return parsed.is_number() ? parsed : Json(text);
}

}  // namespace

std::optional<int> error_code(std::string_view reply) {
  if (!reply.starts_with('E')) return std::nullopt;
  reply.remove_prefix(1);
  int code = 0;
  const auto [end, error] = std::from_chars(reply.data(), reply.data() + reply.size(), code);
  if (error != std::errc() || end != reply.data() + reply.size() || code < 0) return std::nullopt;
  return code;
}

std::string explain_error(int code) {
  const std::string_view meaning = ctlproto::error_meaning(code);
  return meaning.empty() ? "an error number rtpproxy does not use" : std::string(meaning);
}

Result<NamedValues> parse_info(std::string_view reply) {
  NamedValues values;
  for (const std::string_view line : split(reply, "\r\n")) {
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos) {
      return fail(
          fmt::format("the relay answered the line {}: expected \"label: value\"", quoted(line)));
    }
    values.push_back({std::string(line.substr(0, colon)), std::string(line.substr(colon + 2))});
  }
  if (values.empty()) return fail("the relay answered nothing: expected lines of \"label: value\"");
  return values;
}

Result<NamedValues> parse_name_value_words(std::string_view reply) {
  NamedValues values;
  for (const std::string_view word : split(reply, " \r\n")) {
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string_view::npos) {
      return fail(fmt::format("the relay answered {}: expected name=value", quoted(word)));
    }
    values.push_back({std::string(word.substr(0, equals)), std::string(word.substr(equals + 1))});
  }
  return values;
}

Result<NamedValues> parse_short_query(std::string_view reply) {
  constexpr const char* kNames[] = {"ttl", "npkts_ina", "npkts_ino", "nrelayed", "ndropped"};
  const auto words = split(reply, " \r\n");
  if (words.size() != std::size(kNames)) {
    return fail(fmt::format("the relay answered {}: expected five numbers", quoted(reply)));
  }
  NamedValues values;
  for (size_t i = 0; i < words.size(); ++i) values.push_back({kNames[i], std::string(words[i])});
  return values;
}

Result<NamedValues> flatten_json(std::string_view json) {
  const auto object = parse_object(json);
  if (!object) return tl::unexpected(object.error());
  NamedValues values;
  flatten_into(values, "", *object);
  return values;
}

Result<SessionPage> parse_session_page(std::string_view json) {
  const auto object = parse_object(json);
  if (!object) return tl::unexpected(object.error());
  const auto sessions = object->find("sessions");
  if (sessions == object->end() || !sessions->is_array()) {
    return fail(fmt::format("the relay answered {}: expected a list \"sessions\"", quoted(json)));
  }
  SessionPage page;
  for (const Json& session : *sessions) page.sessions.push_back(session.dump());
  const auto next = object->find("next");
  if (next != object->end() && !next->is_null()) page.next = scalar_text(*next);
  return page;
}

Result<std::vector<SessionTags>> parse_session_tags(std::string_view json) {
  const auto object = parse_object(json);
  if (!object) return tl::unexpected(object.error());
  std::vector<SessionTags> tags;
  collect_tags(tags, *object);
  return tags;
}

std::string to_json(const NamedValues& values) {
  Json object = Json::object();
  for (const NamedValue& value : values) object[value.name] = number_or_text(value.value);
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const std::string* find_value(const NamedValues& values, std::string_view name) {
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.name == name; });
  return found == values.end() ? nullptr : &found->value;
}

}  // namespace relay::tools
