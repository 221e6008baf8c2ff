#include "ctlproto/reply.h"

#include <charconv>

#include "ctlproto/text.h"

namespace ctlproto {
namespace {

constexpr std::string_view kJoin = " && ";
constexpr std::string_view kFailed = "-1";
constexpr std::string_view kSucceeded = "0";

std::string_view shown(const SubResult& result) {
  switch (result.kind) {
    case SubResult::Kind::succeeded:
      return kSucceeded;
    case SubResult::Kind::failed:
      return kFailed;
    case SubResult::Kind::text:
      return result.text;
  }
  return kFailed;
}

// The text up to the next `separator`; `text` moves behind it.
std::string_view take_until(std::string_view& text, std::string_view separator) {
  const size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + separator.size());
  return part;
}

std::optional<uint32_t> parse_number(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

SubResult parse_result(std::string_view text) {
  if (text == kFailed) return {SubResult::Kind::failed, {}};
  if (text == kSucceeded) return {SubResult::Kind::succeeded, {}};
  return {SubResult::Kind::text, std::string(text)};
}

}  // namespace

std::string format_port(const PortReply& reply) {
  std::string out = std::to_string(reply.port);
  if (!reply.address.empty()) {
    out += ' ';
    out += reply.address;
    if (reply.ipv6) out += " 6";
  }
  return out;
}

std::string format_error(int code) {
  return 'E' + std::to_string(code) + '\n';
}

std::string format_reply(std::string_view main, std::span<const SubResult> results,
                         size_t bytes_max) {
  constexpr size_t kLineEnd = 1;
  constexpr size_t kMark = kJoin.size() + kFailed.size();
  size_t shown_count = results.size();
  while (shown_count > 0 && results[shown_count - 1].kind == SubResult::Kind::succeeded) {
    --shown_count;
  }
  std::string out(main);
  for (size_t i = 0; i < shown_count; ++i) {
    const std::string_view text = shown(results[i]);
    // Behind all but the last there must be room for the mark that the next did not fit.
    const size_t behind = kLineEnd + (i + 1 < shown_count ? kMark : 0);
    if (out.size() + kJoin.size() + text.size() + behind <= bytes_max) {
      out += kJoin;
      out += text;
      continue;
    }
    if (out.size() + kMark + kLineEnd <= bytes_max) out.append(kJoin).append(kFailed);
    break;
  }
  out += '\n';
  return out;
}

Reply parse_reply(std::string_view text) {
  while (!text.empty() && is_separator(text.back())) text.remove_suffix(1);
  Reply reply;
  std::string_view rest = text;
  const std::string_view main = take_until(rest, kJoin);
  reply.main = main;
  while (!rest.empty()) reply.results.push_back(parse_result(take_until(rest, kJoin)));

  std::string_view words = main;
  const std::string_view first = take_until(words, " ");
  if (first.starts_with('E') && words.empty()) {
    const auto code = parse_integer(first.substr(1));
    if (code && is_digit(first[1])) reply.error_code = *code;
  }
  reply.number = parse_number(first);
  if (reply.number) {
    reply.address = take_until(words, " ");
    reply.ipv6 = words.starts_with('6');
  }
  return reply;
}

}  // namespace ctlproto
