// The TOML file: what it says, what it may not say, and what of it a reload applies.
#include <string>

#include "relay/config/toml_file.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/config_support.h"

namespace relay {
namespace {

constexpr const char* kEveryKey = R"(
[control]
sockets = ["udp:127.0.0.1:7722", "unix:/run/relay.sock"]
socket_mode = "0660"
notify = ["tcp:192.0.2.9:9000"]
notify_all = "jsonrpc:http://192.0.2.9:5060/RPC"
http = "[::1]:9900"
[media]
addresses = ["192.0.2.1/198.51.100.1", "six@2001:db8::1"]
advertised = "192.0.2.2/198.51.100.2"
port_min = 20000
port_max = 30000
sequential_ports = true
tos = -1
latch = "compat"
fastpath = "require"
fastpath_interfaces = ["eth1"]
prompt_directories = ["/var/prompts", "/srv/prompts"]
bridge_symmetric = true
force_asymmetric = true
duplicate_small_packets = true
numeric_only = true
[timeouts]
session_seconds = 30
setup_seconds = 90
per_direction = true
prompt_seconds = 900
fork_grace_seconds = 7
[limits]
sessions_max = 1000
overload_cpu_percent = 80
open_files = 4096
[recording]
directory = "/var/rec"
spool_directory = "/var/spool"
pcap = true
format = "pcap"
every_session = true
without_rtcp = true
[accounting]
csv = "/var/acct.csv"
json = "/var/acct.json"
hep = ["tcp:192.0.2.7:9060/5"]
[process]
foreground = false
pid_file = "/run/x.pid"
user = "root:root"
skip_superuser_check = true
keep_working_directory = true
keep_standard_streams = true
workers = 2
worker_priority = 0
nice = -5
realtime = "rr"
[log]
level = "debug"
syslog_facility = "local3"
)";

}  // namespace

TEST_CASE("a file with every key: sockets and media") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("relay.toml", kEveryKey);
  const Config config = parse_good({"--config", path});
  const StartupConfig& startup = config.startup;
  CHECK(startup.control_sockets.size() == 2);
  CHECK(startup.unix_socket_mode == 0660U);
  CHECK(startup.notify_targets.size() == 1);
  CHECK(startup.notify_all->kind == NotifyKind::rpc_http);
  CHECK(startup.http == Endpoint{*IpAddress::parse("::1"), 9900});
  CHECK(startup.bridging);
  REQUIRE(startup.local_addresses.size() == 3);
  CHECK(startup.local_addresses[1].advertised == "198.51.100.2");
  CHECK(startup.local_addresses[2].label == "six");
  CHECK(startup.port_min == 20000);
  CHECK(startup.port_max == 30000);
  CHECK(startup.sequential_ports);
  CHECK(startup.tos == -1);
  CHECK(startup.latch_policy == LatchPolicyDefault::compat);
  CHECK(startup.fastpath == FastpathChoice::require);
  CHECK(startup.fastpath_interfaces == std::vector<std::string>{"eth1"});
  CHECK(startup.prompt_directories == std::vector<std::string>{"/var/prompts", "/srv/prompts"});
  CHECK(startup.bridge_symmetric);
  CHECK(startup.force_asymmetric);
  CHECK(startup.duplicate_small_packets);
  CHECK(startup.numeric_only);
}

TEST_CASE("a file with every key: the process and the timeouts") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("relay.toml", kEveryKey);
  const Config config = parse_good({"--config", path});
  const StartupConfig& startup = config.startup;
  CHECK(startup.nofile_limit == 4096);
  CHECK(startup.record_directory == "/var/rec");
  CHECK(startup.spool_directory == "/var/spool");
  CHECK(startup.record_format == RecordFormatChoice::pcap);
  CHECK(startup.record_all);
  CHECK(startup.acct_csv_file == "/var/acct.csv");
  CHECK(startup.acct_json_file == "/var/acct.json");
  CHECK(startup.hep_collectors.size() == 1);
  CHECK(startup.record_no_rtcp);
  CHECK_FALSE(startup.foreground);
  CHECK(startup.pid_file == "/run/x.pid");
  CHECK(startup.user == "root");
  CHECK(startup.skip_superuser_check);
  CHECK(startup.keep_working_directory);
  CHECK(startup.keep_standard_streams);
  CHECK(startup.worker_threads == 2);
  CHECK(startup.nice == -5);
  CHECK(startup.realtime_policy == "rr");
  CHECK(startup.log_level == LogLevel::debug);
  CHECK(startup.config_file == path);
  CHECK(config.runtime.ttl.count() == 30);
  CHECK(config.runtime.setup_ttl.count() == 90);
  CHECK(config.runtime.independent_ttl);
  CHECK(config.runtime.prompt_ttl.count() == 900);
  CHECK(config.runtime.fork_grace.count() == 7);
  CHECK(config.runtime.sessions_max == 1000);
  CHECK(config.runtime.overload_protection);
  CHECK(config.runtime.overload_cpu_percent == 80);
}

TEST_CASE("every row of toml_keys.def is in the file with every key") {
  // The cases above check each value; this one that no row was forgotten there.
#define TOML_KEY(section, name, kind, option, when) CHECK(contains(kEveryKey, #name " = "));
#include "relay/config/toml_keys.def"
#undef TOML_KEY
}

TEST_CASE("the example that is installed is a good file") {
  const Config config = parse_good({"--config", EXAMPLE_TOML});
  CHECK(config.startup.control_sockets.size() == 2);
  CHECK(config.startup.notices.empty());
}

TEST_CASE("the command line wins over the file") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("relay.toml", R"(
[control]
sockets = ["udp:127.0.0.1:7722", "unix:/run/relay.sock"]
[media]
addresses = ["192.0.2.1", "b@2001:db8::1"]
port_min = 20000
port_max = 30000
[timeouts]
session_seconds = 30
)");
  const Config config = parse_good(
      {"--config", path, "-s", "tcp:127.0.0.1:1", "-6", "2001:db8::9", "-m", "24000", "-T", "45"});
  REQUIRE(config.startup.control_sockets.size() == 1);
  CHECK(config.startup.control_sockets[0].text == "tcp:127.0.0.1:1");
  REQUIRE(config.startup.local_addresses.size() == 1);
  CHECK(config.startup.local_addresses[0].bind.to_string() == "2001:db8::9");
  CHECK(config.startup.port_min == 24000);
  CHECK(config.startup.port_max == 30000);
  CHECK(config.runtime.ttl.count() == 45);
  CHECK(config.runtime.setup_ttl.count() == 45);
}

TEST_CASE("a bridge between the families is one address of the file") {
  struct Case {
    std::string description, address;
    std::string internal, external;
  };
  const std::vector<Case> cases = {
      {"IPv4 inside", "192.0.2.1/2001:db8::1", "192.0.2.1", "2001:db8::1"},
      {"IPv6 inside", "2001:db8::1/192.0.2.1", "2001:db8::1", "192.0.2.1"},
      {"both IPv6", "2001:db8::1/2001:db8::2", "2001:db8::1", "2001:db8::2"},
  };
  const TemporaryDirectory directory;
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string path =
        directory.write("relay.toml", "[media]\naddresses = [\"" + c.address + "\"]\n");
    const Config config = parse_good({"--config", path});
    CHECK(config.startup.bridging);
    REQUIRE(config.startup.local_addresses.size() == 2);
    CHECK(config.startup.local_addresses[0].bind.to_string() == c.internal);
    CHECK(config.startup.local_addresses[1].bind.to_string() == c.external);
  }
}

TEST_CASE("files that are refused") {
  struct Case {
    std::string description, text, message;
  };
  const std::vector<Case> cases = {
      {"an unknown key, with the nearest", "[media]\n\nport_mim = 20000\n",
       "relay.toml:3: unknown key of [media] \"port_mim\": did you mean port_min?"},
      {"an unknown section", "[medai]\nport_min = 1\n",
       "relay.toml:1: unknown section \"medai\": did you mean media?"},
      {"a name like no other", "[media]\nqqqqqqqqqq = 1\n",
       "relay.toml:2: unknown key of [media] \"qqqqqqqqqq\""},
      {"a key outside of sections", "port_min = 20000\n", "relay.toml:1: unknown section"},
      {"a section that is a value", "media = 3\n", "relay.toml:1: media is a section"},
      {"text for a number", "[media]\nport_min = \"20000\"\n",
       "relay.toml:2: media.port_min: expected a whole number"},
      {"a fraction for a number", "[media]\nport_min = 2.5\n", "media.port_min"},
      {"a number for true or false", "[media]\nsequential_ports = 1\n", "expected true or false"},
      {"a number for text", "[media]\nlatch = 1\n", "expected a string in quotes"},
      {"text for a list", "[control]\nsockets = \"udp:*\"\n", "expected a list of strings"},
      {"a number in a list", "[control]\nsockets = [\n\"unix:/x\",\n7]\n",
       "relay.toml:4: control.sockets"},
      {"a value out of range", "[media]\nport_min = 70000\n",
       "relay.toml:2: media.port_min: \"70000\": expected a whole number from 1 to 65535"},
      {"a bad socket", "[control]\nsockets = [\"upd:*\"]\n",
       "relay.toml:2: control.sockets: \"upd:*\""},
      {"an overload text", "[limits]\noverload_cpu_percent = 0\n", "\"0\""},
      {"a facility inside the level", "[log]\nsyslog_facility = \"nowhere\"\n", "nowhere"},
      {"broken syntax", "[media]\nport_min =\n", "relay.toml:2: "},
      {"a key twice", "[media]\ntos = 1\ntos = 2\n", "relay.toml:3: "},
  };
  const TemporaryDirectory directory;
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string path = directory.write("relay.toml", c.text);
    const std::string message = error_of({"--config", path});
    CAPTURE(message);
    CHECK(contains(message, c.message));
    CHECK(contains(message, path));
  }
}

TEST_CASE("a reload takes the runtime settings, under those of the command line") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("relay.toml", "[timeouts]\nsession_seconds = 30\n");
  const Config config = parse_good({"--config", path, "-W", "20"});
  CHECK(config.runtime.ttl.count() == 30);
  directory.write("relay.toml",
                  "[timeouts]\nsession_seconds = 40\nsetup_seconds = 50\n[media]\nport_min = 9\n");
  const auto reloaded = load_runtime(config.startup);
  REQUIRE(reloaded.has_value());
  CHECK(reloaded->ttl.count() == 40);
  CHECK(reloaded->setup_ttl.count() == 20);
  CHECK_FALSE(reloaded->overload_protection);
}

TEST_CASE("a reload that fails says why") {
  const TemporaryDirectory directory;
  StartupConfig running;
  running.config_file = directory.write("relay.toml", "[timeouts]\nsession_seconds = 0\n");
  CHECK(contains(load_runtime(running).error().message,
                 "relay.toml:2: timeouts.session_seconds: \"0\""));
  directory.write("relay.toml", "[timeouts]\nsession = 1\n");
  CHECK(contains(load_runtime(running).error().message, "did you mean"));
  running.config_file += ".gone";
  CHECK(contains(load_runtime(running).error().message, "relay.toml.gone"));
}

TEST_CASE("keys that a reload applies are marked so") {
#define TOML_KEY(section, name, kind, option, when)                                           \
  CHECK_MESSAGE(is_runtime_setting(OptionId::option) == (std::string(#when) == "reloadable"), \
                #section "." #name);
#include "relay/config/toml_keys.def"
#undef TOML_KEY
}

}  // namespace relay
