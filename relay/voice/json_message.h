// JSON from and to endpoints. What comes in is anything: no accessor here throws.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace relay {

// An object, or nothing: for bad JSON, for other values, and for more parts than any message of
// these protocols has (nested brackets would cost 80 times their length in memory).
std::optional<nlohmann::json> parse_message(std::string_view text);

// The member as a string; empty if there is none or it is something else. The view lives as long
// as the object is not changed.
std::string_view text_at(const nlohmann::json& object, const char* key);
// The member as an object; a shared empty one if there is none or it is something else.
const nlohmann::json& object_at(const nlohmann::json& object, const char* key);
// The member to be filled in; anything there that is no object is replaced by an empty one.
nlohmann::json& object_in(nlohmann::json& object, const char* key);
// The member as a whole number, given as a number or, as some services do, as a string of digits.
std::optional<int64_t> number_at(const nlohmann::json& object, const char* key);
bool is_true_at(const nlohmann::json& object, const char* key);

// Bytes that are not UTF-8 are replaced by U+FFFD.
std::string to_text(const nlohmann::json& value);
// `text` between quotes, as JSON.
std::string json_string(std::string_view text);

}  // namespace relay
