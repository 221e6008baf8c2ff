#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "tools/rtpp-ctl/commands.h"
#include "tools/rtpp-ctl/replies.h"

namespace relay::tools {

TEST_CASE("an error reply is an E and a number, nothing else") {
  struct Case {
    std::string description;
    std::string reply;
    int expected;  // -1: no error
  };
  const std::vector<Case> cases = {
      {"unknown verb", "E0", 0},
      {"unknown session", "E50", 50},
      {"a port", "30000 192.0.2.1", -1},
      {"text behind the number", "E50 && 0", -1},
      {"an E alone", "E", -1},
      {"a negative number", "E-1", -1},
      {"a number that overflows", "E99999999999", -1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(error_code(c.reply).value_or(-1) == c.expected);
  }
}

TEST_CASE("texts of I, Gv and Q become names and values, or an error") {
  using Parse = Result<NamedValues> (*)(std::string_view);
  struct Case {
    std::string description;
    Parse parse;
    std::string reply;
    NamedValues expected;  // empty: refused
  };
  const std::vector<Case> cases = {
      {"I",
       parse_info,
       "sessions created: 2\nactive sessions: 1",
       {{"sessions created", "2"}, {"active sessions", "1"}}},
      {"I with something that is no pair", parse_info, "sessions created: 2\nhello", {}},
      {"I empty", parse_info, "", {}},
      {"Gv",
       parse_name_value_words,
       "nsess_created=1 pps_in=0.500000",
       {{"nsess_created", "1"}, {"pps_in", "0.500000"}}},
      {"Gv answered without names", parse_name_value_words, "1 2", {}},
      {"a word without a name", parse_name_value_words, "=2", {}},
      {"Q",
       parse_short_query,
       "60 1 2 3 0",
       {{"ttl", "60"},
        {"npkts_ina", "1"},
        {"npkts_ino", "2"},
        {"nrelayed", "3"},
        {"ndropped", "0"}}},
      {"Q with too few numbers", parse_short_query, "60 1 2 3", {}},
      {"J",
       flatten_json,
       R"({"a":1,"b":{"c":"x","d":[true,null]}})",
       {{"a", "1"}, {"b.c", "x"}, {"b.d.0", "yes"}, {"b.d.1", "-"}}},
      {"J that is cut off", flatten_json, R"({"a":1)", {}},
      {"J that is no object", flatten_json, "7", {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto values = c.parse(c.reply);
    CHECK(values.has_value() == !c.expected.empty());
    if (values) CHECK(*values == c.expected);
  }
}

TEST_CASE("JSON nested without end is left out below a depth, and nothing crashes") {
  std::string nested = R"({"a":)" + std::string(20000, '[') + std::string(20000, ']') + "}";
  const auto values = flatten_json(nested);
  REQUIRE(values);
  CHECK(values->empty());
  CHECK(parse_session_tags(nested)->empty());
  const auto page = parse_session_page(R"({"sessions":[)" + nested + "]}");
  REQUIRE(page);
  CHECK(page->sessions[0].size() < 100);
}

TEST_CASE("a page of sessions names the next one or is the last") {
  struct Case {
    std::string description;
    std::string json;
    int sessions;  // -1: refused
    std::string next;
  };
  const std::vector<Case> cases = {
      {"more to come", R"({"sessions":[{"call_id":"a"}],"next":"c7"})", 1, "c7"},
      {"a numeric cursor", R"({"sessions":[],"next":7})", 0, "7"},
      {"the end", R"({"sessions":[{},{}],"next":null})", 2, ""},
      {"no cursor at all", R"({"sessions":[]})", 0, ""},
      {"no list", R"({"next":null})", -1, ""},
      {"the list is none", R"({"sessions":5})", -1, ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto page = parse_session_page(c.json);
    CHECK((page ? static_cast<int>(page->sessions.size()) : -1) == c.sessions);
    if (page) CHECK(page->next == c.next);
  }
}

namespace {

// Answers from a table; what is not in it, as genuine rtpproxy answers an unknown verb.
CommandContext relay_that_answers(std::map<std::string, std::string> replies, bool json = false) {
  return {[replies = std::move(replies)](const std::string& command) -> Result<Answer> {
            const auto found = replies.find(command);
            if (found == replies.end()) return Answer{"E0"};
            if (found->second.empty()) return fail("no answer");
            return Answer{found->second, std::chrono::microseconds(120), 1};
          },
          json, "udp:127.0.0.1:22222"};
}

}  // namespace

TEST_CASE("the exit status tells an error from silence") {
  CHECK(run_raw(relay_that_answers({{"V", "20040107"}}), "V").code == ExitCode::ok);
  CHECK(run_raw(relay_that_answers({{"D a b", "E50"}}), "D a b").code == ExitCode::relay_error);
  CHECK(run_raw(relay_that_answers({{"V", ""}}), "V").code == ExitCode::no_answer);
  CHECK(run_ping(relay_that_answers({{"V", ""}})).code == ExitCode::no_answer);
  CHECK(run_info(relay_that_answers({{"I", "nonsense"}})).code == ExitCode::relay_error);
}

TEST_CASE("an error is shown as the relay sent it and explained aside") {
  const auto result = run_raw(relay_that_answers({{"D a b", "E50"}}), "D a b");
  CHECK(result.out == "E50\n");
  CHECK(result.err.starts_with("E50: "));
  CHECK(result.err.find("no such session") != std::string::npos);
}

TEST_CASE("JSON output is JSON whatever happened") {
  CHECK(run_ping(relay_that_answers({{"V", "20040107"}}, true)).out ==
        R"({"socket":"udp:127.0.0.1:22222","protocol":20040107,"latency_us":120,"transmissions":1})"
        "\n");
  const auto failed = run_delete(relay_that_answers({{"D a b", "E50"}}, true), "a", "b", "");
  CHECK(flatten_json(failed.out));
  CHECK(failed.code == ExitCode::relay_error);
}

TEST_CASE("sessions are read page by page") {
  const auto context = relay_that_answers({
      {"J sessions", R"({"sessions":[{"call_id":"a","ttl_s":60,"legs":[{"port":1}]}],"next":"2"})"},
      {"J sessions 2", R"({"sessions":[{"call_id":"b","record":true}],"next":null})"},
  });
  CHECK(run_sessions(context).out ==
        "call_id  ttl_s  record\n"
        "a        60\n"
        "b               yes\n");
}

TEST_CASE("a cursor that does not move ends the listing") {
  const auto context = relay_that_answers({
      {"J sessions", R"({"sessions":[{"call_id":"a"}],"next":"2"})"},
      {"J sessions 2", R"({"sessions":[{"call_id":"b"}],"next":"2"})"},
  });
  CHECK(run_sessions(context).out == "call_id\na\nb\n");
}

TEST_CASE("a genuine rtpproxy gets its own commands, and what cannot be shown is said") {
  const std::string info = "sessions created: 2\nactive sessions: 1";
  const auto sessions = run_sessions(relay_that_answers({{"I", info}}));
  CHECK(sessions.code == ExitCode::ok);
  CHECK(sessions.out.find("active sessions") != std::string::npos);
  CHECK(sessions.err.find("cannot list") != std::string::npos);

  const auto query = run_query(relay_that_answers({{"Q a ft", "60 1 2 3 0"}}), "a", "ft", "");
  CHECK(query.code == ExitCode::ok);
  CHECK(query.out.find("npkts_ina   1\n") != std::string::npos);
  CHECK(query.err.find("cannot be shown") != std::string::npos);

  CHECK(run_query(relay_that_answers({}), "a", "", "").code == ExitCode::usage);
  CHECK(run_delete(relay_that_answers({}), "a", "", "").code == ExitCode::usage);
}

TEST_CASE("delete without tags deletes every session of the call-id") {
  std::vector<std::string> asked;
  const CommandContext context{
      [&](const std::string& command) -> Result<Answer> {
        asked.push_back(command);
        if (command == "J session a") {
          return Answer{R"({"sessions":[{"from_tag":"f1","to_tag":"t1"},{"from_tag":"f2"}]})"};
        }
        return Answer{"0"};
      },
      false, "unix:/run/relay.sock"};
  CHECK(run_delete(context, "a", "", "").code == ExitCode::ok);
  CHECK(asked == std::vector<std::string>{"J session a", "D a f1 t1", "D a f2"});
}

TEST_CASE("a call is laid out party by party, and what is not told is a dash") {
  const auto context = relay_that_answers({
      {"J session a",
       R"({"call_id":"a","not_shown":2,"sessions":[{"from_tag":"ft","answered":[{"tag":"tt"}],)"
       R"("complete":true,"age_s":1.25,"ttl_s":60,)"
       R"("caller":{"local":"192.0.2.1:30000","latch":{"holder":"198.51.100.7:4000",)"
       R"("rank":"signalled_host"},"rtp":{"received":50,"forwarded":47,)"
       R"("dropped":{"source_refused":3}}},"callee":{"prompt":{"name":"welcome",)"
       R"("payload_type":8,"position_s":0.5,"times_left":2}}}]})"},
      {"J session b", R"({"sessions":7})"},
      {"J session c", "E50"},
  });
  const auto shown = run_query(context, "a", "", "");
  CHECK(shown.code == ExitCode::ok);
  CHECK(shown.out ==
        "call a\n"
        "\n"
        "from ft, answered by tt\n"
        "complete yes, age 1.25 s, 60 s to live\n"
        "\n"
        "party   local            signalled  latched on         by              policy\n"
        "caller  192.0.2.1:30000  -          198.51.100.7:4000  signalled_host  -\n"
        "callee  -                -          -                  -               -\n"
        "\n"
        "from         received  forwarded  lost  jitter  longest gap  dropped\n"
        "caller rtp         50         47     -       -            -  source_refused 3\n"
        "caller rtcp         -          -     -       -            -  -\n"
        "callee rtp          -          -     -       -            -  -\n"
        "callee rtcp         -          -     -       -            -  -\n"
        "\n"
        "callee hears the prompt welcome: payload type 8, at 0.5 s, 2 times to go\n"
        "\n"
        "and 2 more sessions\n");
  CHECK(run_query(context, "b", "", "").code == ExitCode::relay_error);
  CHECK(run_query(context, "c", "", "").code == ExitCode::relay_error);
}

TEST_CASE("what is recorded and copied is listed below a call") {
  const auto context = relay_that_answers({
      {"J session a",
       R"({"call_id":"a","sessions":[{"from_tag":"ft","caller":{"recordings":[)"
       R"({"file":"a=ft.o.rtp","state":"broken_off","reason":"write: full","packets":7,)"
       R"("missing":2}],"copies":[{"to":"192.0.2.9:9000","sent":5,"failed":1}]},)"
       R"("callee":{"recordings":[{"file":"a=ft.a.rtp","state":"running","packets":4,)"
       R"("missing":0}],"copies":[]}}]})"},
  });
  const auto shown = run_query(context, "a", "", "");
  CHECK(shown.out.ends_with(
      "\n"
      "of      recorded in, copied to  state                     packets  missing\n"
      "caller  a=ft.o.rtp              broken_off (write: full)        7        2\n"
      "caller  udp:192.0.2.9:9000      running                         5        1\n"
      "callee  a=ft.a.rtp              running                         4        0\n"));
}

TEST_CASE("counters asked twice carry their rate") {
  std::string reply = R"({"packets":{"received":100},"uptime_s":1})";
  const CommandContext context{[&](const std::string&) -> Result<Answer> { return Answer{reply}; },
                               false, ""};
  StatsCommand stats;
  CHECK(stats.run(context).out ==
        "counter           value\npackets.received    100\nuptime_s              1\n");
  reply = R"({"packets":{"received":200},"uptime_s":1})";
  const std::string second = stats.run(context).out;
  CHECK(second.starts_with("counter           value"));
  CHECK(second.find("per s") != std::string::npos);
}

TEST_CASE("why tells the way, the latch, what was refused, and what happened") {
  const std::string reply = R"({"call_id":"c1","not_shown":2,"help":{
    "dropped":{"source_refused":"not from the holder"},"punted":{"other_source":"a stranger"},
    "event":{"created":"the first U"}},
    "sessions":[{"from_tag":"a;1","answered":[{"tag":"b;1"}],"complete":true,"lingering":false,
    "age_s":200,"ttl_s":58,"events_forgotten":3,
    "events":[{"event":"created","age_s":200},{"event":"unheard_of","age_s":3.25,"leg":"caller"}],
    "caller":{"local":"198.51.100.1:30000","signalled":"192.0.2.1:4000","policy":"strict",
      "latch":{"rank":"signalled_host","holder":"192.0.2.1:4001","contested":true,"held_s":12.3,
        "egress":"192.0.2.1:4001"},
      "prompt":{"name":"hold","codec":"PCMA","position_s":3.2,"times_left":null},
      "path":{"plane":"kernel","since_s":12,"came_back":"signalling has changed",
        "kernel":{"received":603,"forwarded":600,"punted":{"other_source":3,"rtcp":0}}},
      "rtp":{"received":610,"forwarded":607,"dropped":{"source_refused":3}},
      "rtcp":{"dropped":{"loop":1},"path":{"plane":"kernel","since_s":4}}},
    "callee":{"latch":{"rank":"none","holder":null},"path":{"plane":"user_space",
      "reason":"the sender is not latched"},"rtp":{"received":0,"forwarded":0}}}]})";
  const auto result = run_why(relay_that_answers({{"J session c1", reply}}), "c1");
  CHECK(result.code == ExitCode::ok);
  for (const char* expected :
       {"call c1", "session from a;1, answered by b;1", "complete; 3 min 20 s old, ends in 58 s",
        "caller → callee: relayed in the kernel since 12 s\n",
        "610 RTP packets received, 607 forwarded, 600 in the kernel",
        "last came back from the kernel because: signalling has changed",
        "3 refused: source_refused (not from the holder)", "1 RTCP refused: loop\n",
        "RTCP on its own port: relayed in the kernel since 4.0 s\n",
        "3 left to user space by the kernel: other_source (a stranger)",
        "callee → caller: relayed in user space, not in the kernel: the sender is not latched",
        "caller: signalled 192.0.2.1:4000; latched on 192.0.2.1:4001 (the signalled host, from "
        "another port) since 12 s, contested",
        "media to it goes to 192.0.2.1:4001; our port is 198.51.100.1:30000\n"
        "    hears the prompt hold as PCMA, 3.2 s into it, without end\n",
        "callee: no media address signalled; nobody holds the latch so far\n"
        "    media to it goes nowhere so far\n",
        "the first U", "unheard_of", "3.2 s", "and 3 earlier events", "and 2 more sessions"}) {
    CAPTURE(expected);
    CHECK(result.out.find(expected) != std::string::npos);
  }
  CHECK(result.out.find("rtcp (") == std::string::npos);
}

TEST_CASE("why copes with what a relay leaves out, and says what it cannot do") {
  struct Case {
    std::string description;
    std::string reply;
    ExitCode code;
    std::string shown;
  };
  const std::vector<Case> cases = {
      {"a session of which nothing else is told", R"({"sessions":[{"from_tag":"a"}]})",
       ExitCode::ok, "caller → callee: relayed, the relay does not tell where"},
      {"no reason", R"({"sessions":[{"caller":{"path":{"plane":"user_space"}}}]})", ExitCode::ok,
       "relayed in user space\n"},
      {"ages that are none", R"({"sessions":[{"age_s":"x","events":[{"age_s":-1}]}]})",
       ExitCode::ok, "- old"},
      {"no sessions", R"({"call_id":"c"})", ExitCode::relay_error, "expected a list"},
      {"no JSON", "hello", ExitCode::relay_error, "expected a JSON object"},
      {"an unknown call", "E50", ExitCode::relay_error, "no such session"},
      {"a relay without J", "E0", ExitCode::relay_error, "no J command"},
      {"silence", "", ExitCode::no_answer, "no answer"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto result = run_why(relay_that_answers({{"J session c", c.reply}}), "c");
    CHECK(result.code == c.code);
    CHECK((result.out + result.err).find(c.shown) != std::string::npos);
  }
  CHECK(run_why(relay_that_answers({{"J session c", R"({"sessions":[]})"}}, true), "c").out ==
        "{\"sessions\":[]}\n");
}

}  // namespace relay::tools
