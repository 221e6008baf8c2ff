#include "tools/common/reply_framing.h"

#include <cctype>

namespace relay::tools {
namespace {

std::string_view first_word(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_first_of(" \t\r\n", begin) - begin);
}

// I answers `sessions created`, `active sessions`, `active streams`, `packets received`, `packets
// transmitted`, and with the letter l also `average load`.
int expected_lines(std::string_view command) {
  const std::string_view verb = first_word(command);
  if (verb.empty() || std::tolower(static_cast<unsigned char>(verb[0])) != 'i') return 1;
  return verb.find_first_of("lL", 1) == std::string_view::npos ? 5 : 6;
}

}  // namespace

std::string_view without_line_end(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

std::optional<CookedReply> split_cooked_reply(std::string_view datagram) {
  const size_t blank = datagram.find(' ');
  if (blank == 0 || blank == std::string_view::npos) return std::nullopt;
  return CookedReply{datagram.substr(0, blank), without_line_end(datagram.substr(blank + 1))};
}

std::optional<std::string_view> complete_reply(std::string_view command,
                                               std::string_view received) {
  const bool is_error = received.starts_with('E');
  const int lines = is_error ? 1 : expected_lines(command);
  size_t end = 0;
  for (int i = 0; i < lines; ++i) {
    const size_t newline = received.find('\n', end);
    if (newline == std::string_view::npos) return std::nullopt;
    end = newline + 1;
  }
  return received.substr(0, end);
}

}  // namespace relay::tools
