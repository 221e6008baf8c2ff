// R, C and N through the dispatcher, with files and imagined sockets.
#include <doctest/doctest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "relay/session/udp_copy.h"
#include "tests/support/exchange.h"
#include "tests/support/relay_fixture.h"
#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

namespace fs = std::filesystem;

struct Options {
  bool pcap = false, wav = false, all = false, no_rtcp = false, directory = true;
};

// A relay that records.
class RecordFixture {
 public:
  explicit RecordFixture(const Options& options = {}) {
    if (options.directory) {
      RecorderSettings settings;
      settings.directory = directory.file("");
      if (options.pcap) settings.format = RecordFormat::pcap;
      if (options.wav) settings.format = RecordFormat::wav;
      settings.with_rtcp = !options.no_rtcp;
      auto started = Recorder::start(settings);
      REQUIRE(started);
      recorder = std::move(*started);
    }
    Config config = sequential_config();
    config.startup.record_all = options.all;
    config.startup.record_no_rtcp = options.no_rtcp;
    relay.emplace(config, recorder.get());
    relay->sockets.routes = {{"192.0.2.50", "192.0.2.9"}, {"2001:db8::50", "2001:db8::9"}};
  }
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory.file(""))) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  const SessionLeg& leg(std::string_view from_tag, LegId id) {
    return relay->sessions.find("c", from_tag, std::nullopt)->session->leg(id);
  }

  TemporaryDirectory directory;
  std::unique_ptr<Recorder> recorder;
  std::optional<RelayFixture> relay;
};

using Names = std::set<std::string>;

TEST_CASE("without a directory nothing can be recorded") {
  RecordFixture f({.directory = false});
  run(*f.relay, {
                    {"", "U c 192.0.2.1 4000 ft", "30000"},
                    {"R", "R c ft", "E50"},
                    {"Rs", "Rs c ft", "E50"},
                    {"C", "C c file ft", "E65"},
                    {"Cs", "Cs c file ft", "E65"},
                    {"Cp", "Cp c file ft", "E65"},
                    {"nothing records", "Na c ft", "E50"},
                    {"copies need none", "C c udp:192.0.2.50:9000 ft", "0"},
                    {"and stop", "N c ft", "0"},
                });
}

TEST_CASE("rtpproxy's replies, by format") {
  struct Case {
    std::string description;
    bool pcap;
    std::string c, cs, cp;
    Names files;
  };
  const std::vector<Case> cases = {
      {"ad-hoc: s is nothing", false, "0", "0", "E65", {"file.rtp", "file.rtcp"}},
      {"pcap: s wants the party alone", true, "0", "E65", "E65", {"file.rtp", "file.rtcp"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    RecordFixture f({.pcap = c.pcap});
    run(*f.relay, {
                      {"", "U c 192.0.2.1 4000 ft", "30000"},
                      {"C", "C c file ft", c.c},
                      {"Cs", "Cs c file ft", c.cs},
                      {"Cp with a file", "Cp c file ft", c.cp},
                      {"no such session", "C x file ft", "E50"},
                      {"R, no such tag", "R c nobody", "E50"},
                      {"Rs, no such tag", "Rs c nobody", "E50"},
                      {"Sippy's default", "RNone c ft", "E7"},
                      {"a letter of C's", "Rp c ft", "E6"},
                  });
    CHECK(f.files() == c.files);
  }
}

TEST_CASE("which files a command makes") {
  struct Case {
    std::string description;
    Options options;
    std::vector<Exchange> commands;
    Names files;
  };
  const Exchange up{"", "U c 192.0.2.1 4000 ft;1", "30000"};
  const Exchange answered{"", "L c 192.0.2.2 4000 ft;1 tt;1", "30002"};
  const std::vector<Case> cases = {
      {"the caller", {}, {up, {"", "R c ft", "0"}}, {"c=ft.o.rtp", "c=ft.o.rtcp"}},
      {"the callee, by the tags in their order",
       {},
       {up, answered, {"", "R c tt ft", "0"}},
       {"c=ft.a.rtp", "c=ft.a.rtcp"}},
      {"once is enough",
       {},
       {up, {"", "R c ft", "0"}, {"", "R c ft", "0"}},
       {"c=ft.o.rtp", "c=ft.o.rtcp"}},
      {"s is nothing in this format",
       {},
       {up, {"", "Rs c ft", "0"}, {"", "Rs c ft", "0"}},
       {"c=ft.o.rtp", "c=ft.o.rtcp"}},
      {"no RTCP", {.no_rtcp = true}, {up, {"", "R c ft", "0"}}, {"c=ft.o.rtp"}},
      {"pcap", {.pcap = true}, {up, {"", "R c ft", "0"}}, {"c=ft.o.rtp", "c=ft.o.rtcp"}},
      {"one file, which the other direction joins",
       {.pcap = true},
       {up,
        answered,
        {"", "Rs c ft", "0"},
        {"", "Rs c tt ft", "0"},
        {"", "Rs c ft", "E50"},
        {"R is content", "R c ft", "0"}},
       {"c=ft.pcap"}},
      {"one file when there are two already",
       {.pcap = true},
       {up, {"", "R c ft", "0"}, {"", "Rs c ft", "E50"}},
       {"c=ft.o.rtp", "c=ft.o.rtcp"}},
      {"every medium has its own, and R means all",
       {},
       {up, {"", "U c 192.0.2.1 4002 ft;2", "30002"}, {"", "R c ft", "0"}},
       {"c=ft.o.rtp", "c=ft.o.rtcp", "c=ft.2.o.rtp", "c=ft.2.o.rtcp"}},
      {"or the one it names",
       {},
       {up, {"", "U c 192.0.2.1 4002 ft;2", "30002"}, {"", "R c ft;2", "0"}},
       {"c=ft.2.o.rtp", "c=ft.2.o.rtcp"}},
      {"a name", {}, {up, {"", "C c name.a ft;1", "0"}}, {"name.a.rtp", "name.a.rtcp"}},
      {"beside R",
       {.no_rtcp = true},
       {up, {"", "R c ft", "0"}, {"", "C c name ft;1", "0"}},
       {"c=ft.o.rtp", "name.rtp"}},
      {"one file by name",
       {.pcap = true},
       {up, answered, {"", "Cs c name ft;1", "0"}, {"", "Cs c name tt;1 ft;1", "0"}},
       {"name"}},
      {"both directions by one name share it",
       {.no_rtcp = true},
       {up, answered, {"", "C c name ft;1", "0"}, {"", "C c name tt;1 ft;1", "0"}},
       {"name.rtp"}},
      {"a sound file, which the other direction joins",
       {.wav = true},
       {up, answered, {"", "R c ft", "0"}, {"", "Rs c tt ft", "0"}, {"", "R c ft", "0"}},
       {"c=ft.wav"}},
      {"a sound file by name", {.wav = true}, {up, {"", "C c name ft;1", "0"}}, {"name.wav"}},
      {"-a as sound", {.wav = true, .all = true}, {up, answered}, {"c=ft.wav"}},
      {"-a",
       {.all = true},
       {up, answered},
       {"c=ft.o.rtp", "c=ft.o.rtcp", "c=ft.a.rtp", "c=ft.a.rtcp"}},
      {"-a in pcap", {.pcap = true, .all = true}, {up, answered, up}, {"c=ft.pcap"}},
      {"what leaves the directory is refused",
       {},
       {up,
        {"", "C c ../x ft;1", "E65"},
        {"", "C c /tmp/x ft;1", "E65"},
        {"", "C c sub/x ft;1", "E65"},
        {"", "Cs c .. ft;1", "E65"},
        {"", "C c . ft;1", "E65"}},
       {}},
      {"a call-id may be a path",
       {.no_rtcp = true},
       {{"", "U ../../c/d 192.0.2.1 4000 /f/t", "30000"}, {"", "R ../../c/d /f/t", "0"}},
       {"..%2F..%2Fc%2Fd=%2Ff%2Ft.o.rtp"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    RecordFixture f(c.options);
    run(*f.relay, c.commands);
    CHECK(f.files() == c.files);
  }
}

TEST_CASE("a call-id of 8 KiB is recorded") {
  RecordFixture f({.no_rtcp = true});
  const std::string call_id(8000, '/');
  CHECK(f.relay->ask("U " + call_id + " 192.0.2.1 4000 ft") == "30000");
  CHECK(f.relay->ask("R " + call_id + " ft") == "0");
  REQUIRE(f.files().size() == 1);
  CHECK(f.files().begin()->size() == 255);
}

TEST_CASE("what C records comes from the party whose tag is first") {
  RecordFixture f;
  run(*f.relay, {
                    {"", "U c 192.0.2.1 4000 ft", "30000"},
                    {"", "L c 192.0.2.2 4000 ft tt", "30002"},
                    {"the caller", "C c name.a ft tt", "0"},
                    {"the callee, twice", "C c name.o tt ft", "0"},
                    {"", "C c udp:192.0.2.50:9000 tt ft", "0"},
                });
  CHECK(f.leg("ft", LegId::caller).taps.size() == 1);
  CHECK(f.leg("ft", LegId::callee).taps.size() == 2);
}

TEST_CASE("N ends what R and C began: of one direction, Na of both") {
  RecordFixture f({.no_rtcp = true});
  run(*f.relay, {
                    {"", "U c 192.0.2.1 4000 ft", "30000"},
                    {"", "L c 192.0.2.2 4000 ft tt", "30002"},
                    {"nothing yet", "N c ft", "E50"},
                    {"", "R c ft tt", "0"},
                    {"", "R c tt ft", "0"},
                    {"", "C c udp:192.0.2.50:9000 ft tt", "0"},
                    {"the caller's", "N c ft tt", "0"},
                    {"has ended", "N c ft tt", "E50"},
                    {"the callee's goes on", "Na c ft tt", "0"},
                    {"", "Na c ft tt", "E50"},
                    {"and again", "R c ft tt", "0"},
                });
  CHECK(f.leg("ft", LegId::caller).taps.size() == 1);
  CHECK(f.leg("ft", LegId::callee).taps.empty());
  f.relay->sessions.expire();
  CHECK(f.relay->sessions.ports().taken() == 2);  // the call's, no copy's
}

TEST_CASE("copies have ports of their own, which the reply tells and which go with them") {
  RecordFixture f;
  run(*f.relay,
      {
          {"", "U c 192.0.2.1 4000 ft", "30000"},
          {"a pair of its own", "Cp c udp:192.0.2.50:9000 ft", "30002 192.0.2.9"},
          {"once is enough, and the port is the one in use", "Cp c udp:192.0.2.50:9000 ft",
           "30002 192.0.2.9"},
          {"another collector", "Cp c udp:192.0.2.50:9002 ft", "30004 192.0.2.9"},
          {"IPv6", "Cp c udp:2001:db8::50:9000 ft", "30000 2001:db8::9 6"},
          {"in brackets the same", "Cp c udp:[2001:db8::50]:9000 ft", "30000 2001:db8::9 6"},
          {"no route", "C c udp:198.51.100.1:9000 ft", "E65"},
          {"no port", "C c udp:192.0.2.50 ft", "E65"},
          {"no port either", "C c udp:192.0.2.50: ft", "E65"},
          {"port 0", "C c udp:192.0.2.50:0 ft", "E65"},
          {"no port left for RTCP", "C c udp:192.0.2.50:65535 ft", "E65"},
          {"above all ports", "C c udp:192.0.2.50:70000 ft", "E65"},
          {"a name", "C c udp:localhost:9000 ft", "E65"},
          {"nobody", "C c udp:0.0.0.0:9000 ft", "E65"},
          {"everybody", "C c udp:255.255.255.255:9000 ft", "E65"},
          {"a loop", "C c udp:192.0.2.9:30002 ft", "E65"},
          {"no such session", "C c udp:192.0.2.50:9000 x", "E50"},
      });
  CHECK(f.relay->sessions.ports().taken() == 4);
  CHECK(f.relay->ask("D c ft") == "0");
  f.relay->sessions.expire();
  CHECK(f.relay->sessions.ports().taken() == 0);
}

TEST_CASE("a copy has the TOS of its leg") {
  RecordFixture f;
  CHECK(f.relay->ask("U c 192.0.2.1 4000 ft && Sr tos=96") == "30000");
  CHECK(f.relay->ask("C c udp:192.0.2.50:9000 tt ft") == "0");
  const SessionLeg& leg = f.leg("ft", LegId::callee);
  REQUIRE(leg.taps.size() == 1);
  size_t with_tos = 0;
  for (const auto& [socket, tos] : f.relay->sockets.tos) with_tos += tos == 96 ? 1 : 0;
  CHECK(with_tos == 4);  // the leg's two and the copy's
}

TEST_CASE("-R holds for copies: the highest port will do") {
  RecordFixture f({.no_rtcp = true});
  CHECK(f.relay->ask("U c 192.0.2.1 4000 ft") == "30000");
  CHECK(f.relay->ask("C c udp:192.0.2.50:65535 ft") == "0");
  CHECK_FALSE(f.leg("ft", LegId::caller).taps[0]->wants(PacketKind::rtcp));
}

TEST_CASE("a lingering session is not recorded, with -a it is again when a branch revives it") {
  RecordFixture f({.all = true, .no_rtcp = true});
  CHECK(f.relay->ask("U c 192.0.2.1 4000 ft") == "30000");
  CHECK(f.relay->ask("D c ft tt1") == "0");
  CHECK(f.relay->ask("R c ft") == "E50");
  CHECK(f.relay->ask("L c 192.0.2.2 4000 ft tt2") == "30002");
  CHECK(f.leg("ft", LegId::caller).taps.size() == 1);
}

TEST_CASE("J tells what is recorded and copied") {
  RecordFixture f;
  f.relay->ask("U c 192.0.2.1 4000 ft");
  f.relay->ask("R c ft");
  f.relay->ask("C c udp:192.0.2.50:9000 ft");
  const std::string call = f.relay->ask("J session c");
  for (const std::string expected :
       {R"("file":"c=ft.o.rtp")", R"("rtcp_file":"c=ft.o.rtcp")", R"("state":"running")",
        R"("to":"192.0.2.50:9000")", R"("local":"192.0.2.9:30002")"}) {
    CAPTURE(expected);
    CHECK(call.find(expected) != std::string::npos);
  }
  CHECK(f.relay->ask("J stats").find(R"("recordings":{"after_failure":0)") != std::string::npos);
  RecordFixture without({.directory = false});
  CHECK(without.relay->ask("J stats").find(R"("recordings":null)") != std::string::npos);
}

}  // namespace
}  // namespace relay
