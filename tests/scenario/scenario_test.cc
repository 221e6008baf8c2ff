// Runs every script beside this file, and shows that the runner does fail and says where.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/scenario.h"

namespace relay::testing {
namespace {

std::vector<std::filesystem::path> call_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(SCENARIO_DIR)) {
    if (entry.path().extension() == ".call") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TEST_CASE("every call goes as its script says") {
  CHECK(call_files().size() >= 30);
  for (const auto& file : call_files()) {
    const auto failure = run_call_file(file);
    if (failure) FAIL_CHECK(*failure);
  }
}

TEST_CASE("a script that does not come true names line and difference") {
  const std::string call =
      "party bob 198.51.100.7:50000\n"
      "command U a 203.0.113.10 40000 f expect port P1 192.0.2.1\n"
      "command L a 198.51.100.7 50000 f t expect port P2 192.0.2.1\n";
  struct Case {
    std::string description, script;
    std::string expected;  // how the failure begins
  };
  const std::vector<Case> cases = {
      {"another reply", "command D x f expect 0\n", "line 1: `D x f` was answered `E50`"},
      {"more words than expected", "command U a 203.0.113.10 40000 f expect port P1\n",
       "line 1: `U a 203.0.113.10 40000 f` was answered"},
      {"a port that changes", call + "command Un a 203.0.113.10 40000 f expect port P1 192.0.2.1\n",
       "line 4: `Un a 203.0.113.10 40000 f`: answered port"},
      {"a port given out twice",
       call + "command U a 203.0.113.10 40000 f expect port P3 192.0.2.1\n",
       "line 4: `U a 203.0.113.10 40000 f`: answered port"},
      {"another verdict", call + "send bob -> P1 rtp expect drop candidate\n",
       "line 4: the packet met `forwarded 203.0.113.10:40000`, expected `drop candidate`"},
      {"another drop reason", call + "send 203.0.113.66:7 -> P1 rtp expect drop not_rtp\n",
       "line 4: the packet met `drop candidate`, expected `drop not_rtp`"},
      {"another receiver", call + "send bob -> P1 rtp expect forwarded 203.0.113.10:40002\n",
       "line 4: the packet went to 203.0.113.10:40000, expected 203.0.113.10:40002"},
      {"another port to leave from",
       call + "send bob -> P1 rtp expect forwarded 203.0.113.10:40000 from P1\n",
       "line 4: the packet left from"},
      {"one repetition of many",
       call + "send 203.0.113.66:7 -> P1 rtp times=5 expect drop candidate\n",
       "line 4: packet 5 of 5: the packet met `forwarded"},
      {"another number of sessions", call + "expect sessions 2\n",
       "line 4: sessions: `1`, expected `2`"},
      {"a word that is no step", "\n# comment\nsned a\n", "line 3: `sned a` is no step"},
      {"a field that is none", "send a -> b rtp sqe=1 expect lost\n", "line 1: `sqe=1`: ssrc="},
      {"an option that is none", "setup --no-such\n", "line 1: "},
      {"a party that is none", "send a -> b rtp expect lost\n", "line 1: `a` is neither"},
      {"nothing at all", "", "line 1: the script has no step"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto failure = Scenario().run(c.script);
    REQUIRE(failure.has_value());
    CAPTURE(*failure);
    CHECK(failure->starts_with(c.expected));
  }
}

}  // namespace relay::testing
