#include "relay/voice/json_message.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace relay {
namespace {

using nlohmann::json;

// Session objects with tools have hundreds of parts.
constexpr std::ptrdiff_t kPartsMax = 20'000;

}  // namespace

std::optional<json> parse_message(std::string_view text) {
  const auto parts = std::count_if(text.begin(), text.end(),
                                   [](char c) { return c == '[' || c == '{' || c == ','; });
  if (parts > kPartsMax) return std::nullopt;
  json message = json::parse(text, nullptr, false);
  if (!message.is_object()) return std::nullopt;
  return message;
}

std::string_view text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  return found->get_ref<const std::string&>();
}

const json& object_at(const json& object, const char* key) {
  static const json empty = json::object();
  const auto found = object.find(key);
  return found == object.end() || !found->is_object() ? empty : *found;
}

json& object_in(json& object, const char* key) {
  json& member = object[key];
  if (!member.is_object()) member = json::object();
  return member;
}

std::optional<int64_t> number_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  if (found->is_number_integer()) return found->get<int64_t>();
  if (!found->is_string()) return std::nullopt;
  const auto& text = found->get_ref<const std::string&>();
  int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_true_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::string to_text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string json_string(std::string_view text) {
  return to_text(json(text));
}

}  // namespace relay
