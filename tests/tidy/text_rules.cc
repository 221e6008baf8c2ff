// Rules that need no more than the text of one file.
#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "tests/tidy/checks.h"

namespace tidy {
namespace {

// UTF-8 continuation bytes take no column.
size_t columns(std::string_view line) {
  return static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool has_line_limit(const SourceFile& file) {
  return file.is_code() || file.path.ends_with(".def") || file.path.ends_with(".call") ||
         file.path.ends_with(".cmake") || file.path.ends_with("CMakeLists.txt");
}

// Offset of the parenthesis that closes the one at `open`.
size_t closing_parenthesis(std::string_view code, size_t open) {
  int depth = 0;
  for (size_t i = open; i < code.size(); ++i) {
    if (code[i] == '(') ++depth;
    if (code[i] == ')' && --depth == 0) return i;
  }
  return code.size();
}

// A call of close(2), not a member called close and not a declaration of one.
bool is_close_call(std::string_view code, size_t at) {
  std::string_view before = trimmed(code.substr(0, at));
  if (before.ends_with("::")) {  // `::close(` is a call, `Foo::close(` is not
    before = before.substr(0, before.size() - 2);
    return before.empty() || !is_word_character(before.back());
  }
  if (before.ends_with(".") || before.ends_with("->") || before.ends_with("~")) return false;
  if (before.empty() || !is_word_character(before.back())) return true;
  for (const std::string_view keyword : {"return", "else", "do"}) {
    if (before.ends_with(keyword)) return true;
  }
  return false;  // a type name: a declaration
}

}  // namespace

Findings check_text(const SourceFile& file) {
  Findings findings;
  const auto lines = lines_of(file.text);
  const bool tabs_allowed = file.path.ends_with("Makefile") || file.path.ends_with("rules");
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].ends_with(" ") || lines[i].ends_with("\t") || lines[i].ends_with("\r")) {
      findings.push_back({file.path, i + 1, "the line ends in a blank; end it in its last word"});
    }
    if (file.is_code() && !tabs_allowed && lines[i].find('\t') != std::string_view::npos) {
      findings.push_back({file.path, i + 1, "a tab; indent with two blanks"});
    }
  }
  if (!file.text.empty() && !file.text.ends_with("\n")) {
    findings.push_back({file.path, lines.size(), "the last line has no line end"});
  }
  return findings;
}

Findings check_leftovers(const SourceFile& file) {
  // In pieces, so that this file passes its own rule.
  static const std::array<std::string, 4> kNotes{
      "TO"
      "DO",
      "FIX"
      "ME",
      "X"
      "XX",
      "HA"
      "CK"};
  Findings findings;
  for (const std::string& note : kNotes) {
    for (size_t at = find_word(file.text, note); at != std::string::npos;
         at = find_word(file.text, note, at + 1)) {
      findings.push_back({file.path, line_at(file.text, at),
                          note + " left over; do it now or say in a sentence what is missing"});
    }
  }
  return findings;
}

Findings check_line_lengths(const SourceFile& file) {
  Findings findings;
  if (!has_line_limit(file)) return findings;
  const auto lines = lines_of(file.text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (columns(lines[i]) <= kLineColumnsMax) continue;
    findings.push_back({file.path, i + 1,
                        std::to_string(columns(lines[i])) + " columns; at most " +
                            std::to_string(kLineColumnsMax) + " are allowed"});
  }
  return findings;
}

Findings check_file_length(const SourceFile& file) {
  const size_t lines = lines_of(file.text).size();
  if (!file.is_code() || lines <= kFileLinesMax) return {};
  return {{file.path, lines,
           std::to_string(lines) + " lines; split it, at most " + std::to_string(kFileLinesMax) +
               " are allowed"}};
}

Findings check_test_names(const SourceFile& file) {
  Findings findings;
  if (!file.is_under("tests/") || !file.is_code()) return findings;
  const std::string code = without_comments_and_literals(file.text);
  for (const std::string_view macro :
       {"TEST_CASE", "TEST_CASE_FIXTURE", "TEST_CASE_TEMPLATE", "SCENARIO"}) {
    for (size_t at = find_word(code, macro); at != std::string::npos;
         at = find_word(code, macro, at + 1)) {
      const size_t open = code.find('(', at);
      if (open == std::string::npos) break;
      const size_t close = closing_parenthesis(code, open);
      if (file.text.substr(open, close - open).find(';') == std::string::npos) continue;
      findings.push_back({file.path, line_at(code, at),
                          "a `;` in the name of a test; ctest's discovery would split it there"});
    }
  }
  return findings;
}

Findings check_close(const SourceFile& file) {
  Findings findings;
  if (!file.is_code() || file.path == "relay/base/unique_fd.h") return findings;
  const std::string code = without_comments_and_literals(file.text);
  for (size_t at = find_word(code, "close"); at != std::string::npos;
       at = find_word(code, "close", at + 1)) {
    const size_t end = at + std::string_view("close").size();
    const std::string_view arguments = trimmed(std::string_view(code).substr(end, 4));
    if (!arguments.starts_with("(") || arguments.starts_with("()")) continue;
    if (!is_close_call(code, at)) continue;
    findings.push_back({file.path, line_at(code, at),
                        "calls close(2); a descriptor belongs to a UniqueFd "
                        "(relay/base/unique_fd.h)"});
  }
  return findings;
}

Findings check_pragma_once(const SourceFile& file) {
  if (!file.is_header() || file.path.ends_with(".bpf.h")) return {};
  const std::string code = without_comments_and_literals(file.text);
  for (const std::string_view line : lines_of(code)) {
    if (trimmed(line) == "#pragma once") return {};
  }
  // abi.h is C as well, where an include guard is the older habit.
  if (code.find("#ifndef") != std::string::npos) return {};
  return {{file.path, 1, "no `#pragma once`"}};
}

}  // namespace tidy
