// Finds functions by counting braces: no parser, but every brace is told apart by the text in
// front of it (its head). A lambda counts for itself and for the function around it.
#include <algorithm>
#include <array>
#include <string>

#include "tests/tidy/checks.h"

namespace tidy {
namespace {

enum class BlockKind { scope, function, control, initialiser };

struct Block {
  BlockKind kind = BlockKind::scope;
  size_t line = 0;
  size_t table_lines = 0;
  size_t head = 0;  // where the head of what encloses it starts
  int parentheses = 0;
};

std::string_view first_word(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && is_word_character(text[end])) ++end;
  return text.substr(0, end);
}

// Drops `template <…>` and attributes in front of a declaration.
std::string_view without_prefixes(std::string_view head) {
  for (;;) {
    head = trimmed(head);
    if (head.starts_with("[[")) {
      head.remove_prefix(std::min(head.find("]]") + 2, head.size()));
    } else if (first_word(head) == "template" && head.find('<') != std::string_view::npos) {
      size_t i = head.find('<');
      int depth = 0;
      for (; i < head.size(); ++i) {
        if (head[i] == '<') ++depth;
        if (head[i] == '>' && --depth == 0) break;
      }
      head.remove_prefix(std::min(i + 1, head.size()));
    } else {
      return head;
    }
  }
}

// `[captures](parameters) specifiers` at the end of the head. Behind an operand, `[` subscripts.
bool ends_in_lambda(std::string_view head) {
  for (size_t open = head.rfind('['); open != std::string_view::npos && open < head.size();
       open = open == 0 ? std::string_view::npos : head.rfind('[', open - 1)) {
    const std::string_view before = trimmed(head.substr(0, open));
    const bool is_subscript = !before.empty() && before.back() != '=' && before.back() != '(' &&
                              before.back() != ',' && !before.ends_with("return");
    const size_t close = head.find(']', open);
    if (is_subscript || close == std::string_view::npos) continue;
    const std::string_view rest = trimmed(head.substr(close + 1));
    if (rest.empty() || rest.front() == '(' || first_word(rest) == "mutable") return true;
  }
  return false;
}

// `Foo::Foo(int a) : a_` in front of `{a}`.
bool is_member_initialiser(std::string_view head) {
  if (head.empty() || !is_word_character(head.back())) return false;
  for (size_t colon = head.find(':'); colon != std::string_view::npos;
       colon = head.find(':', colon + 1)) {
    if (colon + 1 < head.size() && head[colon + 1] == ':') {
      ++colon;
      continue;
    }
    const std::string_view before = trimmed(head.substr(0, colon));
    if (before.ends_with(")") || before.ends_with("noexcept")) return true;
  }
  return false;
}

BlockKind kind_of(std::string_view head, int parentheses, BlockKind parent) {
  head = without_prefixes(head);
  constexpr std::array controls{"if",     "else", "for",   "while",   "do",
                                "switch", "try",  "catch", "default", "case"};
  constexpr std::array scopes{"namespace", "class", "struct", "union", "enum", "extern"};
  const std::string_view word = first_word(head);
  if (std::find(controls.begin(), controls.end(), word) != controls.end() && parentheses == 0) {
    return BlockKind::control;
  }
  if (ends_in_lambda(head)) return BlockKind::function;
  if (parentheses > 0 || head.ends_with("=") || head.ends_with("return") || head.ends_with(",") ||
      is_member_initialiser(head)) {
    return BlockKind::initialiser;
  }
  if (std::find(scopes.begin(), scopes.end(), word) != scopes.end()) return BlockKind::scope;
  if (head.empty()) {
    return parent == BlockKind::initialiser ? BlockKind::initialiser : BlockKind::control;
  }
  return head.find('(') != std::string_view::npos ? BlockKind::function : BlockKind::initialiser;
}

// Directives hold unbalanced braces; they and their continuation lines are blanked.
std::string without_directives(std::string code) {
  bool continues = false;
  size_t start = 0;
  while (start < code.size()) {
    const size_t end = std::min(code.find('\n', start), code.size());
    const std::string_view line = std::string_view(code).substr(start, end - start);
    const bool directive = continues || trimmed(line).starts_with("#");
    continues = directive && trimmed(line).ends_with("\\");
    if (directive)
      std::fill(code.begin() + static_cast<long>(start), code.begin() + static_cast<long>(end),
                ' ');
    start = end + 1;
  }
  return code;
}

class Scanner {
 public:
  explicit Scanner(std::string_view code) : code_(code) {}

  std::vector<Function> run() {
    for (size_t i = 0; i < code_.size(); ++i) {
      switch (code_[i]) {
        case '\n':
          ++line_;
          break;
        case '(':
          ++parentheses_;
          break;
        case ')':
          --parentheses_;
          break;
        case ';':
          if (parentheses_ == 0) head_ = i + 1;
          break;
        case '{':
          enter(i);
          break;
        case '}':
          leave(i);
          break;
        default:
          break;
      }
    }
    return std::move(functions_);
  }

 private:
  void enter(size_t at) {
    const BlockKind parent = blocks_.empty() ? BlockKind::scope : blocks_.back().kind;
    const std::string_view head = code_.substr(head_, at - head_);
    blocks_.push_back({kind_of(head, parentheses_, parent), line_, 0, head_, parentheses_});
    head_ = at + 1;
    parentheses_ = 0;
  }

  void leave(size_t at) {
    if (blocks_.empty()) return;
    const Block block = blocks_.back();
    blocks_.pop_back();
    parentheses_ = block.parentheses;
    head_ = at + 1;
    if (block.kind == BlockKind::function) {
      functions_.push_back({block.line, line_, block.table_lines});
    }
    if (block.kind == BlockKind::initialiser) head_ = block.head;  // the expression goes on
    if (block.kind == BlockKind::function && parentheses_ > 0) head_ = block.head;
    if (blocks_.empty()) return;
    const bool is_table = block.kind == BlockKind::initialiser && line_ > block.line + 1;
    blocks_.back().table_lines += is_table ? line_ - block.line - 1 : block.table_lines;
  }

  std::string_view code_;
  std::vector<Block> blocks_;
  std::vector<Function> functions_;
  size_t line_ = 1;
  size_t head_ = 0;
  int parentheses_ = 0;
};

}  // namespace

std::vector<Function> functions_in(std::string_view text) {
  const std::string code = without_directives(without_comments_and_literals(text));
  return Scanner(code).run();
}

Findings check_function_lengths(const SourceFile& file) {
  Findings findings;
  if (!file.is_code()) return findings;
  for (const Function& function : functions_in(file.text)) {
    if (function.lines() <= kFunctionLinesMax) continue;
    findings.push_back({file.path, function.first_line,
                        "a function of " + std::to_string(function.lines()) +
                            " lines; split it, at most " + std::to_string(kFunctionLinesMax) +
                            " are allowed (rows of a table do not count)"});
  }
  return findings;
}

}  // namespace tidy
