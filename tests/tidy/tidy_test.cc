// Holds the tree to the rules of the house. A finding names file and line and what is expected.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/tidy/checks.h"

namespace tidy {
namespace {

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = load_tree(TIDY_SOURCE_DIR);
  return files;
}

void report(const Findings& findings) {
  for (const Finding& finding : findings) FAIL_CHECK(finding.to_string());
}

template <typename Check>
void check_each_file(Check check) {
  for (const SourceFile& file : tree()) report(check(file));
}

}  // namespace

TEST_CASE("the tree is found") {
  CHECK(tree().size() > 30);
  CHECK(std::any_of(tree().begin(), tree().end(),
                    [](const SourceFile& file) { return file.path == "tests/tidy/tidy_test.cc"; }));
}

TEST_CASE("includes go one way") {
  check_each_file(check_layers);
}

TEST_CASE("third-party libraries stay in their corner") {
  check_each_file(check_third_party);
}

TEST_CASE("a source includes its own header first") {
  check_each_file([](const SourceFile& file) { return check_own_header_first(file, tree()); });
}

TEST_CASE("lines end in words, files end in lines") {
  check_each_file(check_text);
}

TEST_CASE("no notes to self are left over") {
  check_each_file(check_leftovers);
}

TEST_CASE("lines are at most 100 columns") {
  check_each_file(check_line_lengths);
}

TEST_CASE("files are at most 500 lines") {
  check_each_file(check_file_length);
}

TEST_CASE("functions are at most 70 lines") {
  check_each_file(check_function_lengths);
}

TEST_CASE("names of tests survive ctest") {
  check_each_file(check_test_names);
}

TEST_CASE("only UniqueFd closes descriptors") {
  check_each_file(check_close);
}

TEST_CASE("headers are included once") {
  check_each_file(check_pragma_once);
}

TEST_CASE("every file is used") {
  report(check_dead_files(tree()));
}

TEST_CASE("the manual has every option, key, command, error and counter") {
  report(check_manual(tree()));
}

}  // namespace tidy
