// What a relay's replies say, as values. Pure; texts from the wire are judged here and nowhere
// else.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"

namespace relay::tools {

struct NamedValue {
  std::string name;
  std::string value;
  friend bool operator==(const NamedValue&, const NamedValue&) = default;
};
using NamedValues = std::vector<NamedValue>;

// The n of a reply that is `En`.
std::optional<int> error_code(std::string_view reply);
// In words, without the number.
std::string explain_error(int code);

// I: lines of `label: value`.
Result<NamedValues> parse_info(std::string_view reply);
// Gv and Qv: `name=value` words.
Result<NamedValues> parse_name_value_words(std::string_view reply);
// Q of genuine rtpproxy with at most two tags, not verbose: five numbers.
Result<NamedValues> parse_short_query(std::string_view reply);

// J: every number, text and truth value of a JSON object under its path, `legs.0.peer`.
Result<NamedValues> flatten_json(std::string_view json);

struct SessionPage {
  std::vector<std::string> sessions;  // JSON texts, one a session
  std::string next;                   // the cursor of the next page; empty at the end
};
// J sessions. A missing `next` is the end.
Result<SessionPage> parse_session_page(std::string_view json);

struct SessionTags {
  std::string from_tag;
  std::string to_tag;  // empty while the other party is unknown
  friend bool operator==(const SessionTags&, const SessionTags&) = default;
};
// J session CALLID: the tag pairs found in it, each once, in order.
Result<std::vector<SessionTags>> parse_session_tags(std::string_view json);

// {"name":value,…}; values that are numbers stay numbers.
std::string to_json(const NamedValues& values);
// The value called `name`, or nothing.
const std::string* find_value(const NamedValues& values, std::string_view name);

}  // namespace relay::tools
