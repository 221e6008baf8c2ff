#include "relay/voice/doubao_errors.h"

#include <algorithm>
#include <charconv>

namespace relay {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

std::optional<int64_t> find_doubao_code(std::string_view text) {
  constexpr std::ptrdiff_t kDigits = 8;
  for (auto at = text.begin(); at != text.end();) {
    const auto begin = std::find_if(at, text.end(), is_digit);
    const auto end = std::find_if_not(begin, text.end(), is_digit);
    if (end - begin == kDigits && (*begin == '4' || *begin == '5')) {
      int64_t code = 0;
      std::from_chars(&*begin, &*begin + kDigits, code);
      return code;
    }
    at = end;
  }
  return std::nullopt;
}

VoiceError classify_doubao_error(std::optional<int64_t> code, std::string_view text) {
  if (!code) code = find_doubao_code(text);
  const bool may_pass = code && *code / 10'000'000 == 5;
  const bool is_speaker = text.find("InvalidSpeaker") != std::string_view::npos;
  return may_pass && !is_speaker ? VoiceError::endpoint_error : VoiceError::endpoint_refusal;
}

}  // namespace relay
