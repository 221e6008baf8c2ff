#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/support/relay_fixture.h"
#include "tests/support/rtp_packet.h"

namespace relay {
namespace {

using nlohmann::json;

json ask(RelayFixture& relay, const std::string& command) {
  const std::string reply = relay.dispatcher.execute(command, {});
  REQUIRE(reply.ends_with('\n'));
  CHECK(reply.find('\n') == reply.size() - 1);
  return json::parse(reply);
}

}  // namespace

TEST_CASE("J session shows legs, latch, flows, drops and tags") {
  RelayFixture relay(sequential_config("127.0.0.1"));
  relay.ask("Uc0,8 c 192.0.2.1 4000 ft;1");
  relay.ask("La c 192.0.2.2 5000 ft;1 tt;1");
  FlowGroup& flows = *relay.sessions.find("c", "ft;1", std::nullopt)->session->flows;
  const Endpoint caller{*IpAddress::parse("192.0.2.1"), 4001};
  const Endpoint stranger{*IpAddress::parse("203.0.113.9"), 4000};
  const auto packet = rtp_packet(7, 0xABCD);
  relay.plane.deliver(flows, {LegId::caller, Component::rtp, caller, packet});
  const auto foreign = rtp_packet(1, 99);
  relay.plane.deliver(flows, {LegId::caller, Component::rtp, stranger, foreign});
  relay.wait_s(2);

  const json call = ask(relay, "J session c");
  CHECK(call["call_id"] == "c");
  REQUIRE(call["sessions"].size() == 1);
  const json& session = call["sessions"][0];
  CHECK(session["from_tag"] == "ft;1");
  CHECK(session["answered"] == json::parse(R"([{"tag":"tt;1","signalled":"192.0.2.2:5000"}])"));
  CHECK(session["ttl_s"] == 58);
  CHECK(session["age_s"] == 2.0);
  const json& leg = session["caller"];
  CHECK(leg["local"] == "127.0.0.1:30002");
  CHECK(leg["signalled"] == "192.0.2.1:4000");
  CHECK(leg["policy"] == "strict");
  CHECK(leg["codecs"] == json::parse("[0,8]"));
  CHECK(leg["latch"]["rank"] == "signalled_host");
  CHECK(leg["latch"]["holder"] == "192.0.2.1:4001");
  CHECK(leg["rtp"]["received"] == 2);
  CHECK(leg["rtp"]["forwarded"] == 1);
  CHECK(leg["rtp"]["dropped"] == json::parse(R"({"source_refused":1})"));
  CHECK(leg["rtp"]["stream"]["ssrc"] == 0xABCD);
  CHECK(session["callee"]["policy"] == "asymmetric");
  CHECK(session["callee"]["latch"]["egress"] == "192.0.2.2:5000");
  CHECK(relay.ask("J session nosuch") == "E50");
}

TEST_CASE("J session tells the last events, what they mean, and since when a latch is held") {
  RelayFixture relay(sequential_config("127.0.0.1"));
  relay.ask("U c 192.0.2.1 4000 ft");
  relay.wait_s(1);
  relay.ask("L c 192.0.2.2 5000 ft tt");
  relay.wait_s(1);
  FlowGroup& flows = *relay.sessions.find("c", "ft", std::nullopt)->session->flows;
  const auto packet = rtp_packet(7, 0xABCD);
  const Endpoint caller{*IpAddress::parse("192.0.2.1"), 4000};
  relay.plane.deliver(flows, {LegId::caller, Component::rtp, caller, packet});
  relay.wait_s(1);
  relay.ask("U c 192.0.2.9 4000 ft tt");
  relay.ask("U c 0.0.0.0 4000 ft tt");

  const json call = ask(relay, "J session c");
  const json& session = call["sessions"][0];
  CHECK(session["events"] == json::parse(R"([
      {"event":"created","age_s":3.0},
      {"event":"complete","age_s":2.0},
      {"event":"answered","age_s":2.0},
      {"event":"latched","age_s":1.0,"leg":"caller"},
      {"event":"signalled_changed","age_s":0.0,"leg":"caller"},
      {"event":"held","age_s":0.0,"leg":"caller"}])"));
  CHECK(session["events_forgotten"] == 0);
  for (const json& event : session["events"]) {
    CHECK(call["help"]["event"].contains(event["event"].get<std::string>()));
  }
  CHECK(call["help"]["dropped"]["source_refused"] == "not from the endpoint that holds the latch");
  CHECK(call["help"]["punted"].contains("other_source"));
  CHECK(session["caller"]["latch"]["held_s"] == 1.0);
  CHECK(session["caller"]["latch"]["holders"] == 1);
  CHECK(session["caller"]["latch"]["contested"] == true);
  CHECK(session["caller"]["path"] ==
        json::parse(R"({"plane":"user_space","reason":"no fast path"})"));
  CHECK_FALSE(session["callee"]["latch"].contains("held_s"));
}

TEST_CASE("J session tells a flow's counters in the kernel, also of earlier stays") {
  RelayFixture relay(sequential_config("127.0.0.1"));
  relay.ask("U c 192.0.2.1 4000 ft");
  FlowGroup& flows = *relay.sessions.find("c", "ft", std::nullopt)->session->flows;
  auto before = std::make_unique<KernelFlowStats>();
  before->received = 10;
  before->forwarded = 7;
  before->drops[kernel_drop_source_refused] = 1;
  before->punts[kernel_punt_other_source] = 2;
  flows.kernel_of(LegId::caller, Component::rtp).before = std::move(before);
  const json session = ask(relay, "J session c")["sessions"][0];
  CHECK(session["caller"]["path"]["kernel"] == json::parse(R"({"received":10,"forwarded":7,
      "dropped":{"source_refused":1},"punted":{"other_source":2}})"));
  CHECK_FALSE(session["callee"]["path"].contains("kernel"));
}

TEST_CASE("a fork's rejected branches and its revival are events") {
  RelayFixture relay;
  const auto last_event = [&] {
    return ask(relay, "J session c")["sessions"][0]["events"].back()["event"];
  };
  relay.ask("U c 192.0.2.1 4000 ft");
  relay.ask("L c 192.0.2.2 5000 ft tt");
  relay.ask("D c ft other");
  CHECK(last_event() == "rejected_branch");
  relay.ask("D c ft tt");
  CHECK(last_event() == "lingering");
  relay.wait_s(1);
  relay.ask("L c 192.0.2.3 5000 ft another");
  const json events = ask(relay, "J session c")["sessions"][0]["events"];
  CHECK(events[events.size() - 3]["event"] == "revived");
  CHECK(events.back()["event"] == "answered");
}

TEST_CASE("bytes that are no UTF-8 do not break the reply") {
  RelayFixture relay;
  CHECK(relay.ask("U c\xff\xfe 192.0.2.1 4000 f\"t") == "30000");
  const json page = ask(relay, "J sessions");
  CHECK(page["sessions"][0]["from_tag"] == "f\"t");
  CHECK(ask(relay, "J session c\xff\xfe")["sessions"].size() == 1);
}

TEST_CASE("J sessions pages through all sessions below 32 KiB a page") {
  RelayFixture relay;
  std::set<std::string> expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string call_id =
        "call" + std::to_string(i) + std::string(static_cast<size_t>(i % 100), 'x');
    expected.insert(call_id);
    REQUIRE(relay.ask("U " + call_id + " 192.0.2.1 4000 ft").starts_with("3"));
  }
  REQUIRE(relay.ask("U " + std::string(8000, 'y') + " 192.0.2.1 4000 ft").starts_with("3"));
  std::set<std::string> seen;
  std::string cursor;
  int pages = 0;
  for (bool more = true; more; ++pages) {
    const std::string reply = relay.dispatcher.execute("J sessions " + cursor, {});
    CHECK(reply.size() <= 32 * 1024);
    const json page = json::parse(reply);
    for (const json& entry : page["sessions"]) {
      CHECK(seen.insert(entry["call_id"].get<std::string>()).second);
    }
    more = !page["next"].is_null();
    if (more) cursor = page["next"].get<std::string>();
    // What ends between two pages hides nothing else.
    if (pages == 0) CHECK(relay.ask("D call0 ft") == "0");
  }
  CHECK(pages > 2);
  CHECK(seen.erase(std::string(1024, 'y')) == 1);
  CHECK(seen == expected);
  CHECK(relay.ask("J sessions notacursor") == "E50");
  CHECK(ask(relay, "J sessions 99999999")["sessions"].empty());
}

TEST_CASE("J stats adds up what the relay did") {
  RelayFixture relay;
  relay.ask("U c 192.0.2.1 4000 ft");
  relay.ask("L c 192.0.2.2 5000 ft tt");
  relay.ask("U d 192.0.2.1 4000 ft");
  relay.ask("D d ft tt");
  relay.ask("nonsense");
  const json stats = ask(relay, "J stats");
  CHECK(stats["sessions"]["active"] == 1);
  CHECK(stats["sessions"]["created"] == 2);
  CHECK(stats["sessions"]["lingering"] == 1);
  CHECK(stats["ports"]["pairs_taken"] == 3);
  CHECK(stats["commands"]["errors"] == 1);
  CHECK(stats["packets"]["dropped"].empty());
  CHECK(stats["draining"] == false);
}

TEST_CASE("J stats tells every counter of the control sockets and of notification") {
  RelayFixture relay;
  ControlCounters counters;
  counters.notifications_sent = 3;
  Dispatcher dispatcher(sequential_config().startup, relay.sessions, relay.plane, relay.clock,
                        &counters);
  const json control = json::parse(dispatcher.execute("J stats", {}))["control"];
  CHECK(control["notifications_sent"] == 3);
  CHECK(control["datagrams_received"] == 0);
  CHECK(control.size() == std::size(kControlCounterRows));
}

TEST_CASE("J stats tells every counter of accounting, and DTMF events that were lost") {
  RelayFixture relay;
  CHECK(ask(relay, "J stats")["accounting"].empty());
  CHECK(ask(relay, "J stats")["dtmf"].is_null());

  AcctCounters counters;
  counters.reports_sent.add(3);
  relay.dispatcher.show(counters);
  const auto events = DtmfEvents::create();
  REQUIRE(events);
  relay.dispatcher.offer_dtmf(**events);
  CHECK(ask(relay, "J stats")["dtmf"]["events_lost"] == 0);
  // Nobody takes them: the queue is full at some time.
  uint64_t pushed = 0;
  for (; (*events)->lost() < 2 && pushed < 100'000; ++pushed) (*events)->push(0, {});
  const json stats = ask(relay, "J stats");
  CHECK(stats["dtmf"]["events_lost"] == 2);
  CHECK(stats["accounting"]["reports_sent"] == 3);
  CHECK(stats["accounting"]["records_failed"] == 0);
  CHECK(stats["accounting"].size() == std::size(kAcctCounterRows));
}

}  // namespace relay
