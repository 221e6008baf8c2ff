// -n and --notify-all: who is told of time-outs.
#include <string>
#include <vector>

#include "tests/unit/config_support.h"

namespace relay {

TEST_CASE("notification targets") {
  struct Case {
    std::string description, text;
    NotifyKind kind;
    std::string endpoint, path;
  };
  const std::vector<Case> cases = {
      {"a UNIX socket", "unix:/run/t.sock", NotifyKind::unix_stream, "", "/run/t.sock"},
      {"a path alone", "/run/t.sock", NotifyKind::unix_stream, "", "/run/t.sock"},
      {"TCP", "tcp:192.0.2.1:9000", NotifyKind::tcp, "192.0.2.1:9000", ""},
      {"TCP by name", "tcp:localhost:9000", NotifyKind::tcp, "127.0.0.1:9000", ""},
      {"TCP over IPv6", "tcp6:[2001:db8::1]:9000", NotifyKind::tcp, "[2001:db8::1]:9000", ""},
      {"without brackets", "tcp6:2001:db8::1:9000", NotifyKind::tcp, "[2001:db8::1]:9000", ""},
      {"IPv6 by its address", "tcp:[2001:db8::1]:9000", NotifyKind::tcp, "[2001:db8::1]:9000", ""},
      {"the command's sender", "tcp:%%CC_SELF%%:9001", NotifyKind::tcp_self, "", ""},
      {"JSON-RPC over HTTP", "jsonrpc:http://192.0.2.1:5060/RPC", NotifyKind::rpc_http,
       "192.0.2.1:5060", "/RPC"},
      {"a URL without port and path", "jsonrpc:http://192.0.2.1", NotifyKind::rpc_http,
       "192.0.2.1:80", "/"},
      {"a URL with a query", "jsonrpc:http://[2001:db8::1]:81/a/b?c=d", NotifyKind::rpc_http,
       "[2001:db8::1]:81", "/a/b?c=d"},
      {"JSON-RPC datagrams", "jsonrpc:unix:/run/kamailio/rpc.sock", NotifyKind::rpc_unix, "",
       "/run/kamailio/rpc.sock"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const Config config = parse_good({"-n", c.text});
    REQUIRE(config.startup.notify_targets.size() == 1);
    const NotifyTargetConfig& target = config.startup.notify_targets.front();
    CHECK(target.text == c.text);
    CHECK(target.kind == c.kind);
    CHECK((target.endpoint.valid() ? target.endpoint.to_string() : "") == c.endpoint);
    CHECK(target.path == c.path);
    CHECK(config.startup.notices.empty());
  }
  CHECK(parse_good({"-n", "tcp:%%CC_SELF%%:9001"}).startup.notify_targets[0].endpoint.port == 9001);
  CHECK(parse_good({"-n", "jsonrpc:http://[2001:db8::1]:81/"}).startup.notify_targets[0].host ==
        "[2001:db8::1]:81");
  CHECK(parse_good({"-n", "sub/t.sock"}).startup.notify_targets[0].path.ends_with("/sub/t.sock"));
  CHECK(parse_good({"-n", "sub/t.sock"}).startup.notify_targets[0].path.starts_with("/"));
}

TEST_CASE("notification targets that are refused") {
  struct Case {
    std::string description, text, message;
  };
  const std::vector<Case> cases = {
      {"empty", "", "-n: \"\": expected unix:PATH"},
      {"a path that is empty", "unix:", "the path of the UNIX socket is empty"},
      {"a path too long", "/" + std::string(200, 'x'), "at most 107 fit"},
      {"no port", "tcp:192.0.2.1", "the port is missing"},
      {"a bad port", "tcp:192.0.2.1:0", "port \"0\""},
      {"an empty port", "tcp:192.0.2.1:", "the port is missing"},
      {"no host", "tcp::9000", "the address is empty"},
      {"any host", "tcp:*:9000", "0.0.0.0 is not the address of one host"},
      {"a group", "tcp:224.0.0.1:9000", "224.0.0.1 is not the address of one host"},
      {"IPv4 where IPv6 is asked for", "tcp6:192.0.2.1:9000", "not an IPv6 address"},
      {"a sender with a bad port", "tcp:%%CC_SELF%%:x", "port \"x\""},
      {"a sender without a port", "tcp:%%CC_SELF%%", "expected tcp:%%CC_SELF%%:PORT"},
      {"another kind", "udp:192.0.2.1:1", "udp:192.0.2.1:1"},
      {"JSON-RPC without a transport", "jsonrpc:192.0.2.1:80", "expected jsonrpc:http://"},
      {"TLS", "jsonrpc:https://192.0.2.1/RPC", "https is not supported"},
      {"a blank in the URL", "jsonrpc:http://192.0.2.1/R PC", "visible ASCII"},
      {"a user name in the URL", "jsonrpc:http://me@192.0.2.1/RPC", "user names"},
      {"a URL without a host", "jsonrpc:http:///RPC", "the address is empty"},
      {"a URL with a bad port", "jsonrpc:http://192.0.2.1:x/RPC", "port \"x\""},
      {"datagrams nowhere", "jsonrpc:unix:", "the path of the UNIX socket is empty"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string message = error_of({"-n", c.text});
    CAPTURE(message);
    CHECK(contains(message, c.message));
  }
  CHECK(contains(error_of({"--no_resolve", "-n", "tcp:localhost:9000"}), "names are not resolved"));
}

TEST_CASE("64 notification targets and two of the command's sender are the most") {
  Words words;
  for (int i = 0; i < 64; ++i) words.insert(words.end(), {"-n", "/run/n" + std::to_string(i)});
  for (int i = 1; i <= 2; ++i) {
    words.insert(words.end(), {"--notify", "tcp:%%CC_SELF%%:" + std::to_string(i)});
  }
  CHECK(parse_good(words).startup.notify_targets.size() == 66);
  Words one_more = words;
  one_more.insert(one_more.end(), {"-n", "/run/more"});
  CHECK(contains(error_of(one_more), "\"/run/more\": at most 64 notification sockets and 2"));
  words.insert(words.end(), {"-n", "tcp:%%CC_SELF%%:3"});
  CHECK(contains(error_of(words), "at most 64 notification sockets and 2"));
}

TEST_CASE("--notify-all names one target, and not the sender of a command") {
  CHECK_FALSE(parse_good({}).startup.notify_all);
  const Config config =
      parse_good({"--notify-all", "tcp:192.0.2.1:1", "--notify-all=jsonrpc:unix:/run/rpc"});
  REQUIRE(config.startup.notify_all);
  CHECK(config.startup.notify_all->kind == NotifyKind::rpc_unix);
  CHECK(config.startup.notify_targets.empty());
  CHECK(contains(error_of({"--notify-all=tcp:%%CC_SELF%%:1"}), "name the host here"));
  CHECK(contains(error_of({"--notify-all="}), "--notify-all: \"\": expected unix:PATH"));
}

}  // namespace relay
