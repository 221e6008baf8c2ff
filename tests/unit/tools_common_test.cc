#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/un.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "relay/base/unique_fd.h"
#include "tests/support/temporary_directory.h"
#include "tools/common/control_address.h"
#include "tools/common/control_client.h"
#include "tools/common/reply_framing.h"
#include "tools/common/text_table.h"

namespace relay::tools {

TEST_CASE("a control socket is named as the daemon names it") {
  struct Case {
    std::string description;
    std::string text;
    std::string expected;  // empty: refused
  };
  const std::vector<Case> cases = {
      {"IPv4 datagrams", "udp:127.0.0.1:7722", "udp:127.0.0.1:7722"},
      {"without a port it is 22222", "udp:192.0.2.1", "udp:192.0.2.1:22222"},
      {"an empty port is 22222", "tcp:192.0.2.1:", "tcp:192.0.2.1:22222"},
      {"the port stands behind the last colon", "udp6:::1:9000", "udp6:::1:9000"},
      {"brackets are taken off", "tcp6:[2001:db8::1]:9000", "tcp6:2001:db8::1:9000"},
      {"brackets without a port", "udp6:[::1]", "udp6:::1:22222"},
      {"what the daemon binds as any is reached over loopback", "udp:*:9000", "udp:127.0.0.1:9000"},
      {"the same for IPv6", "tcp6:*:9000", "tcp6:::1:9000"},
      {"one-shot stream", "unix:/run/relay.sock", "unix:/run/relay.sock"},
      {"lasting stream", "cunix:/run/relay.sock", "cunix:/run/relay.sock"},
      {"a bare path is a one-shot stream", "/run/relay.sock", "unix:/run/relay.sock"},
      {"port 0 is refused", "udp:127.0.0.1:0", ""},
      {"a port over 65535 is refused", "udp:127.0.0.1:65536", ""},
      {"a port that is no number is refused", "udp:127.0.0.1:12x", ""},
      {"no host", "udp:", ""},
      {"no path", "unix:", ""},
      {"a path the kernel would not take", "unix:/" + std::string(108, 'x'), ""},
      {"an unknown scheme", "http://192.0.2.1", ""},
      {"nothing", "", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto address = parse_control_address(c.text);
    CHECK(address.has_value() == !c.expected.empty());
    if (address) CHECK(address->to_string() == c.expected);
  }
}

TEST_CASE("without -s the environment decides, then what exists") {
  const auto nothing = [](const std::string&) { return false; };
  const auto old_one = [](const std::string& path) { return path == "/var/run/rtpproxy.sock"; };
  CHECK(default_control_address("udp:192.0.2.1:1", old_one) == "udp:192.0.2.1:1");
  CHECK(default_control_address("", old_one) == "unix:/var/run/rtpproxy.sock");
  CHECK(default_control_address("", nothing) == "unix:/run/rtpp-relay.sock");
}

TEST_CASE("a host of the wrong family is refused before anything is sent") {
  CHECK_FALSE(resolve(*parse_control_address("udp:::1:9000")));
  CHECK_FALSE(resolve(*parse_control_address("udp6:127.0.0.1:9000")));
  CHECK(resolve(*parse_control_address("udp6:::1:9000"))->to_string() == "[::1]:9000");
}

TEST_CASE("a datagram's first word is its whole cookie") {
  struct Case {
    std::string description;
    std::string datagram;
    std::string cookie;  // empty: not a reply
    std::string reply;
  };
  const std::vector<Case> cases = {
      {"a reply", "7_1 20040107\n", "7_1", "20040107"},
      {"a longer cookie is another cookie", "7_12 0\n", "7_12", "0"},
      {"an empty reply", "ck \n", "ck", ""},
      {"only the last line end goes", "ck a: 1\nb: 2\n", "ck", "a: 1\nb: 2"},
      {"a carriage return goes with it", "ck 0\r\n", "ck", "0"},
      {"bencode has no line end", "ck d6:result2:oke", "ck", "d6:result2:oke"},
      {"no cookie, no reply", "E5\n", "", ""},
      {"a blank first", " 7 0", "", ""},
      {"nothing", "", "", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto cooked = split_cooked_reply(c.datagram);
    CHECK(cooked.has_value() == !c.cookie.empty());
    if (!cooked) continue;
    CHECK(cooked->cookie == c.cookie);
    CHECK(cooked->reply == c.reply);
  }
}

TEST_CASE("a stream's reply ends where its command says") {
  struct Case {
    std::string description;
    std::string command;
    std::string received;
    int expected_bytes;  // -1: incomplete
  };
  const std::string info = "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n";
  const std::vector<Case> cases = {
      {"one line", "V", "20040107\nE1\n", 9},
      {"half a line", "V", "2004", -1},
      {"I has five lines", "I", info + "0\n", 25},
      {"four of them are not enough", "Ib", info.substr(0, 20), -1},
      {"with the load it has six", "Ibl", info + "f: 6\n", 30},
      {"with the load five are not enough", "il", info, -1},
      {"an error is one line whatever was asked", "I", "E2\n", 3},
      {"blanks before the verb do not matter", " \tI", info, 25},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto reply = complete_reply(c.command, c.received);
    CHECK((reply ? static_cast<int>(reply->size()) : -1) == c.expected_bytes);
  }
}

TEST_CASE("a table is as wide as its widest cells") {
  TextTable table({{"name"}, {"count", true}});
  table.add_row({"a", "7"});
  table.add_row({"l\xC3\xA4nger", "12345678"});
  table.add_row({"bad\nline"});
  CHECK(table.to_string() ==
        "name         count\n"
        "a                7\n"
        "l\xC3\xA4nger    12345678\n"
        "bad?line\n");
  TextTable plain({{""}, {"", true}});
  plain.add_row({"a", "1"});
  CHECK(plain.to_string() == "a  1\n");
}

namespace {

const ControlClientSettings kHasty{3, std::chrono::milliseconds(30)};

UniqueFd bound_udp_socket(uint16_t& port) {
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  SocketAddress address = to_socket_address({*IpAddress::parse("127.0.0.1"), 0});
  REQUIRE(::bind(fd.get(), address.get(), address.length) == 0);
  REQUIRE(::getsockname(fd.get(), address.get(), &address.length) == 0);
  port = to_endpoint(address).port;
  // A test that fails must not hang.
  const timeval limit{10, 0};
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
  return fd;
}

// A relay that handles `datagrams` requests and ends.
class FakeRelay {
 public:
  using Reply = std::function<std::vector<std::string>(const std::string& cookie, int number)>;
  FakeRelay(int datagrams, Reply reply)
      : socket_(bound_udp_socket(port_)), thread_([this, datagrams, reply = std::move(reply)] {
          for (int i = 0; i < datagrams; ++i) serve(i, reply);
        }) {}
  ~FakeRelay() { thread_.join(); }

  ControlAddress address() const {
    return *parse_control_address("udp:127.0.0.1:" + std::to_string(port_));
  }

 private:
  void serve(int number, const Reply& reply) {
    char buffer[2048];
    SocketAddress from;
    const ssize_t size =
        ::recvfrom(socket_.get(), buffer, sizeof buffer, 0, from.get(), &from.length);
    if (size <= 0) return;
    const std::string datagram(buffer, static_cast<size_t>(size));
    for (const std::string& text : reply(datagram.substr(0, datagram.find(' ')), number)) {
      ::sendto(socket_.get(), text.data(), text.size(), 0, from.get(), from.length);
    }
  }

  uint16_t port_ = 0;
  UniqueFd socket_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("a datagram is asked again with the same cookie until it is answered") {
  std::vector<std::string> cookies;
  EventLoop loop;
  {
    FakeRelay relay(3, [&](const std::string& cookie, int number) {
      cookies.push_back(cookie);
      return number < 2 ? std::vector<std::string>{} : std::vector{cookie + " 20040107\n"};
    });
    const auto client = open_control_client(loop, relay.address(), kHasty);
    REQUIRE(client);
    const auto answer = ask_and_wait(loop, **client, "V");
    REQUIRE(answer);
    CHECK(answer->reply == "20040107");
    CHECK(answer->transmissions == 3);
  }
  REQUIRE(cookies.size() == 3);
  CHECK(cookies[0] == cookies[1]);
  CHECK(cookies[1] == cookies[2]);
}

TEST_CASE("a reply counts only under the cookie that was sent") {
  EventLoop loop;
  FakeRelay relay(1, [](const std::string& cookie, int) {
    return std::vector<std::string>{
        "other 1\n", cookie + "0 2\n", cookie.substr(0, cookie.size() - 1) + " 3\n",
        "E5\n",      cookie + " 4\n",  cookie + " 5\n"};
  });
  const auto client = open_control_client(loop, relay.address());
  REQUIRE(client);
  const auto answer = ask_and_wait(loop, **client, "V");
  REQUIRE(answer);
  CHECK(answer->reply == "4");
}

TEST_CASE("a relay that never answers is an error that names it") {
  uint16_t port = 0;
  const UniqueFd silent = bound_udp_socket(port);
  EventLoop loop;
  const auto address = parse_control_address("udp:127.0.0.1:" + std::to_string(port));
  const auto client = open_control_client(loop, *address, kHasty);
  REQUIRE(client);
  const auto answer = ask_and_wait(loop, **client, "V");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().message == address->to_string() + ": no answer, asked 3 times");
}

TEST_CASE("where nobody listens the answer does not take five seconds") {
  uint16_t port = 0;
  bound_udp_socket(port).reset();
  EventLoop loop;
  for (const std::string& text : std::vector<std::string>{
           "udp:127.0.0.1:" + std::to_string(port), "tcp:127.0.0.1:" + std::to_string(port),
           "unix:/nonexistent/relay.sock", "cunix:/nonexistent/relay.sock"}) {
    CAPTURE(text);
    const auto client =
        open_control_client(loop, *parse_control_address(text), {1, std::chrono::hours(1)});
    REQUIRE(client);
    const auto answer = ask_and_wait(loop, **client, "V");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message.starts_with(text + ": "));
  }
}

namespace {

// Accepts `connections`, one after another, and serves each with `serve`.
class FakeStreamRelay {
 public:
  FakeStreamRelay(int connections, std::function<void(int fd)> serve) {
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
            0);
    REQUIRE(::listen(listener_.get(), 8) == 0);
    thread_ = std::thread([this, connections, serve = std::move(serve)] {
      for (int i = 0; i < connections; ++i) {
        const UniqueFd accepted(::accept(listener_.get(), nullptr, nullptr));
        serve(accepted.get());
      }
    });
  }
  ~FakeStreamRelay() { thread_.join(); }
  const std::string& path() const { return path_; }

 private:
  const TemporaryDirectory directory_;
  const std::string path_ = directory_.file("relay.sock");
  UniqueFd listener_;
  std::thread thread_;
};

std::string read_some(int fd) {
  char buffer[256];
  const ssize_t size = ::read(fd, buffer, sizeof buffer);
  return std::string(buffer, size > 0 ? static_cast<size_t>(size) : 0);
}

void write_all(int fd, const std::string& text) {
  CHECK(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("unix: takes one command a connection, and the end of it ends the reply") {
  EventLoop loop;
  std::vector<std::string> requests;
  {
    FakeStreamRelay relay(2, [&](int fd) {
      requests.push_back(read_some(fd));
      write_all(fd, "no line end");
    });
    const auto client = open_control_client(loop, *parse_control_address("unix:" + relay.path()));
    REQUIRE(client);
    CHECK(ask_and_wait(loop, **client, "V")->reply == "no line end");
    CHECK(ask_and_wait(loop, **client, "X")->reply == "no line end");
  }
  CHECK(requests == std::vector<std::string>{"V", "X"});
}

TEST_CASE("cunix: keeps one connection, and replies come in the order asked") {
  EventLoop loop;
  FakeStreamRelay relay(1, [](int fd) {
    std::string received;
    while (received.size() < 6) received += read_some(fd);
    CHECK(received == "V\nI\nX\n");
    write_all(fd, "20040107\na: 1\nb: 2\nc: 3\n");
    write_all(fd, "d: 4\ne: 5\n0\n");
  });
  const auto client = open_control_client(loop, *parse_control_address("cunix:" + relay.path()));
  REQUIRE(client);
  std::vector<std::string> replies;
  const auto keep = [&](Result<Answer> answer) {
    REQUIRE(answer);
    replies.push_back(answer->reply);
    if (replies.size() == 3) loop.stop();
  };
  for (const char* command : {"V", "I", "X"}) (*client)->ask(command, keep);
  loop.run();
  CHECK(replies == std::vector<std::string>{"20040107", "a: 1\nb: 2\nc: 3\nd: 4\ne: 5", "0"});
}

TEST_CASE("a stream that breaks fails its commands, and the next one connects anew") {
  EventLoop loop;
  int connection = 0;
  FakeStreamRelay relay(2, [&](int fd) {
    read_some(fd);
    if (++connection == 2) write_all(fd, "20040107\n");
  });
  const auto client = open_control_client(loop, *parse_control_address("cunix:" + relay.path()));
  REQUIRE(client);
  const auto broken = ask_and_wait(loop, **client, "V");
  REQUIRE_FALSE(broken);
  CHECK(broken.error().message == "cunix:" + relay.path() + ": connection closed");
  CHECK(ask_and_wait(loop, **client, "V")->reply == "20040107");
}

}  // namespace relay::tools
