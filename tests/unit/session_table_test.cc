#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/session/session_table.h"
#include "relay/session/tags.h"

namespace relay {
namespace {

Session& add(SessionTable& table, const std::string& call_id, const std::string& from_tag) {
  auto session = std::make_unique<Session>();
  session->call_id = call_id;
  session->from_tag = from_tag;
  return table.add(std::move(session));
}

}  // namespace

TEST_CASE("a tag matches itself, and without number any medium of its own") {
  struct Case {
    std::string description;
    std::string stored, given;
    TagMatch expected;
  };
  const std::vector<Case> cases = {
      {"equal", "ft;1", "ft;1", TagMatch::exact},
      {"any medium", "ft;1", "ft", TagMatch::prefix},
      {"another medium", "ft;1", "ft;2", TagMatch::none},
      {"a shorter stored tag is not meant", "ft", "ft;1", TagMatch::none},
      {"a longer tag is another tag", "ft1", "ft", TagMatch::none},
      {"nothing matches nothing but itself", ";1", "", TagMatch::none},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(match_tag(c.stored, c.given) == c.expected);
  }
}

TEST_CASE("suffixes of call-ids are told from call-ids") {
  struct Case {
    std::string description;
    std::string call_id;
    std::string expected;  // empty: no suffix
  };
  const std::vector<Case> cases = {
      {"Sippy's medium", "call@host-0", "call@host"},
      {"many digits", "call-123", "call"},
      {"Kamailio's branch", "call@host;z9hG4bK1", "call@host"},
      {"the first semicolon counts", "call;a;b", "call"},
      {"no suffix", "call@host.example", ""},
      {"a dash within", "my-call@host", ""},
      {"a dash at the end", "call-", ""},
      {"letters behind the dash", "call-1a", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(base_call_id(c.call_id).value_or("") == c.expected);
  }
}

TEST_CASE("look-up goes by the session's tag, in order of creation") {
  SessionTable table;
  const Session& first = add(table, "cid", "ft;1");
  const Session& second = add(table, "cid", "ft;2");
  struct Case {
    std::string description;
    std::string from;
    std::optional<std::string> to;
    const Session* expected;
    LegId leg;
  };
  const std::vector<Case> cases = {
      {"own tag", "ft;2", std::nullopt, &second, LegId::callee},
      {"own tag and another", "ft;1", "tt;1", &first, LegId::callee},
      {"reversed", "tt;2", "ft;2", &second, LegId::caller},
      {"reversed, number from the from-tag", "tt;2", "ft", &second, LegId::caller},
      {"reversed, no number", "tt", "ft", nullptr, LegId::callee},
      {"a from-tag must match whole", "ft", std::nullopt, nullptr, LegId::callee},
      {"unknown", "xx", "yy", nullptr, LegId::callee},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    std::optional<std::string_view> to;
    if (c.to) to = *c.to;
    const auto match = table.find("cid", c.from, to);
    CHECK(match.has_value() == (c.expected != nullptr));
    if (!match) continue;
    CHECK(match->session == c.expected);
    CHECK(match->leg_of_update == c.leg);
  }
  CHECK_FALSE(table.find("dic", "ft;1", std::nullopt));
}

TEST_CASE("sessions that come and go leave nothing behind") {
  SessionTable table;
  std::vector<Session*> sessions;
  for (int i = 0; i < 1000; ++i) {
    sessions.push_back(&add(table, "cid-" + std::to_string(i % 300), "ft" + std::to_string(i)));
  }
  CHECK(table.of_similar_calls("cid").size() == 1000);
  CHECK(table.of_call("cid-7").size() == 4);
  for (size_t i = 0; i < sessions.size(); i += 2) table.take(*sessions[i]);
  CHECK(table.size() == 500);
  CHECK(table.of_similar_calls("cid").size() == 500);
  for (size_t i = 1; i < sessions.size(); i += 2) table.take(*sessions[i]);
  CHECK(table.size() == 0);
  CHECK(table.of_similar_calls("cid").empty());
  CHECK(table.of_call("cid-7").empty());
}

TEST_CASE("pages by serial number see every session that stays exactly once") {
  SessionTable table;
  std::vector<Session*> sessions;
  for (int i = 0; i < 10; ++i) {
    sessions.push_back(&add(table, "cid" + std::to_string(i), "ft"));
  }
  const std::vector<Session*> page = table.after(0, 4);
  REQUIRE(page.size() == 4);
  const uint64_t cursor = page.back()->serial;
  table.take(*sessions[3]);  // the cursor itself goes
  table.take(*sessions[6]);
  add(table, "late", "ft");
  const std::vector<Session*> rest = table.after(cursor, 100);
  CHECK(rest.size() == 6);
  CHECK(rest.front() == sessions[4]);
  CHECK(rest.back()->call_id == "late");
}

}  // namespace relay
