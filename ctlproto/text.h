// Small text helpers of the parser and formatter.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ctlproto/parse.h"

namespace ctlproto {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
constexpr bool is_hex_digit(char c) {
  return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'f');
}
constexpr bool is_separator(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Outside text made safe for a log line: quoted, escaped, cut after 64 bytes.
std::string quoted(std::string_view text);

// The whole text as a decimal integer with an optional sign, as strtol reads it.
std::optional<int> parse_integer(std::string_view text);

// %XX escapes to bytes, `+` to a blank; nothing when an escape is broken. And back: everything but
// letters, digits and `-._~` is escaped.
std::optional<std::string> url_decode(std::string_view text);
std::string url_encode(std::string_view text);

inline tl::unexpected<ParseError> refuse(int code, std::string message) {
  return tl::unexpected(ParseError{code, std::move(message)});
}

}  // namespace ctlproto
