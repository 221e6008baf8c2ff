#include "relay/session/tags.h"

#include <algorithm>

namespace relay {

TagMatch match_tag(std::string_view stored, std::string_view given) {
  if (stored == given) return TagMatch::exact;
  const bool numbered = stored.size() > given.size() && stored.starts_with(given) &&
                        stored[given.size()] == ';' && !given.empty();
  return numbered ? TagMatch::prefix : TagMatch::none;
}

std::string_view media_number(std::string_view tag) {
  const size_t semicolon = tag.rfind(';');
  return semicolon == std::string_view::npos ? std::string_view{} : tag.substr(semicolon);
}

std::optional<std::string_view> base_call_id(std::string_view call_id) {
  if (const size_t semicolon = call_id.find(';'); semicolon != std::string_view::npos) {
    return call_id.substr(0, semicolon);
  }
  const size_t dash = call_id.rfind('-');
  if (dash == std::string_view::npos || dash + 1 == call_id.size()) return std::nullopt;
  const std::string_view suffix = call_id.substr(dash + 1);
  const bool digits =
      std::all_of(suffix.begin(), suffix.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::optional(call_id.substr(0, dash)) : std::nullopt;
}

}  // namespace relay
