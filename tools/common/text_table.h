// Columns for a person: aligned, as wide as their widest cell, no wider than they need to be.
#pragma once

#include <string>
#include <vector>

namespace relay::tools {

struct Column {
  std::string title;
  bool right = false;  // numbers
};

class TextTable {
 public:
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Missing cells are empty; control characters in cells are shown as `?`.
  void add_row(std::vector<std::string> cells);
  size_t rows() const { return rows_.size(); }
  // Each line ends in LF and not in blanks. The title line is left out when all titles are empty.
  std::string to_string() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace relay::tools
