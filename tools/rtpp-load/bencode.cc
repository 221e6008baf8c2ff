#include "tools/rtpp-load/bencode.h"

#include <fmt/core.h>

#include <charconv>

namespace relay::tools {
namespace {

constexpr int kDepthMax = 16;

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  char next() const { return rest_.empty() ? '\0' : rest_.front(); }
  bool take(char c) {
    if (next() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::optional<std::string> string() {
    size_t length = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), length);
    if (error != std::errc() || end == rest_.data()) return std::nullopt;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    if (!take(':') || length > rest_.size()) return std::nullopt;
    std::string result(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return result;
  }
  std::optional<std::string> integer() {
    if (!take('i')) return std::nullopt;
    const size_t end = rest_.find('e');
    if (end == std::string_view::npos || end == 0) return std::nullopt;
    std::string digits(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return digits;
  }
  bool skip_value(int depth = 0) {
    if (next() == 'i') return integer().has_value();
    if (next() != 'l' && next() != 'd') return string().has_value();
    if (depth == kDepthMax) return false;
    rest_.remove_prefix(1);
    while (!take('e')) {
      if (at_end() || !skip_value(depth + 1)) return false;
    }
    return true;
  }

 private:
  std::string_view rest_;
};

}  // namespace

BencodeDictionary& BencodeDictionary::add(std::string_view key, std::string_view value) {
  text_ += fmt::format("{}:{}{}:{}", key.size(), key, value.size(), value);
  return *this;
}

BencodeDictionary& BencodeDictionary::add(std::string_view key, int64_t value) {
  text_ += fmt::format("{}:{}i{}e", key.size(), key, value);
  return *this;
}

BencodeDictionary& BencodeDictionary::add_list(std::string_view key,
                                               const std::vector<std::string_view>& values) {
  text_ += fmt::format("{}:{}l", key.size(), key);
  for (const std::string_view value : values) text_ += fmt::format("{}:{}", value.size(), value);
  text_ += "e";
  return *this;
}

std::optional<std::map<std::string, std::string>> parse_bencode_strings(std::string_view text) {
  Reader reader(text);
  if (!reader.take('d')) return std::nullopt;
  std::map<std::string, std::string> result;
  while (!reader.take('e')) {
    const auto key = reader.string();
    if (!key) return std::nullopt;
    if (reader.next() == 'l' || reader.next() == 'd') {
      if (!reader.skip_value()) return std::nullopt;
      continue;
    }
    const auto value = reader.next() == 'i' ? reader.integer() : reader.string();
    if (!value) return std::nullopt;
    result[*key] = *value;
  }
  return result;
}

}  // namespace relay::tools
