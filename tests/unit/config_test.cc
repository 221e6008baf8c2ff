#include <syslog.h>

#include <filesystem>
#include <functional>

#include "relay/config/describe.h"
#include "tests/unit/config_support.h"

namespace relay {

TEST_CASE("without options the defaults hold") {
  const Config config = parse_good({});
  const StartupConfig& startup = config.startup;
  CHECK_FALSE(startup.foreground);
  CHECK(startup.pid_file == "/run/rtpp-relay.pid");
  REQUIRE(startup.control_sockets.size() == 1);
  CHECK(startup.control_sockets[0].kind == ControlKind::unix_one_shot);
  CHECK(startup.control_sockets[0].path == "/run/rtpp-relay.sock");
  REQUIRE(startup.local_addresses.size() == 1);
  CHECK(startup.local_addresses[0].bind.to_string() == "0.0.0.0");
  CHECK_FALSE(startup.bridging);
  CHECK(startup.bridge_symmetric);
  CHECK(startup.port_min == 35000);
  CHECK(startup.port_max == 65000);
  CHECK(port_pairs(startup) == 15000);
  CHECK(startup.tos == 184);
  CHECK(startup.log_level == LogLevel::warning);
  CHECK(startup.syslog_facility == LOG_DAEMON);
  CHECK(startup.latch_policy == LatchPolicyDefault::strict);
  CHECK(startup.notices.empty());
  CHECK(config.runtime.ttl.count() == 60);
  CHECK(config.runtime.setup_ttl.count() == 60);
  CHECK(config.runtime.fork_grace.count() == 5);
  CHECK_FALSE(config.runtime.overload_protection);
}

TEST_CASE("called as rtpproxy, its paths are the defaults") {
  for (const char* name : {"rtpproxy", "/usr/bin/rtpproxy", "../src/rtpproxy_debug"}) {
    CAPTURE(name);
    const Config config = parse_good({}, false, name);
    CHECK(config.startup.called_as_rtpproxy);
    CHECK(config.startup.pid_file == "/var/run/rtpproxy.pid");
    CHECK(config.startup.control_sockets.at(0).path == "/var/run/rtpproxy.sock");
  }
  CHECK_FALSE(parse_good({}, false, "rtpproxy-ng").startup.called_as_rtpproxy);
}

TEST_CASE("options that are accepted") {
  struct Case {
    std::string description;
    Words words;
    std::function<bool(const Config&)> holds;
  };
  const auto startup = [](auto member) {
    return [member](const Config& c) { return static_cast<bool>(c.startup.*member); };
  };
  const auto record = [](RecordFormatChoice format) {
    return [format](const Config& c) { return c.startup.record_format == format; };
  };
  const std::string user = "root";
  const std::vector<Case> cases = {
      {"-2", {"-2"}, startup(&StartupConfig::duplicate_small_packets)},
      {"-f", {"-f"}, startup(&StartupConfig::foreground)},
      {"-F", {"-F"}, startup(&StartupConfig::skip_superuser_check)},
      {"-b", {"-b"}, startup(&StartupConfig::sequential_ports)},
      {"-D", {"-D"}, startup(&StartupConfig::keep_working_directory)},
      {"-R", {"-R"}, startup(&StartupConfig::record_no_rtcp)},
      {"-P", {"-P"}, record(RecordFormatChoice::pcap)},
      {"--record-format", {"--record-format=wav"}, record(RecordFormatChoice::wav)},
      {"the last of -P and --record-format holds",
       {"--record-format=wav", "-P"},
       record(RecordFormatChoice::pcap)},
      {"and the other way round",
       {"-P", "--record-format=adhoc"},
       record(RecordFormatChoice::adhoc)},
      {"-a", {"-a"}, startup(&StartupConfig::record_all)},
      {"--no_redirect", {"--no_redirect"}, startup(&StartupConfig::keep_standard_streams)},
      {"--no_resolve", {"--no_resolve"}, startup(&StartupConfig::numeric_only)},
      {"--force_asymmetric", {"--force_asymmetric"}, startup(&StartupConfig::force_asymmetric)},
      {"bundled letters, the last with its argument",
       {"-fFim", "4000"},
       [](const Config& c) {
         return c.startup.foreground && c.startup.skip_superuser_check &&
                c.runtime.independent_ttl && c.startup.port_min == 4000;
       }},
      {"a value glued to its letter",
       {"-T30"},
       [](auto& c) { return c.runtime.ttl.count() == 30; }},
      {"-T is the default of -W",
       {"-T", "30"},
       [](auto& c) { return c.runtime.setup_ttl.count() == 30; }},
      {"-W wins over -T whatever the order",
       {"-W", "90", "-T", "30"},
       [](auto& c) { return c.runtime.setup_ttl.count() == 90 && c.runtime.ttl.count() == 30; }},
      {"the last of two counts",
       {"-T", "30", "-T", "40"},
       [](auto& c) { return c.runtime.ttl.count() == 40; }},
      {"-t -1 leaves TOS alone", {"-t", "-1"}, [](auto& c) { return c.startup.tos == -1; }},
      {"-t 0", {"-t", "0"}, [](auto& c) { return c.startup.tos == 0; }},
      {"-t 255", {"-t", "255"}, [](auto& c) { return c.startup.tos == 255; }},
      {"-m and -M of one pair",
       {"-m", "4000", "-M", "4001"},
       [](auto& c) { return port_pairs(c.startup) == 1; }},
      {"an odd -m is rounded up",
       {"-m", "4001", "-M", "4004"},
       [](auto& c) { return port_pairs(c.startup) == 1; }},
      {"the highest port", {"-M", "65535"}, [](auto& c) { return c.startup.port_max == 65535; }},
      {"-L 0", {"-L", "0"}, [](auto& c) { return c.startup.nofile_limit == 0; }},
      {"-w is octal", {"-w", "0660"}, [](auto& c) { return c.startup.unix_socket_mode == 0660U; }},
      {"-u with a user",
       {"-u", user},
       [](auto& c) { return c.startup.user == "root" && c.startup.group.empty(); }},
      {"-u with both",
       {"-u", "root:root"},
       [](auto& c) { return c.startup.user == "root" && c.startup.group == "root"; }},
      {"-u with a group",
       {"-u", ":root"},
       [](auto& c) { return c.startup.user.empty() && c.startup.group == "root"; }},
      {"-d in any case",
       {"-d", "DBUG"},
       [](auto& c) { return c.startup.log_level == LogLevel::debug; }},
      {"-d with a facility",
       {"-d", "info:LOG_LOCAL1"},
       [](auto& c) {
         return c.startup.log_level == LogLevel::info && c.startup.syslog_facility == LOG_LOCAL1;
       }},
      {"a facility by its own option",
       {"--syslog-facility", "mail"},
       [](auto& c) { return c.startup.syslog_facility == LOG_MAIL; }},
      {"no syslog in the foreground",
       {"-f", "-d", "info:local1"},
       [](auto& c) { return !c.startup.syslog_facility; }},
      {"-c fifo", {"-c", "fifo"}, [](auto& c) { return c.startup.realtime_policy == "fifo"; }},
      {"--nice -20", {"--nice", "-20"}, [](auto& c) { return c.startup.nice == -20; }},
      {"-p empty", {"-p", ""}, [](auto& c) { return c.startup.pid_file.empty(); }},
      {"-p /dev/null is none",
       {"-p", "/dev/null"},
       [](auto& c) { return c.startup.pid_file.empty(); }},
      {"a relative pid file survives chdir",
       {"-p", "relay.pid"},
       [](auto& c) {
         return c.startup.pid_file == (std::filesystem::current_path() / "relay.pid");
       }},
      {"a relative control socket survives chdir",
       {"-s", "unix:c.sock"},
       [](auto& c) {
         return c.startup.control_sockets.at(0).path ==
                (std::filesystem::current_path() / "c.sock");
       }},
      {"--overload_prot",
       {"--overload_prot"},
       [](auto& c) {
         return c.runtime.overload_protection && c.runtime.overload_cpu_percent == 90;
       }},
      {"--overload_prot=80",
       {"--overload_prot=80"},
       [](auto& c) { return c.runtime.overload_cpu_percent == 80; }},
      {"--overload_prot=text, which rtpproxy takes",
       {"--overload_prot=on"},
       [](auto& c) {
         return c.runtime.overload_protection && c.runtime.overload_cpu_percent == 90;
       }},
      {"an abbreviated long name", {"--no_res"}, startup(&StartupConfig::numeric_only)},
      {"--fastpath=require",
       {"--fastpath=require"},
       [](auto& c) { return c.startup.fastpath == FastpathChoice::require; }},
      {"--fastpath-interface, twice",
       {"--fastpath-interface=eth1", "--fastpath-interface=eth2"},
       [](auto& c) { return c.startup.fastpath_interfaces.size() == 2; }},
      {"--http", {"--http=127.0.0.1:9900"}, [](auto& c) { return c.startup.http->port == 9900; }},
      {"--workers", {"--workers=3"}, [](auto& c) { return c.startup.worker_threads == 3; }},
      {"--worker-priority",
       {"--worker-priority=0"},
       [](auto& c) { return c.startup.worker_priority == 0; }},
      {"--sessions-max",
       {"--sessions-max=500"},
       [](auto& c) { return c.runtime.sessions_max == 500; }},
      {"--prompt-dir, twice",
       {"--prompt-dir=/var/prompts", "--prompt-dir=/srv/prompts"},
       [](auto& c) { return c.startup.prompt_directories.size() == 2; }},
      {"--prompt-ttl",
       {"--prompt-ttl=0"},
       [](auto& c) { return c.runtime.prompt_ttl.count() == 0; }},
      {"--fork-grace",
       {"--fork-grace=0"},
       [](auto& c) { return c.runtime.fork_grace.count() == 0; }},
      {"--latch=compat",
       {"--latch=compat"},
       [](auto& c) {
         return c.startup.latch_policy == LatchPolicyDefault::compat && !c.startup.bridge_symmetric;
       }},
      {"--latch=compat --bridge_symmetric",
       {"--latch=compat", "--bridge_symmetric"},
       [](auto& c) { return c.startup.bridge_symmetric; }},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(c.holds(parse_good(c.words)));
  }
}

TEST_CASE("options that are refused") {
  struct Case {
    std::string description;
    Words words;
    std::string message;  // has to be contained
    bool superuser = false;
  };
  const std::vector<Case> cases = {
      {"a letter nobody knows", {"-Z"}, "unknown option \"-Z\""},
      {"an unknown letter in a bundle", {"-fZ"}, "unknown option \"-Z\""},
      {"a long name nobody knows", {"--no-resolve"}, "did you mean --no_resolve?"},
      {"a flag with a value", {"--no_resolve=1"}, "takes no value"},
      {"a missing argument", {"-f", "-l"}, "-l: the argument is missing"},
      {"a missing long argument", {"--nice"}, "--nice: the argument is missing"},
      {"a stray argument", {"-f", "stray"}, "unexpected argument \"stray\""},
      {"-t too big", {"-t", "256"}, "-t: \"256\": expected a whole number from -1 to 255"},
      {"-t too small", {"-t", "-2"}, "\"-2\""},
      {"-t with garbage", {"-t", "184x"}, "\"184x\""},
      {"-T zero", {"-T", "0"}, "-T: \"0\": expected a whole number from 1"},
      {"-T garbage", {"-T", "100500garbage"}, "100500garbage"},
      {"-T empty", {"-T", ""}, "-T: \"\""},
      {"-T hexadecimal", {"-T", "0x10"}, "0x10"},
      {"-T with a plus sign", {"-T", "+5"}, "+5"},
      {"-T beyond 64 bits", {"-T", "99999999999999999999"}, "99999999999999999999"},
      {"-W zero", {"-W", "0"}, "-W: \"0\""},
      {"-m zero", {"-m", "0"}, "-m: \"0\""},
      {"-m too big", {"-m", "70000"}, "-m: \"70000\": expected a whole number from 1 to 65535"},
      {"-M too big", {"-M", "65536"}, "-M: \"65536\""},
      {"-m above -M", {"-m", "4000", "-M", "3000"}, "-M: \"3000\": no even port"},
      {"one odd port only", {"-m", "4001", "-M", "4002"}, "no even port"},
      {"-m leaves no pair under the default -M", {"-m", "65000"}, "-m: \"65000\": no even port"},
      {"-L negative", {"-L", "-1"}, "-L: \"-1\""},
      {"-w not octal", {"-w", "0890"}, "-w: \"0890\": expected an octal mode"},
      {"-w too big", {"-w", "10000"}, "\"10000\""},
      {"-u unknown user", {"-u", "no-such-user"}, "there is no user \"no-such-user\""},
      {"-u unknown group", {"-u", "root:no-such-group"}, "there is no group \"no-such-group\""},
      {"-u empty", {"-u", ""}, "-u: \"\""},
      {"-u with a colon only", {"-u", ":"}, "-u: \":\""},
      {"-d unknown level", {"-d", "LOUD"}, "-d: \"LOUD\": expected a level"},
      {"-d unknown facility", {"-d", "info:nowhere"}, "-d: \"info:nowhere\""},
      {"-d level missing", {"-d", ":local1"}, "-d: \":local1\""},
      {"-c unknown", {"-c", "batch"}, "-c: \"batch\": expected fifo or rr"},
      {"--nice out of range", {"--nice", "21"}, "--nice: \"21\""},
      {"--fastpath unknown",
       {"--fastpath=maybe"},
       "--fastpath: \"maybe\": expected auto, require or off"},
      {"--fastpath-interface too long",
       {"--fastpath-interface=a-name-of-sixteen"},
       "expected the name of a network interface"},
      {"--latch unknown", {"--latch", "loose"}, "--latch: \"loose\": expected strict or compat"},
      {"--overload_prot out of range", {"--overload_prot=101"}, "\"101\""},
      {"--http without a port", {"--http=127.0.0.1"}, "--http: \"127.0.0.1\""},
      {"--http by name", {"--http=localhost:80"}, "--http: \"localhost:80\""},
      {"--http, port 0", {"--http=[::1]:0"}, "--http: \"[::1]:0\""},
      {"--workers too many", {"--workers=65"}, "--workers: \"65\""},
      {"--worker-priority too high", {"--worker-priority=100"}, "--worker-priority: \"100\""},
      {"-S without -r", {"-S", "/var/spool"}, "-S: \"/var/spool\""},
      {"-r empty", {"-r", ""}, "-r: \"\""},
      {"--dso unknown", {"--dso", "/x/rtpp_badmod1.so"}, "\"/x/rtpp_badmod1.so\": unknown module"},
      {"--dso that needs a configuration", {"--dso", "rtpp_acct_rtcp_hep.so"}, "configuration"},
      {"--config missing", {"--config", "/nonexistent/relay.toml"}, "/nonexistent/relay.toml"},
      {"--config a directory", {"--config", "/"}, "regular file"},
      {"UDP as superuser", {"-s", "udp:127.0.0.1:7722"}, "-F", true},
      {"UDP over IPv6 as superuser", {"-f", "-s", "udp6:[::1]:7722"}, "-F", true},
      {"UDP behind another socket", {"-s", "unix:/run/x", "-s", "udp:*:7722"}, "-F", true},
      {"--prompt-dir relative", {"--prompt-dir", "prompts"}, "expected an absolute path"},
      {"--prompt-ttl below zero", {"--prompt-ttl=-1"}, "--prompt-ttl: \"-1\""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string message = error_of(c.words, c.superuser);
    CAPTURE(message);
    CHECK(contains(message, c.message));
  }
}

TEST_CASE("a superuser may serve UDP with -F or -u, and is told of the risk otherwise") {
  CHECK(parse_good({"-F", "-s", "udp:127.0.0.1"}, true).startup.notices.empty());
  CHECK(parse_good({"-u", "nobody", "-s", "udp:127.0.0.1"}, true).startup.notices.empty());
  CHECK(parse_good({"-s", "tcp:127.0.0.1"}, true).startup.notices.size() == 1);
}

TEST_CASE("options of functions this version lacks are accepted and said so") {
  struct Case {
    std::string description;
    Words words;
    std::string notice;
  };
  const std::vector<Case> cases = {
      {"recording every session nowhere", {"-a"}, "-a:"},
      {"DTLS", {"--dso", "/usr/lib/rtpproxy/rtpp_dtls_gw_debug.so"}, "answer E3"},
      {"ICE", {"--dso", "ice_lite"}, "--dso: \"ice_lite\": not part of this version"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const Config config = parse_good(c.words);
    REQUIRE(config.startup.notices.size() == 1);
    CHECK(contains(config.startup.notices[0], c.notice));
  }
  CHECK(parse_good({"-r", "/var/rec", "-S", "/var/spool", "-a"}).startup.notices.empty());
}

TEST_CASE("options that print and exit") {
  using What = PrintAndExit::What;
  struct Case {
    std::string description;
    Words words;
    What what;
    std::string text;
  };
  const std::vector<Case> cases = {
      {"the version", {"-V"}, What::text, "0."},
      {"the protocols", {"-v"}, What::protocol_versions, ""},
      {"the clock", {"-C"}, What::text, "CLOCK_MONOTONIC\n"},
      {"the help", {"--help"}, What::text, "usage: rtpp-relay"},
      {"a check, with what would run", {"-l", "192.0.2.1", "--check"}, What::text, "192.0.2.1"},
      {"a bundle stops at the letter", {"-fV"}, What::text, "0."},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto parsed = parse(c.words);
    REQUIRE(parsed.has_value());
    REQUIRE(std::holds_alternative<PrintAndExit>(*parsed));
    const auto& print = std::get<PrintAndExit>(*parsed);
    CHECK(print.what == c.what);
    CHECK(contains(print.text, c.text));
  }
  CHECK(contains(error_of({"--check", "-m", "0"}), "-m: \"0\""));
}

TEST_CASE("a configuration is described as what it comes to") {
  struct Case {
    std::string description;
    Words words;
    std::string text;
  };
  const std::vector<Case> cases = {
      {"addresses", {"-l", "a@192.0.2.1=198.51.100.7"}, "a@192.0.2.1=198.51.100.7\n"},
      {"sockets", {"-s", "/run/x", "-s", "tcp:127.0.0.1"}, "/run/x tcp:127.0.0.1\n"},
      {"ports", {"-m", "4000", "-M", "4009", "-b"}, "4000..4009, 5 pairs, in order\n"},
      {"TOS left alone", {"-t", "-1"}, "left alone\n"},
      {"a bridge that learns", {"-l", "192.0.2.1/192.0.2.2"}, " symmetric\n"},
      {"a bridge that does not", {"-l", "192.0.2.1/192.0.2.2", "--latch=compat"}, " asymmetric\n"},
      {"forced", {"--force_asymmetric"}, " asymmetric\n"},
      {"timeouts", {"-T", "7", "-W", "8", "-i"}, "7 s, 8 s until both parties are known, each"},
      {"overload", {"--overload_prot=70"}, "above 70 % CPU\n"},
      {"a bound", {"--sessions-max=12"}, " 12\n"},
      {"no pid file", {"-p", ""}, "pid file               none\n"},
      {"a name as long as the column", {}, "notify of all timeouts nobody\n"},
      {"a notice", {"-a"}, "notice                 -a: no session is recorded"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string text = describe(parse_good(c.words));
    CAPTURE(text);
    CHECK(contains(text, c.text));
  }
}

TEST_CASE("the line for the log shows text from outside in quotes") {
  const std::string line =
      describe_in_line(parse_good({"-f", "-s", "/run/a\nb", "-l", "192.0.2.1"}));
  CHECK(contains(line, "control=\"/run/a\\x0ab\" media=\"192.0.2.1\""));
  CHECK(contains(line, "ports=35000-65000 latch=strict"));
}

TEST_CASE("the help has every option") {
  const std::string help = help_text();
#define OPTION(id, letter, name, argument, by_default, help_line)           \
  CHECK(contains(help, std::string(*letter ? "  -" letter : "  --" name))); \
  CHECK(contains(help, help_line));
#include "relay/config/options.def"
#undef OPTION
}

}  // namespace relay
