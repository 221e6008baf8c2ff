// What a session leaves behind when it has ended: the record's values, the CSV row, the line of
// JSON.
#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "relay/acct/call_record.h"
#include "relay/acct/record_text.h"
#include "tests/support/relay_fixture.h"
#include "tests/support/rtp_packet.h"

namespace relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Endpoint kCaller{*IpAddress::parse("192.0.2.1"), 4000};
const Endpoint kCallee{*IpAddress::parse("192.0.2.2"), 5000};
const RecordOrigin kOrigin{"relay.example", 4711};
// ManualClock starts at 1000 s.
constexpr Duration kWallOffset = seconds(1'795'223'954) + milliseconds(722);

// RFC 4180.
std::vector<std::string> fields_of(const std::string& row) {
  std::vector<std::string> fields(1);
  bool in_quotes = false;
  for (size_t i = 0; i < row.size(); ++i) {
    const char c = row[i];
    if (c == '"' && in_quotes && i + 1 < row.size() && row[i + 1] == '"') {
      fields.back() += row[++i];
    } else if (c == '"') {
      in_quotes = !in_quotes;
    } else if (!in_quotes && c == ',') {
      fields.emplace_back();
    } else if (in_quotes || c != '\n') {
      fields.back() += c;
    }
  }
  return fields;
}

struct Accounted {
  Accounted() {
    relay.sessions.on_settled([this](const Session& session) {
      records.push_back(to_call_record(session, kWallOffset));
    });
  }
  Session& session(const std::string& call_id) {
    return *relay.sessions.table().of_call(call_id).at(0);
  }
  void packet(Session& session, LegId leg, const Endpoint& source, uint16_t sequence) {
    const auto bytes = rtp_packet(sequence, leg == LegId::callee ? 0xABCD : 0x1234);
    relay.plane.deliver(*session.flows, {leg, Component::rtp, source, bytes});
  }
  std::string column(const std::string& name, size_t record = 0) const {
    const auto names = fields_of(csv_header());
    const auto fields = fields_of(csv_row(records.at(record), kOrigin));
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == name) return fields.at(i);
    }
    return "no such column";
  }

  RelayFixture relay;
  std::vector<CallRecord> records;
};

// Caller 3 packets of which one is lost, callee 2; the second and the third 20 ms apart.
void talk(Accounted& accounted, const std::string& call_id) {
  Session& session = accounted.session(call_id);
  accounted.packet(session, LegId::caller, kCaller, 1);
  accounted.relay.clock.advance(milliseconds(20));
  accounted.packet(session, LegId::caller, kCaller, 2);
  accounted.packet(session, LegId::callee, kCallee, 7);
  accounted.relay.clock.advance(milliseconds(40));
  accounted.packet(session, LegId::caller, kCaller, 4);
  accounted.packet(session, LegId::callee, kCallee, 8);
  const Endpoint stranger{*IpAddress::parse("198.51.100.9"), 9};
  accounted.packet(session, LegId::callee, stranger, 9);
}

}  // namespace

TEST_CASE("the CSV has rtpproxy's 54 columns, and each row as many") {
  Accounted accounted;
  accounted.relay.ask("U c 192.0.2.1 4000 ft;1");
  accounted.relay.ask("D c ft");
  REQUIRE(accounted.records.size() == 1);
  CHECK(fields_of(csv_header()).size() == 54);
  CHECK(fields_of(csv_row(accounted.records[0], kOrigin)).size() == 54);
  CHECK(csv_header().ends_with(",rtpp_hld_cnt_a\n"));
}

TEST_CASE("the CSV row of a call") {
  Accounted accounted;
  accounted.relay.ask("U call-1 192.0.2.1 4000 ft;1");
  accounted.relay.clock.advance(seconds(2));
  accounted.relay.ask("L call-1 192.0.2.2 5000 ft;1 tt;1");
  talk(accounted, "call-1");
  accounted.relay.ask("D call-1 ft");
  REQUIRE(accounted.records.size() == 1);

  struct Case {
    std::string column, value;
  };
  const std::vector<Case> cases = {
      {"rec_ver", "1.2"},
      {"rtpp_node_id", "relay.example"},
      {"rtpp_pid", "4711"},
      {"sess_uid", "1"},
      {"call_id", "call-1"},
      {"from_tag", "ft;1"},
      {"setup_ts", "1795224954.722000"},
      {"teardown_ts", "1795224956.782000"},
      {"first_rtp_ts_ino", "1795224956.742000"},
      {"last_rtp_ts_ino", "1795224956.782000"},
      {"first_rtp_ts_ina", "1795224956.722000"},
      {"last_rtp_ts_ina", "1795224956.782000"},
      {"rtp_npkts_ina", "3"},
      {"rtp_npkts_ino", "2"},
      {"rtp_nrelayed", "5"},
      {"rtp_ndropped", "0"},
      {"rtcp_npkts_ina", "0"},
      {"rtpa_nsent_ina", "4"},
      {"rtpa_nrcvd_ina", "3"},
      {"rtpa_nlost_ina", "1"},
      {"rtpa_nsent_ino", "2"},
      {"rtpa_ssrc_last_ino", "0x0000ABCD"},
      {"rtpa_ssrc_cnt_ino", "1"},
      {"rtpa_pt_last_ino", "0"},
      {"rtpp_rtp_rmt_ip_o", "192.0.2.2"},
      {"rtpp_rtp_rmt_pt_o", "5000"},
      {"rtpp_rtp_rmt_ip_a", "192.0.2.1"},
      {"rtpp_rtcp_rmt_ip_a", "192.0.2.1"},
      {"rtpp_rtcp_rmt_pt_a", "4001"},
      {"rtpp_hld_sts_o", "f"},
      {"rtpp_hld_cnt_a", "0"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.column);
    CHECK(accounted.column(c.column) == c.value);
  }
}

TEST_CASE("the CSV row of a session without media, its callee on hold") {
  Accounted accounted;
  accounted.relay.ask("U c,\"x\" 127.0.0.1 5000 ft;1");
  accounted.relay.ask("L c,\"x\" 0.0.0.0 6000 ft;1 tt;1");
  accounted.relay.ask("D c,\"x\" ft");
  REQUIRE(accounted.records.size() == 1);
  const std::string row = csv_row(accounted.records[0], kOrigin);
  CAPTURE(row);
  CHECK(row.find(",\"c,\"\"x\"\"\",ft;1,") != row.npos);
  CHECK(accounted.column("call_id") == "c,\"x\"");
  CHECK(row.ends_with(",,,127.0.0.1,5000,,,127.0.0.1,5001,t,f,1,0\n"));
  CHECK(accounted.column("first_rtp_ts_ino") == "0.000000");
  CHECK(accounted.column("rtpa_ssrc_last_ina") == "");
  CHECK(accounted.column("rtpa_pt_last_ina") == "-1");
  CHECK(accounted.column("rtpa_jitter_avg_ino") == "0.000000");
}

TEST_CASE("hold as the commands tell it") {
  struct Case {
    std::string description;
    std::vector<std::string> commands;
    std::string status, count;  // of the caller
  };
  const std::vector<Case> cases = {
      {"never", {"U c 192.0.2.1 4000 ft"}, "f", "0"},
      {"from the beginning", {"U c 0.0.0.0 4000 ft"}, "t", "1"},
      {"and back", {"U c 0.0.0.0 4000 ft", "U c 192.0.2.1 4000 ft"}, "f", "1"},
      {"twice", {"U c 0.0.0.0 4000 ft", "U c 0.0.0.0 4000 ft"}, "t", "2"},
      {"an unusable address changes nothing", {"U c 0.0.0.0 4000 ft", "U c - 4000 ft"}, "t", "1"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Accounted accounted;
    for (const std::string& command : c.commands) accounted.relay.ask(command);
    accounted.relay.ask("D c ft");
    REQUIRE(accounted.records.size() == 1);
    CHECK(accounted.column("rtpp_hld_sts_a") == c.status);
    CHECK(accounted.column("rtpp_hld_cnt_a") == c.count);
    CHECK(accounted.column("rtpp_hld_sts_o") == "f");
  }
}

TEST_CASE("what ended a session") {
  std::vector<CallRecord> records;
  {
    RelayFixture relay;
    relay.sessions.on_settled(
        [&](const Session& session) { records.push_back(to_call_record(session, kWallOffset)); });
    relay.ask("U one 192.0.2.1 4000 ft");
    relay.ask("D one ft");
    relay.ask("U two 192.0.2.1 4000 ft");
    relay.wait_s(61);
    relay.ask("U three 192.0.2.1 4000 ft");
    relay.ask("X");
    relay.ask("U four 192.0.2.1 4000 ft");
  }
  REQUIRE(records.size() == 4);
  CHECK(records[0].ending == SessionEnd::deleted);
  CHECK(records[1].ending == SessionEnd::timed_out);
  CHECK(records[1].ended - records[1].created == seconds(60));
  CHECK(records[2].ending == SessionEnd::deleted);
  CHECK(records[3].ending == SessionEnd::shut_down);
  CHECK(records[3].call_id == "four");
}

TEST_CASE("a session that lingers for another branch ended when it was deleted") {
  Accounted accounted;
  accounted.relay.ask("U c 192.0.2.1 4000 ft");
  accounted.relay.ask("L c 192.0.2.2 5000 ft tt");
  accounted.relay.clock.advance(seconds(3));
  accounted.relay.ask("D c ft tt");
  CHECK(accounted.records.empty());
  accounted.relay.wait_s(6);
  REQUIRE(accounted.records.size() == 1);
  const CallRecord& record = accounted.records[0];
  CHECK(record.ended - record.created == seconds(3));
  CHECK(record.to_tags == std::vector<std::string>{"tt"});
  CHECK(record.complete);
}

TEST_CASE("no record comes before the plane has let go") {
  Accounted accounted;
  accounted.relay.ask("U c 192.0.2.1 4000 ft");
  accounted.relay.plane.hold_tickets();
  accounted.relay.ask("D c ft");
  accounted.relay.wait_s(2);
  CHECK(accounted.records.empty());
  accounted.relay.plane.settle_at_once();
  accounted.relay.wait_s(1);
  CHECK(accounted.records.size() == 1);
}

TEST_CASE("the line of JSON") {
  Accounted accounted;
  accounted.relay.ask("Uc8,101 call-\"1\" 192.0.2.1 4000 ft;1");
  accounted.relay.ask("L call-\"1\" 192.0.2.2 5000 ft;1 tt;1");
  talk(accounted, "call-\"1\"");
  accounted.relay.ask("D call-\"1\" ft");
  REQUIRE(accounted.records.size() == 1);
  const std::string text = json_line(accounted.records[0], kOrigin);
  CHECK(text.find('\n') == text.size() - 1);
  const auto line = nlohmann::json::parse(text);
  CHECK(line["node"] == "relay.example");
  CHECK(line["call_id"] == "call-\"1\"");
  CHECK(line["to_tags"] == std::vector<std::string>{"tt;1"});
  CHECK(line["setup"].get<double>() == doctest::Approx(1795224954.722));
  CHECK(line["duration_s"].get<double>() == doctest::Approx(0.06));
  CHECK(line["ended_by"] == "deleted");
  CHECK(line["complete"] == true);
  const auto& callee = line["callee"];
  CHECK(callee["signalled"] == "192.0.2.2:5000");
  CHECK(callee["latch"]["rank"] == "signalled");
  CHECK(callee["rtp"]["received"] == 3);
  CHECK(callee["rtp"]["relayed"] == 2);
  CHECK(callee["rtp"]["relayed_in_kernel"] == 0);
  CHECK(callee["rtp"]["dropped"] == nlohmann::json({{"source_refused", 1}}));
  CHECK(callee["rtcp"]["first"].is_null());
  CHECK(line["caller"]["codecs"] == std::vector<int>{8, 101});
  CHECK(line["caller"]["rtp"]["stream"]["lost"] == 1);
  CHECK(line["caller"]["rtp"]["received_bytes"] == 3 * 172);
}

TEST_CASE("a call-id of any bytes is a line of JSON") {
  CallRecord record;
  record.call_id = "\xff\n\x01";
  const auto line = nlohmann::json::parse(json_line(record, kOrigin));
  CHECK(line["call_id"] == "\xef\xbf\xbd\n\x01");
  CHECK(line["setup"].is_null());
}

}  // namespace relay
