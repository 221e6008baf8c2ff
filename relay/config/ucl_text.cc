#include "relay/config/ucl_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "relay/base/log.h"

namespace relay {
namespace {

constexpr int kDepthMax = 32;

bool is_key_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' ||
         c == '/';
}

bool is_boolean(std::string_view text) {
  constexpr std::array words{"true", "false", "yes", "no", "on", "off"};
  return std::find(words.begin(), words.end(), text) != words.end();
}

// Digits, perhaps a fraction, and behind them a multiplier or a unit of time.
bool is_number(std::string_view text) {
  if (text.starts_with("-")) text.remove_prefix(1);
  if (text.starts_with("0x")) {
    return text.size() > 2 && text.find_first_not_of("0123456789abcdefABCDEF", 2) == text.npos;
  }
  const size_t end = text.find_first_not_of("0123456789.");
  if (end == 0 || text.empty() || std::count(text.begin(), text.end(), '.') > 1) return false;
  constexpr std::array units{"",   "k",  "K",  "m",  "M", "g",   "G", "kb", "Kb", "mb",
                             "Mb", "gb", "Gb", "ms", "s", "min", "d", "w",  "y"};
  const std::string_view unit = end == text.npos ? "" : text.substr(end);
  return std::find(units.begin(), units.end(), unit) != units.end();
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Result<std::vector<UclMember>> parse() {
    UclValue top;
    if (auto skipped = skip_space(); !skipped) return tl::unexpected(skipped.error());
    const bool braced = take('{');
    if (auto read = read_members(top, braced); !read) return tl::unexpected(read.error());
    if (auto skipped = skip_separators(); !skipped) return tl::unexpected(skipped.error());
    if (!at_end()) return wrong("nothing more is expected here");
    return std::move(top.members);
  }

 private:
  using Status = Result<void>;

  bool at_end() const { return at_ >= text_.size(); }
  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  char next() {
    const char c = text_[at_++];
    if (c == '\n') ++line_;
    return c;
  }
  bool take(char wanted) {
    if (peek() != wanted) return false;
    next();
    return true;
  }
  tl::unexpected<Error> wrong(std::string_view what) const {
    return fail(fmt::format("{}:{}: {}", name_, line_, what));
  }

  Status skip_block_comment() {
    int open = 0;
    const size_t line = line_;
    do {
      if (at_end()) return fail(fmt::format("{}:{}: the comment does not end", name_, line));
      const bool opens = peek() == '/' && peek(1) == '*';
      const bool closes = peek() == '*' && peek(1) == '/';
      if (opens || closes) next();
      open += opens ? 1 : closes ? -1 : 0;
      next();
    } while (open > 0);
    return {};
  }

  Status skip_space(bool over_lines = true) {
    for (;;) {
      if (peek() == '#') {
        while (!at_end() && peek() != '\n') next();
      } else if (peek() == '/' && peek(1) == '*') {
        if (auto skipped = skip_block_comment(); !skipped) return skipped;
      } else if (!at_end() && std::isspace(static_cast<unsigned char>(peek())) != 0 &&
                 (over_lines || peek() != '\n')) {
        next();
      } else {
        return {};
      }
    }
  }

  Status skip_separators() {
    do {
      if (auto skipped = skip_space(); !skipped) return skipped;
    } while (take(';') || take(','));
    return {};
  }

  Status read_members(UclValue& object, bool braced) {
    const size_t opened = line_;
    if (++depth_ > kDepthMax) return wrong("sections are nested too deep");
    for (;;) {
      if (auto skipped = skip_separators(); !skipped) return skipped;
      if (braced && take('}')) break;
      if (at_end()) {
        if (!braced) break;
        return fail(
            fmt::format("{}:{}: the section opened here does not end, expected }}", name_, opened));
      }
      if (auto read = read_member(object); !read) return read;
    }
    --depth_;
    return {};
  }

  Status read_member(UclValue& object) {
    UclMember member;
    member.line = line_;
    if (peek() == '.') return wrong("macros such as .include are not understood");
    auto key = read_key();
    if (!key) return tl::unexpected(key.error());
    member.key = std::move(*key);
    if (auto skipped = skip_space(false); !skipped) return skipped;
    const bool assigned = take('=') || take(':');
    if (auto skipped = skip_space(); !skipped) return skipped;
    if (auto read = assigned ? read_value(member.value) : read_section_or_value(member.value);
        !read) {
      return read;
    }
    object.members.push_back(std::move(member));
    return {};
  }

  // `name { … }`: a section within the section.
  Status read_section_or_value(UclValue& value) {
    const size_t start = at_;
    const size_t line = line_;
    UclMember inner;
    inner.line = line_;
    if (peek() != '{' && peek() != '[') {
      if (auto key = read_key(); key && skip_space() && peek() == '{') {
        inner.key = std::move(*key);
        if (auto read = read_value(inner.value); !read) return read;
        value.members.push_back(std::move(inner));
        return {};
      }
    }
    at_ = start;
    line_ = line;
    return read_value(value);
  }

  Result<std::string> read_key() {
    if (peek() == '"') return read_quoted();
    std::string key;
    while (is_key_character(peek())) key += next();
    if (key.empty()) {
      return wrong(fmt::format(
          "{}: expected the name of a key",
          quoted(text_.substr(at_, std::min<size_t>(text_.find('\n', at_) - at_, 20)))));
    }
    return key;
  }

  Status read_value(UclValue& value) {
    const auto take_text = [&](Result<std::string> text) -> Status {
      if (!text) return tl::unexpected(text.error());
      value.kind = UclValue::Kind::string;
      value.text = std::move(*text);
      return {};
    };
    if (take('{')) return read_members(value, true);
    if (take('[')) return read_array(value);
    if (peek() == '"') return take_text(read_quoted());
    if (peek() == '\'') return take_text(read_single_quoted());
    if (text_.substr(at_).starts_with("<<")) return wrong("here-documents are not understood");
    return read_bare(value);
  }

  Status read_array(UclValue& array) {
    if (++depth_ > kDepthMax) return wrong("sections are nested too deep");
    array.kind = UclValue::Kind::array;
    for (;;) {
      if (auto skipped = skip_separators(); !skipped) return skipped;
      if (take(']')) break;
      if (at_end()) return wrong("the list does not end, expected ]");
      UclMember element;
      element.line = line_;
      if (auto read = read_value(element.value); !read) return read;
      array.members.push_back(std::move(element));
    }
    --depth_;
    return {};
  }

  Status read_bare(UclValue& value) {
    constexpr std::string_view kEnds = "\n;,}]";
    std::string& text = value.text;
    while (!at_end() && kEnds.find(peek()) == kEnds.npos) {
      const bool after_space = text.empty() || text.back() == ' ' || text.back() == '\t';
      if (after_space && (peek() == '#' || (peek() == '/' && peek(1) == '*'))) break;
      text += next();
    }
    text.erase(std::min(text.find_last_not_of(" \t\r") + 1, text.size()));
    if (text.empty()) return wrong("the value is missing");
    value.kind = is_boolean(text)  ? UclValue::Kind::boolean
                 : is_number(text) ? UclValue::Kind::number
                                   : UclValue::Kind::string;
    return {};
  }

  Result<std::string> read_quoted() {
    next();
    std::string text;
    while (!at_end() && peek() != '\n') {
      const char c = next();
      if (c == '"') return text;
      if (c != '\\') {
        text += c;
        continue;
      }
      constexpr std::string_view kLetters = "nrtbf\"\\/";
      constexpr std::string_view kMeanings = "\n\r\t\b\f\"\\/";
      const size_t which = at_end() ? kLetters.npos : kLetters.find(peek());
      if (which == kLetters.npos) return wrong("unknown escape sequence in a string");
      next();
      text += kMeanings[which];
    }
    return wrong("the string does not end on its line");
  }

  Result<std::string> read_single_quoted() {
    next();
    std::string text;
    while (!at_end()) {
      if (take('\'')) return text;
      if (peek() == '\\' && peek(1) == '\'') next();
      text += next();
    }
    return wrong("the string does not end");
  }

  const std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  size_t line_ = 1;
  int depth_ = 0;
};

}  // namespace

Result<std::vector<UclMember>> parse_ucl(std::string_view text, const std::string& name) {
  return Parser(text, name).parse();
}

}  // namespace relay
