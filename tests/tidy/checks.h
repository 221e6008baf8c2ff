// The rules of the house that can be checked. Each function returns what breaks its rule; none
// reads a file or keeps state, so the tests of the rules hand in bad samples.
#pragma once

#include <string_view>
#include <vector>

#include "tests/tidy/source_file.h"

namespace tidy {

inline constexpr size_t kFileLinesMax = 500;
inline constexpr size_t kFunctionLinesMax = 70;  // rows of a braced table do not count
inline constexpr size_t kLineColumnsMax = 100;

// includes.cc: folders are layers, and a third-party library has its corner.
Findings check_layers(const SourceFile& file);
Findings check_third_party(const SourceFile& file);
// A source includes its own header first, which proves that the header stands alone.
Findings check_own_header_first(const SourceFile& file, const std::vector<SourceFile>& tree);

// text_rules.cc
Findings check_text(const SourceFile& file);       // trailing blanks, tabs, last line end
Findings check_leftovers(const SourceFile& file);  // notes to self
Findings check_line_lengths(const SourceFile& file);
Findings check_file_length(const SourceFile& file);
Findings check_test_names(const SourceFile& file);  // ctest discovery splits at `;`
Findings check_close(const SourceFile& file);       // descriptors belong to UniqueFd
Findings check_pragma_once(const SourceFile& file);

// function_lengths.cc
struct Function {
  size_t first_line = 0, last_line = 0;
  size_t table_lines = 0;  // lines inside braced initialisers
  size_t lines() const { return last_line - first_line + 1 - table_lines; }
};
std::vector<Function> functions_in(std::string_view text);
Findings check_function_lengths(const SourceFile& file);

// whole_tree.cc
Findings check_dead_files(const std::vector<SourceFile>& tree);
// Each row of a single source is described in the manual.
Findings check_manual(const std::vector<SourceFile>& tree);

}  // namespace tidy
