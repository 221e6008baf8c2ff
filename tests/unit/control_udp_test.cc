#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>

#include "control_fixture.h"

namespace relay {

using namespace control_test;

TEST_CASE("a datagram is framed by its cookie") {
  struct Case {
    std::string description;
    std::string datagram;
    std::string reply;
  };
  const std::vector<Case> cases = {
      {"cookie and command", "ck3 V", "ck3 20040107\n"},
      {"two blanks and a line end", "ck4  V\n", "ck4 20040107\n"},
      {"a tab and CR LF", "ck5\tV\r\n", "ck5 20040107\n"},
      {"leading blanks", " ck10 V", "ck10 20040107\n"},
      {"an empty datagram has no cookie to answer with", "", "E5\n"},
      {"nor has a lone line end", "\n", "E5\n"},
      {"a cookie alone", "ck1", "ck1 E5\n"},
      {"a cookie and a blank", "ck2 ", "ck2 E5\n"},
      {"a command without cookie is taken as the cookie", "V", "V E5\n"},
      {"a NUL reaches the command", std::string("ck8 V\0", 6), "ck8 E5\n"},
      {"an empty reply keeps its blank", "ck22 empty", "ck22 \n"},
      {"a cookie of 1014 bytes, which kills rtpproxy", std::string(1014, 'c') + " V",
       std::string(1014, 'c') + " 20040107\n"},
      {"a cookie that leaves room for one byte", std::string(8189, 'c') + " V",
       std::string(8189, 'c') + " 20040107\n"},
      {"what is over 8191 bytes is lost", std::string(8191, 'c') + " V",
       std::string(8191, 'c') + " E5\n"},
  };
  Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
  REQUIRE(fixture.error == "");
  Client client = Client::udp(endpoint("127.0.0.1", fixture.port()));
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(client.send(c.datagram));
    CHECK(fixture.reply(client) == c.reply);
  }
  CHECK(fixture.counters.datagrams_received == cases.size());
  CHECK(fixture.counters.datagrams_truncated == 1);
  CHECK(fixture.counters.replies_dropped == 0);
}

TEST_CASE("a reply leaves from the address that was asked") {
  struct Case {
    std::string description;
    std::string bound;
    std::string asked;
  };
  const std::vector<Case> cases = {
      {"IPv4 wildcard asked on the usual address", "0.0.0.0", "127.0.0.1"},
      {"IPv4 wildcard asked on another one", "0.0.0.0", "127.0.0.2"},
      {"IPv6 wildcard", "::", "::1"},
      {"a bound address", "127.0.0.3", "127.0.0.3"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Fixture fixture({ip_socket(ControlKind::udp, c.bound)});
    REQUIRE(fixture.error == "");
    const Endpoint asked = endpoint(c.asked, fixture.port());
    // A connected socket does not see datagrams from other addresses. The client's own address
    // is fixed, or the kernel would choose the asked one for it and any reply would match.
    Client client = Client::udp(asked, asked.address.is_ipv6() ? "" : "127.0.0.1");
    CHECK(client.send("1_0 V"));
    CHECK(fixture.reply(client) == "1_0 20040107\n");
    REQUIRE(fixture.executor.origins.size() == 1);
    CHECK(fixture.executor.origins[0].local == asked);
    CHECK(fixture.executor.origins[0].peer == to_endpoint(name_of(client.fd())));
  }
}

TEST_CASE("a retransmission gets the same bytes and is not executed again") {
  Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
  Client client = Client::udp(endpoint("127.0.0.1", fixture.port()));
  const auto ask = [&](const std::string& datagram) {
    CHECK(client.send(datagram));
    return fixture.reply(client);
  };
  CHECK(ask("7_1 echo first") == "7_1 first\n");
  CHECK(ask("7_1 echo first") == "7_1 first\n");
  CHECK(fixture.executor.commands.size() == 1);
  CHECK(fixture.executor.duplicates == 1);
  CHECK(fixture.counters.reply_cache_hits == 1);

  SUBCASE("errors are kept, too") {
    CHECK(ask("7_2 what") == "7_2 E0\n");
    CHECK(ask("7_2 what") == "7_2 E0\n");
    CHECK(fixture.executor.commands.size() == 2);
  }
  SUBCASE("another command under the same cookie is a new request") {
    CHECK(ask("7_1 echo second") == "7_1 second\n");
    CHECK(ask("7_1 echo first") == "7_1 first\n");
    CHECK(fixture.executor.commands.size() == 2);
  }
  SUBCASE("after 35 s it is a new request") {
    fixture.clock.advance(std::chrono::seconds(35));
    CHECK(ask("7_1 echo first") == "7_1 first\n");
    CHECK(fixture.executor.commands.size() == 2);
  }
  SUBCASE("a sweep forgets what has expired") {
    fixture.clock.advance(std::chrono::seconds(34));
    fixture.server->sweep();
    CHECK(fixture.server->reply_cache().entries() == 1);
    fixture.clock.advance(std::chrono::seconds(1));
    fixture.server->sweep();
    CHECK(fixture.server->reply_cache().entries() == 0);
  }
}

TEST_CASE("clients and sockets with colliding cookies get their own answers") {
  Fixture fixture(
      {ip_socket(ControlKind::udp, "127.0.0.1"), ip_socket(ControlKind::udp, "127.0.0.2")});
  REQUIRE(fixture.error == "");
  const Endpoint first = endpoint("127.0.0.1", fixture.port(0));
  const Endpoint second = endpoint("127.0.0.2", fixture.port(1));
  Client a = Client::udp(first), b = Client::udp(first);
  CHECK(a.send("1_0 echo same"));
  CHECK(fixture.reply(a) == "1_0 same\n");
  CHECK(b.send("1_0 echo same"));
  CHECK(fixture.reply(b) == "1_0 same\n");
  CHECK(fixture.executor.commands.size() == 2);

  const SocketAddress to = to_socket_address(second);
  REQUIRE(::connect(a.fd(), to.get(), to.length) == 0);
  CHECK(a.send("1_0 echo same"));
  CHECK(fixture.reply(a) == "1_0 same\n");
  CHECK(fixture.executor.commands.size() == 3);
  CHECK(fixture.executor.duplicates == 0);
}

TEST_CASE("an error reply is never answered, so two relays cannot be set on each other") {
  Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
  Client client = Client::udp(endpoint("127.0.0.1", fixture.port()));
  CHECK(client.send("ck E3\n"));
  CHECK(client.send("ck echo after"));
  CHECK(fixture.reply(client) == "ck after\n");
  CHECK(fixture.counters.datagrams_reflected == 1);
  CHECK(fixture.executor.commands.size() == 1);
}

TEST_CASE("a socket that is fed its own first answer falls silent") {
  Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
  const auto [text, fd] = fixture.server->descriptors().at(0);
  const SocketAddress self = name_of(fd);
  REQUIRE(::sendto(fd, "ck V", 4, 0, self.get(), self.length) == 4);
  CHECK(fixture.wait([&] { return fixture.counters.datagrams_reflected == 1; }));
  CHECK(fixture.executor.commands == std::vector<std::string>{"V", "20040107"});
}

TEST_CASE("a reply that no datagram can carry becomes an error reply") {
  Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
  Client client = Client::udp(endpoint("127.0.0.1", fixture.port()));
  const size_t fits = 65'507 - std::string("ck \n").size();
  CHECK(client.send("ck long " + std::to_string(fits)));
  CHECK(fixture.reply(client).size() == 65'507);
  CHECK(client.send("ck long " + std::to_string(fits + 1)));
  CHECK(fixture.reply(client) == "ck E25\n");
  CHECK(fixture.counters.replies_too_long == 1);
}

TEST_CASE("the start-up probes of many workers are all answered") {
  Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
  std::vector<Client> workers;
  for (int i = 0; i < 64; ++i)
    workers.push_back(Client::udp(endpoint("127.0.0.1", fixture.port())));
  const std::string probes[] = {"V", "echo 20050322", "echo 20071116", "echo 20081102"};
  for (Client& worker : workers) {
    for (size_t i = 0; i < 4; ++i) CHECK(worker.send("9_" + std::to_string(i) + " " + probes[i]));
  }
  const std::string all = "9_0 20040107\n9_1 20050322\n9_2 20071116\n9_3 20081102\n";
  for (Client& worker : workers) {
    CHECK(fixture.wait_received(worker, all.size()));
    CHECK(worker.received() == all);
  }
  CHECK(fixture.counters.datagrams_received == 256);
  CHECK(fixture.counters.datagrams_lost == 0);
}

TEST_CASE("commands that wait are executed in order, and answered once others know of them") {
  using Lines = std::vector<std::string>;
  struct Case {
    std::string description;
    Lines datagrams;
    Lines seen;
  };
  const std::vector<Case> cases = {
      {"one", {"1 V"}, {"(", "V", ")", "1 20040107"}},
      {"three", {"1 U", "2 L", "3 V"}, {"(", "U", "L", "V", ")", "1 E0", "2 E0", "3 20040107"}},
      {"retransmissions behind the command itself",
       {"1 U", "1 U", "2 D", "1 U"},
       {"(", "U", "D", ")", "1 E0", "1 E0", "2 E0", "1 E0"}},
      {"error replies are passed over",
       {"1 E3", "2 V", "3 E3", "4 L"},
       {"(", "V", "L", ")", "2 20040107", "4 E0"}},
      {"what may take long begins when the others are answered",
       {"1 U", "2 echo list", "3 V"},
       {"(", "U", ")", "1 E0", "echo list", "V", "2 list", "3 20040107"}},
      {"what has taken long is not waited for",
       {"1 U", "2 U slow", "3 V"},
       {"(", "U", "U slow", ")", "1 E0", "2 E0", "(", "V", ")", "3 20040107"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
    Client client = Client::udp(endpoint("127.0.0.1", fixture.port()));
    Lines seen;
    const auto collect = [&] {
      while (auto reply = client.receive()) seen.push_back(reply->substr(0, reply->size() - 1));
      return seen.size() >= c.seen.size();
    };
    fixture.executor.on_event = [&](std::string_view event) {
      collect();
      seen.emplace_back(event);
      if (event.ends_with("slow")) fixture.clock.advance(std::chrono::milliseconds(1));
    };
    for (const std::string& datagram : c.datagrams) CHECK(client.send(datagram));
    CHECK(fixture.wait(collect));
    CHECK(seen == c.seen);
  }
}

TEST_CASE("more than a burst's datagrams and replies are all taken and sent") {
  Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
  Client client = Client::udp(endpoint("127.0.0.1", fixture.port()));
  std::string expected;
  for (size_t i = 0; i < 200; ++i) {
    const std::string cookie = std::to_string(i);
    CHECK(client.send(cookie + " U"));
    expected += cookie + " E0\n";
  }
  CHECK(fixture.wait_received(client, expected.size()));
  CHECK(client.received() == expected);
}

TEST_CASE("a reply that the kernel does not take costs no other one") {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  UniqueFd receiver(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const SocketAddress any_port = to_socket_address(endpoint("127.0.0.1", 0));
  REQUIRE(::bind(receiver.get(), any_port.get(), any_port.length) == 0);
  const ReplyPath there{name_of(receiver.get()), endpoint("127.0.0.1", 0)};
  const ReplyPath nowhere{any_port, there.local};  // nobody has port 0
  Client client(std::move(receiver));
  ReplySender replies;
  std::string expected;
  for (const std::string taken : {"0100110", "0", "101", "1111111111111111"}) {
    CAPTURE(taken);
    for (const char is_taken : taken) {
      REQUIRE_FALSE(replies.full());
      replies.add(is_taken == '1' ? there : nowhere, std::string(1, is_taken));
      if (is_taken == '1') expected += is_taken;
    }
    CHECK(replies.send(socket.get(), "test") ==
          static_cast<size_t>(std::ranges::count(taken, '0')));
    CHECK(replies.empty());
    client.collect();
    CHECK(client.received() == expected);
  }
}

TEST_CASE("what the kernel had to drop is counted") {
  Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
  Client client = Client::udp(endpoint("127.0.0.1", fixture.port()));
  const uint64_t flood = 20'000;  // the largest receive buffer asked for holds some 3000
  for (uint64_t i = 0; i < flood; ++i) CHECK(client.send("ck E1"));
  const auto drained = [&] {
    pollfd ready{fixture.server->descriptors().at(0).second, POLLIN, 0};
    return ::poll(&ready, 1, 0) == 0;
  };
  CHECK(fixture.wait(drained));
  CHECK(client.send("1_0 V"));  // brings the count up to date
  CHECK(fixture.reply(client) == "1_0 20040107\n");
  CHECK(fixture.counters.datagrams_lost > 0);
  CHECK(fixture.counters.datagrams_received + fixture.counters.datagrams_lost == flood + 1);
}

TEST_CASE("both families are served on one port by two sockets") {
  Fixture ipv4({ip_socket(ControlKind::udp, "0.0.0.0")});
  ControlSocketConfig same_port = ip_socket(ControlKind::udp, "::");
  same_port.endpoint.port = ipv4.port();
  Fixture ipv6({same_port});
  CHECK(ipv6.error == "");
}

TEST_CASE("an address in use is named in the error") {
  Fixture first({ip_socket(ControlKind::udp, "127.0.0.1")});
  ControlSocketConfig again = ip_socket(ControlKind::udp, "127.0.0.1");
  again.endpoint.port = first.port();
  again.text = "udp:127.0.0.1:" + std::to_string(again.endpoint.port);
  Fixture second({again});
  CHECK(second.error.find("'" + again.text + "'") != std::string::npos);
  CHECK(second.error.find("in use") != std::string::npos);
}

}  // namespace relay
