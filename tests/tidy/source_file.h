// The tree as the house rules see it: every text file, and C++ text with what is not code blanked.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tidy {

struct SourceFile {
  std::string path;  // relative to the root of the tree, with '/'
  std::string text;

  bool is_header() const { return path.ends_with(".h"); }
  // Also the C of the kernel programs.
  bool is_code() const { return is_header() || path.ends_with(".cc") || path.ends_with(".c"); }
  bool is_under(std::string_view folder) const { return path.starts_with(folder); }
};

// Where a rule is broken and what it expects.
struct Finding {
  std::string path;
  size_t line = 0;  // from 1; 0: the file as a whole
  std::string message;
  std::string to_string() const;
};
using Findings = std::vector<Finding>;

// All files under `root` that belong to the project: nothing hidden, no build output, no binaries.
std::vector<SourceFile> load_tree(const std::filesystem::path& root);

// Same length and lines as `text`; comments and the insides of literals are blanks.
std::string without_comments_and_literals(std::string_view text);

std::vector<std::string_view> lines_of(std::string_view text);
size_t line_at(std::string_view text, size_t offset);
std::string_view trimmed(std::string_view text);
bool is_word_character(char c);
// Offset of `word` as a whole word at or after `from`, or npos.
size_t find_word(std::string_view text, std::string_view word, size_t from = 0);

}  // namespace tidy
