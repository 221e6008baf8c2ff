// The numbers behind `E` in replies, by name. error_codes.def is the single source.
#pragma once

#include <string_view>

namespace ctlproto {

namespace error {
// Plain int on purpose: it is what ParseError and replies carry.
enum Code : int {
#define ERROR_CODE(number, name, meaning) name = number,
#include "ctlproto/error_codes.def"
#undef ERROR_CODE
};
}  // namespace error

// What `E<code>` means, in a few words; empty when no row has that number.
constexpr std::string_view error_meaning(int code) {
  switch (code) {
#define ERROR_CODE(number, name, meaning) \
  case number:                            \
    return meaning;
#include "ctlproto/error_codes.def"
#undef ERROR_CODE
    default:
      return {};
  }
}

}  // namespace ctlproto
