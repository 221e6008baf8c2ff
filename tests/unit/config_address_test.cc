// -s, -l, -6 and -A: the options whose values are a language of their own.
#include <string>
#include <vector>

#include "tests/unit/config_support.h"

namespace relay {
namespace {

std::string addresses_of(const Config& config) {
  std::string text;
  for (const LocalAddressConfig& address : config.startup.local_addresses) {
    if (!text.empty()) text += ' ';
    text += address.label + "@" + address.bind.to_string() + "=" + address.advertised;
  }
  return text;
}

}  // namespace

TEST_CASE("control sockets") {
  struct Case {
    std::string description, text;
    ControlKind kind;
    std::string where;  // path or endpoint
  };
  const std::vector<Case> cases = {
      {"UDP with a port", "udp:127.0.0.1:7722", ControlKind::udp, "127.0.0.1:7722"},
      {"UDP without a port", "udp:127.0.0.1", ControlKind::udp, "127.0.0.1:22222"},
      {"UDP with an empty port", "udp:127.0.0.1:", ControlKind::udp, "127.0.0.1:22222"},
      {"UDP on any address", "udp:*:7722", ControlKind::udp, "0.0.0.0:7722"},
      {"UDP on any address, spelled out", "udp:0.0.0.0:7722", ControlKind::udp, "0.0.0.0:7722"},
      {"a host name", "udp:localhost:7722", ControlKind::udp, "127.0.0.1:7722"},
      {"IPv6 split at the last colon", "udp6:::1:9000", ControlKind::udp, "[::1]:9000"},
      {"IPv6 in brackets", "udp6:[::1]:9000", ControlKind::udp, "[::1]:9000"},
      {"IPv6 in brackets without a port", "udp6:[::1]", ControlKind::udp, "[::1]:22222"},
      {"IPv6 bare without a port", "udp6:::1", ControlKind::udp, "[::1]:22222"},
      {"longer IPv6 bare without a port", "tcp6:2001:db8::a", ControlKind::tcp,
       "[2001:db8::a]:22222"},
      {"IPv6 on any address", "tcp6:*:9000", ControlKind::tcp, "[::]:9000"},
      {"IPv6 wildcard bare", "tcp6::::9000", ControlKind::tcp, "[::]:9000"},
      {"TCP", "tcp:127.0.0.1:7722", ControlKind::tcp, "127.0.0.1:7722"},
      {"UNIX", "unix:/run/x.sock", ControlKind::unix_one_shot, "/run/x.sock"},
      {"a path", "/run/x.sock", ControlKind::unix_one_shot, "/run/x.sock"},
      {"a path with a colon behind a slash", "/run/a:b", ControlKind::unix_one_shot, "/run/a:b"},
      {"a persistent UNIX socket", "cunix:/run/x.sock", ControlKind::unix_stream, "/run/x.sock"},
      {"standard input", "stdio:", ControlKind::stdio, ""},
      {"standard input that drains", "stdioc:", ControlKind::stdio, ""},
      {"systemd", "systemd:", ControlKind::systemd, ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const Config config = parse_good({"-f", "-s", c.text});
    REQUIRE(config.startup.control_sockets.size() == 1);
    const ControlSocketConfig& socket = config.startup.control_sockets[0];
    CHECK(socket.kind == c.kind);
    CHECK(socket.text == c.text);
    CHECK((socket.endpoint.valid() ? socket.endpoint.to_string() : socket.path) == c.where);
    CHECK(socket.drain_at_end_of_input == (c.text == "stdioc:"));
  }
}

TEST_CASE("control sockets that are refused") {
  struct Case {
    std::string description;
    Words words;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"empty", {"-s", ""}, "-s: \"\""},
      {"an unknown kind", {"-s", "upd:127.0.0.1:7722"}, "unknown kind of control socket \"upd\""},
      {"descriptors", {"-s", "fd:3"}, "library"},
      {"an empty host", {"-s", "udp::7722"}, "the address is empty"},
      {"nothing behind udp:", {"-s", "udp:"}, "the address is empty"},
      {"port 0", {"-s", "udp:127.0.0.1:0"}, "port \"0\""},
      {"a port too big", {"-s", "tcp:127.0.0.1:65536"}, "port \"65536\""},
      {"a port with garbage", {"-s", "tcp:127.0.0.1:77a"}, "port \"77a\""},
      {"IPv6 behind udp:", {"-s", "udp:[::1]:7722"}, "not an IPv4 address"},
      {"IPv4 behind udp6:", {"-s", "udp6:127.0.0.1:7722"}, "not an IPv6 address"},
      {"a name with --no_resolve", {"--no_resolve", "-s", "udp:localhost:1"}, "localhost"},
      {"a multicast address", {"-s", "udp:224.0.0.1:1"}, "multicast"},
      {"an empty path", {"-s", "unix:"}, "path of the UNIX socket is empty"},
      {"a path too long", {"-f", "-s", "unix:/" + std::string(107, 'a')}, "108 bytes"},
      {"standard input in the background", {"-s", "stdio:"}, "need -f"},
      {"standard input twice", {"-f", "-s", "stdio:", "-s", "stdioc:"}, "once"},
      {"text behind stdio:", {"-f", "-s", "stdio:x"}, "nothing may follow"},
      {"text behind systemd:", {"-f", "-s", "systemd:3"}, "nothing may follow"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string message = error_of(c.words);
    CAPTURE(message);
    CHECK(contains(message, c.message));
  }
  CHECK(error_of({"-f", "-s", "unix:/" + std::string(106, 'a')}).empty());
}

TEST_CASE("media addresses") {
  struct Case {
    std::string description;
    Words words;
    std::string addresses;
    bool bridging = false;
  };
  const std::vector<Case> cases = {
      {"one", {"-l", "192.0.2.1"}, "@192.0.2.1="},
      {"every address", {"-l", "*"}, "@0.0.0.0="},
      {"IPv6 only", {"-6", "2001:db8::1"}, "@2001:db8::1="},
      {"IPv6 in brackets", {"-6", "[2001:db8::1]"}, "@2001:db8::1="},
      {"every IPv6 address", {"-6", "*"}, "@::="},
      {"a label and another address shown",
       {"-l", "lan@192.0.2.1=198.51.100.7"},
       "lan@192.0.2.1=198.51.100.7"},
      {"a wildcard with another address shown", {"-l", "*=198.51.100.7"}, "@0.0.0.0=198.51.100.7"},
      {"further ones with labels, in the order given",
       {"-6", "2001:db8::1", "-l", "a@192.0.2.1", "-l", "b@192.0.2.2"},
       "@2001:db8::1= a@192.0.2.1= b@192.0.2.2="},
      {"-A outside bridge mode",
       {"-A", "198.51.100.7", "-l", "192.0.2.1", "-l", "b@192.0.2.2"},
       "@192.0.2.1=198.51.100.7 b@192.0.2.2="},
      {"-A alone", {"-A", "198.51.100.7"}, "@0.0.0.0=198.51.100.7"},
      {"bridging", {"-l", "192.0.2.1/198.51.100.1"}, "@192.0.2.1= @198.51.100.1=", true},
      {"bridging with -A",
       {"-l", "192.0.2.1/198.51.100.1", "-A", "192.0.2.9/203.0.113.9"},
       "@192.0.2.1=192.0.2.9 @198.51.100.1=203.0.113.9",
       true},
      {"bridging from IPv4 to IPv6",
       {"-l", "192.0.2.1", "-6", "/2001:db8::1"},
       "@192.0.2.1= @2001:db8::1=",
       true},
      {"bridging from IPv6 to IPv4",
       {"-l", "/192.0.2.1", "-6", "2001:db8::1"},
       "@2001:db8::1= @192.0.2.1=",
       true},
      {"bridging and further addresses",
       {"-l", "192.0.2.1/198.51.100.1", "-6", "six@2001:db8::1"},
       "@192.0.2.1= @198.51.100.1= six@2001:db8::1=",
       true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const Config config = parse_good(c.words);
    CHECK(addresses_of(config) == c.addresses);
    CHECK(config.startup.bridging == c.bridging);
  }
}

TEST_CASE("media addresses that are refused") {
  struct Case {
    std::string description;
    Words words;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"empty", {"-l", ""}, "-l: \"\": the address is empty"},
      {"IPv6 behind -l", {"-l", "2001:db8::1"}, "not an IPv4 address"},
      {"IPv4 behind -6", {"-6", "192.0.2.1"}, "not an IPv6 address"},
      {"not an address", {"--no_resolve", "-l", "999.1.1.1"}, "\"999.1.1.1\""},
      {"multicast", {"-l", "224.0.0.1"}, "multicast"},
      {"a second one without a label", {"-l", "192.0.2.1", "-l", "192.0.2.2"}, "needs a label"},
      {"of another family without a label", {"-l", "192.0.2.1", "-6", "::1"}, "needs a label"},
      {"a label twice", {"-l", "a@192.0.2.1", "-l", "a@192.0.2.2"}, "label \"a\" is given twice"},
      {"an empty label", {"-l", "@192.0.2.1"}, "label \"\""},
      {"a label with a brace", {"-l", "a}@192.0.2.1"}, "label \"a}\""},
      {"nothing shown", {"-l", "192.0.2.1="}, "the address is empty"},
      {"every address shown", {"-l", "192.0.2.1=0.0.0.0"}, "cannot be shown"},
      {"another family shown", {"-l", "192.0.2.1=2001:db8::1"}, "not an IPv4 address"},
      {"both families internal", {"-l", "192.0.2.1/", "-6", "2001:db8::1/"}, "given twice"},
      {"both families external", {"-l", "/192.0.2.1", "-6", "/2001:db8::1"}, "given twice"},
      {"three sides", {"-l", "192.0.2.1/192.0.2.2", "-6", "/2001:db8::1"}, "given twice"},
      {"only the internal side", {"-l", "192.0.2.1/"}, "external address of the bridge is missing"},
      {"only the external side", {"-l", "/192.0.2.1"}, "internal address of the bridge is missing"},
      {"a slash only", {"-l", "/"}, "INTERNAL/EXTERNAL"},
      {"a label on the bridge", {"-l", "a@192.0.2.1/192.0.2.2"}, "no label"},
      {"=SHOWN on the bridge", {"-l", "192.0.2.1=192.0.2.3/192.0.2.2"}, "no =SHOWN"},
      {"two bridges", {"-l", "192.0.2.1/192.0.2.2", "-l", "192.0.2.3/192.0.2.4"}, "only the first"},
      {"-A empty", {"-A", ""}, "-A: \"\""},
      {"-A with a bridge it has not", {"-A", "192.0.2.1/192.0.2.2"}, "without bridge mode"},
      {"one -A part in bridge mode",
       {"-l", "192.0.2.1/192.0.2.2", "-A", "198.51.100.1"},
       "needs both"},
      {"half an -A", {"-l", "192.0.2.1/192.0.2.2", "-A", "198.51.100.1/"}, "needs both"},
      {"the other half", {"-l", "192.0.2.1/192.0.2.2", "-A", "/198.51.100.1"}, "needs both"},
      {"-A beside =SHOWN", {"-l", "192.0.2.1=192.0.2.2", "-A", "192.0.2.3"}, "already shows"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string message = error_of(c.words);
    CAPTURE(message);
    CHECK(contains(message, c.message));
  }
  Words many;
  for (int i = 0; i < 17; ++i) {
    many.insert(many.end(), {"-l", "l" + std::to_string(i) + "@192.0.2.1"});
  }
  CHECK(contains(error_of(many), "at most 16"));
}

}  // namespace relay
