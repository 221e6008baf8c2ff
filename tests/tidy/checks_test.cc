// The rules themselves: each is shown to catch bad samples and to let good ones pass.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/tidy/checks.h"

namespace tidy {
namespace {

struct Case {
  std::string description;
  std::string path;
  std::string text;
  size_t line = 0;       // of the one finding; 0: none is expected
  std::string expected;  // part of its message
};

template <typename Check>
void run(const std::vector<Case>& cases, Check check) {
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const Findings findings = check(SourceFile{c.path, c.text});
    REQUIRE(findings.size() == (c.line > 0 ? 1 : 0));
    if (c.line == 0) continue;
    CHECK(findings[0].path == c.path);
    CHECK(findings[0].line == c.line);
    CHECK(findings[0].message.find(c.expected) != std::string::npos);
  }
}

std::string function_of(size_t lines) {
  std::string text = "int f() {\n";
  for (size_t i = 2; i < lines; ++i) text += "  g();\n";
  return text + "}\n";
}

std::string repeated(const std::string& line, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += line;
  return text;
}

}  // namespace

TEST_CASE("layers: an include against the direction is found") {
  run({{"flow may not see session", "relay/flow/decide.cc",
        "\n#include \"relay/session/session.h\"\n", 2, "relay/flow/ may include only itself"},
       {"base may see nothing", "relay/base/log.cc", "#include \"relay/rtp/demux.h\"\n", 1,
        "and nothing"},
       {"the protocol library knows no relay", "ctlproto/parse.cc",
        "#include \"relay/base/result.h\"\n", 1, "ctlproto/"},
       {"tools may not see sessions", "tools/ctl/main.cc", "#include \"relay/session/session.h\"\n",
        1, "tools/"},
       {"nobody includes the composition", "relay/control/udp.cc", "#include \"relay/daemon.h\"\n",
        1, "composition"},
       {"tests are seen by nobody", "relay/flow/latch.cc",
        "#include \"tests/support/manual_clock.h\"\n", 1, "relay/flow/"},
       {"main sees the composition", "relay/main.cc", "#include \"relay/daemon.h\"\n", 0, ""},
       {"flow sees base", "relay/flow/latch.cc", "#include \"relay/base/clock.h\"\n", 0, ""},
       {"a layer sees itself", "relay/flow/latch.cc", "#include \"relay/flow/latch.h\"\n", 0, ""},
       {"a comment includes nothing", "relay/base/log.cc",
        "// #include \"relay/rtp/demux.h\"\n/*\n#include \"relay/rtp/demux.h\"\n*/\n", 0, ""}},
      check_layers);
}

TEST_CASE("third-party libraries: an include outside the corner is found") {
  run({{"libevent", "relay/session/session.cc", "#include <event2/event.h>\n", 1,
        "only in relay/control/"},
       {"libuv", "tools/load/main.cc", "#include <uv.h>\n", 1, "only in tools/common/"},
       {"libbpf", "relay/dataplane/worker.cc", "#include <bpf/libbpf.h>\n", 1, "relay/fastpath/"},
       {"spdlog, even beside log.cc", "relay/base/endpoint.cc", "#include <spdlog/spdlog.h>\n", 1,
        "relay/base/log.cc"},
       {"toml++", "relay/main.cc", "#include <toml++/toml.h>\n", 1, "relay/config/"},
       {"JSON in a header", "relay/control/json.h", "#include <nlohmann/json.hpp>\n", 1,
        "never in a header"},
       {"all of fmt in a header", "relay/control/reply.h", "#include <fmt/format.h>\n", 1,
        "never in a header"},
       {"a library nobody named", "relay/base/log.cc", "#include <boost/asio.hpp>\n", 1,
        "has no corner"},
       {"a C library nobody named", "relay/base/log.cc", "#include <pcap.h>\n", 1, "has no corner"},
       {"libevent at home", "relay/control/loop.cc", "#include <event2/event.h>\n", 0, ""},
       {"JSON in a source", "relay/control/json.cc", "#include <nlohmann/json.hpp>\n", 0, ""},
       {"C++ and the kernel", "relay/base/log.cc",
        "#include <vector>\n#include <sys/socket.h>\n#include <unistd.h>\n", 0, ""}},
      check_third_party);
}

TEST_CASE("own header first: another first include is found") {
  const std::vector<SourceFile> tree = {{"relay/base/log.h", ""}, {"relay/base/log.cc", ""}};
  run({{"another header comes first", "relay/base/log.cc",
        "#include <vector>\n#include \"relay/base/log.h\"\n", 1, "relay/base/log.h"},
       {"the own header comes first", "relay/base/log.cc",
        "#include \"relay/base/log.h\"\n#include <vector>\n", 0, ""},
       {"no own header", "relay/main.cc", "#include <vector>\n", 0, ""}},
      [&](const SourceFile& file) { return check_own_header_first(file, tree); });
}

TEST_CASE("text: blanks, tabs and missing line ends are found") {
  run({{"a trailing blank", "README.md", "one\ntwo \n", 2, "ends in a blank"},
       {"a carriage return", "README.md", "one\r\n", 1, "ends in a blank"},
       {"a tab in code", "relay/main.cc", "int a;\n\tint b;\n", 2, "a tab"},
       {"no line end", "README.md", "one\ntwo", 2, "no line end"},
       {"good text", "README.md", "one\n\ntwo\n", 0, ""}},
      check_text);
  run({{"a note to self", "README.md", std::string("one\nTO") + "DO: two\n", 2, "left over"},
       {"another", "relay/main.cc", std::string("// FIX") + "ME\n", 1, "left over"},
       {"a template for mkstemp is none", "tests/run", "mktemp /tmp/a." + repeated("X", 6) + "\n",
        0, ""},
       {"part of a word is none", "README.md", std::string("TO") + "DOS\n", 0, ""}},
      check_leftovers);
}

TEST_CASE("lengths: long lines and long files are found") {
  run({{"101 columns", "relay/main.cc", "\n" + repeated("a", 101) + "\n", 2, "101 columns"},
       {"100 columns", "relay/main.cc", repeated("a", 100) + "\n", 0, ""},
       {"a letter of two bytes takes one column", "relay/main.cc", repeated("ß", 100) + "\n", 0,
        ""},
       {"prose may be longer", "README.md", repeated("a", 101) + "\n", 0, ""}},
      check_line_lengths);
  run({{"501 lines", "relay/main.cc", repeated("a\n", 501), 501, "501 lines"},
       {"500 lines", "relay/main.cc", repeated("a\n", 500), 0, ""}},
      check_file_length);
}

TEST_CASE("functions: one of 71 lines is found") {
  const std::string table_rows = repeated("      {1, 2},\n", 80);
  run({{"71 lines", "relay/main.cc", "\n" + function_of(71), 2, "a function of 71 lines"},
       {"70 lines", "relay/main.cc", function_of(70), 0, ""},
       {"rows of a table do not count", "relay/main.cc",
        "void f() {\n  const Row rows[] = {\n" + table_rows + "  };\n}\n", 0, ""},
       {"rows handed to a function do not count", "relay/main.cc",
        "void f() {\n  run({\n" + table_rows + "  });\n}\n", 0, ""},
       {"a class is no function", "relay/a.h", "class A {\n" + repeated("  int a;\n", 80) + "};\n",
        0, ""},
       {"a method in a class is one", "relay/a.h", "class A {\n" + function_of(71) + "};\n", 2,
        "71 lines"},
       {"a loop in a function belongs to it", "relay/main.cc",
        "int f() {\n  for (int i = 0; i < 9; ++i) {\n" + repeated("    g();\n", 67) + "  }\n}\n", 1,
        "71 lines"},
       {"a constructor with braces among its initialisers", "relay/main.cc",
        "A::A(int a) : a_(a), b_{a} {\n" + repeated("  g();\n", 69) + "}\n", 1, "71 lines"},
       {"a test case is a function", "tests/a_test.cc",
        "TEST_CASE(\"a\") {\n" + repeated("  g();\n", 69) + "}\n", 1, "71 lines"},
       {"braces in comments and literals are none", "relay/main.cc",
        "int f() {\n  // {\n  g('{', \"{\", 1'000);\n}\n" + function_of(60), 0, ""},
       {"a directive's braces are none", "relay/main.cc",
        "#define OPEN {\n#define LONG \\\n  {\n" + function_of(60), 0, ""}},
      check_function_lengths);
}

TEST_CASE("functions: a lambda is told from a table") {
  const auto functions = functions_in(
      "void f() {\n"
      "  auto g = [&](int a) {\n"
      "    return a;\n"
      "  };\n"
      "  h(rows[1], [] {\n"
      "    k();\n"
      "  });\n"
      "}\n");
  REQUIRE(functions.size() == 3);
  CHECK(functions[0].lines() == 3);
  CHECK(functions[1].lines() == 3);
  CHECK(functions[2].lines() == 8);
}

TEST_CASE("names of tests: a semicolon is found") {
  run({{"in the name", "tests/a_test.cc",
        "\nTEST_CASE(\"a"
        ";"
        " b\") {}\n",
        2, "a `;`"},
       {"in the name on the next line", "tests/a_test.cc",
        "TEST_CASE(\n    \"a"
        ";"
        "\") {}\n",
        1, "a `;`"},
       {"behind the name", "tests/a_test.cc", "TEST_CASE(\"a\") { f(); }\n", 0, ""}},
      check_test_names);
}

TEST_CASE("descriptors: a call of close is found") {
  run({{"a plain call", "relay/main.cc", "int main() {\n  close(3);\n}\n", 2, "UniqueFd"},
       {"a qualified call", "relay/main.cc", "void f() { ::close(3); }\n", 1, "UniqueFd"},
       {"a returned call", "relay/main.cc", "int f() { return close(3); }\n", 1, "UniqueFd"},
       {"a member's call", "relay/main.cc", "void f() { a.close(); b->close(); }\n", 0, ""},
       {"a member's declaration", "relay/a.h", "class A { void close(); };\n", 0, ""},
       {"a member's definition", "relay/main.cc", "void A::close() {}\n", 0, ""},
       {"the owner", "relay/base/unique_fd.h", "void f() { ::close(3); }\n", 0, ""}},
      check_close);
}

TEST_CASE("headers: a missing guard is found") {
  run({{"no guard", "relay/a.h", "int a();\n", 1, "#pragma once"},
       {"behind a comment", "relay/a.h", "// Says a.\n#pragma once\n", 0, ""},
       {"only spoken of", "relay/a.h", "// #pragma once\n", 1, "#pragma once"}},
      check_pragma_once);
}

TEST_CASE("dead files: what nobody lists or includes is found") {
  const std::vector<SourceFile> tree = {
      {"CMakeLists.txt", "add_executable(x relay/main.cc)\n"},
      {"relay/CMakeLists.txt", "relay_library(relay_base SOURCES base/log.cc)\n"},
      {"relay/base/dead.cc", ""},
      {"relay/base/dead.h", "#include \"relay/base/dead.h\"\n"},
      {"relay/base/g.cc", ""},  // the end of another name is no mention
      {"relay/base/log.cc", "#include \"relay/base/log.h\"\n"},
      {"relay/base/log.h", ""},
      {"relay/main.cc", ""},
      {"tests/fuzz/CMakeLists.txt", "program(${name}.cc)\nfuzz(fuzz_rtp)\n"},
      {"tests/fuzz/fuzz_rtp.cc", ""},
      {"tests/support/count.cc", ""},
      {"tests/unit/CMakeLists.txt", "relay_test(a SOURCES a_test.cc ../support/count.cc)\n"},
      {"tests/unit/a_test.cc", "#include \"fixture.h\"\n"},
      {"tests/unit/fixture.h", ""},
  };
  const Findings findings = check_dead_files(tree);
  REQUIRE(findings.size() == 3);
  CHECK(findings[0].to_string() ==
        "relay/base/dead.cc: no CMakeLists.txt lists it; list it or remove it");
  CHECK(findings[1].path == "relay/base/dead.h");
  CHECK(findings[2].path == "relay/base/g.cc");
}

TEST_CASE("manual: a row that no page describes is found") {
  const std::vector<SourceFile> tree = {
      {"man/rtpp-relay.8", "\\fBno_egress\\fR\nsource\\-refused\n"},
      {"relay/flow/drop_reason.def",
       "// DROP_REASON(comment, \"\")\nDROP_REASON(no_egress, \"a, b\")\n"
       "DROP_REASON(candidate, \"c\")\n"},
      {"relay/new.def", "ROW(a)\n"},
  };
  const Findings findings = check_manual(tree);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].path == "relay/new.def");
  CHECK(findings[1].to_string() ==
        "relay/flow/drop_reason.def:3: row `candidate` is not described in man/rtpp-relay.8");
}

}  // namespace tidy
