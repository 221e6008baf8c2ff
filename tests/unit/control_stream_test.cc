#include <doctest/doctest.h>
#include <sys/resource.h>

#include <random>

#include "control_fixture.h"

namespace relay {

using namespace control_test;

TEST_CASE("a one-shot connection is answered after its first read and closed") {
  struct Case {
    std::string description;
    std::string request;
    std::string reply;
    std::string executed;
  };
  const std::vector<Case> cases = {
      {"no line end, as Kamailio and OpenSIPS send it", "V", "20040107\n", "V"},
      {"a line end is no part of the command", "V\r\n", "20040107\n", "V"},
      {"a second line is part of the first command", "V\nV\n", "E0\n", "V\nV"},
      {"a lone line end is an empty command", "\n", "E5\n", ""},
      {"a reply longer than a socket buffer comes whole", "long 3000000",
       std::string(3'000'000, 'x') + "\n", "long 3000000"},
      {"what is over 8191 bytes is lost", "echo " + std::string(8200, 'y'),
       std::string(8186, 'y') + "\n", "echo " + std::string(8186, 'y')},
  };
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  Fixture fixture({unix_socket(ControlKind::unix_one_shot, path)});
  REQUIRE(fixture.error == "");
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Client client = Client::unix_stream(path);
    CHECK(client.send(c.request));
    CHECK(fixture.wait_closed(client));
    CHECK(client.received() == c.reply);
    CHECK(fixture.executor.commands.back() == c.executed);
  }
  CHECK(fixture.executor.commands.size() == cases.size());
  CHECK(fixture.server->connections() == 0);
}

TEST_CASE("a one-shot reply fits the single read of the clients") {
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  Fixture fixture({unix_socket(ControlKind::unix_one_shot, path)});
  Client client = Client::unix_stream(path);
  CHECK(client.send("long 254"));
  CHECK(fixture.reply(client).size() == 255);
}

TEST_CASE("idle one-shot clients block nobody and are closed at the deadline") {
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  Fixture fixture({unix_socket(ControlKind::unix_one_shot, path)});
  std::vector<Client> idle;
  for (int i = 0; i < 50; ++i) idle.push_back(Client::unix_stream(path));
  Client busy = Client::unix_stream(path);
  CHECK(busy.send("V"));
  CHECK(fixture.reply(busy) == "20040107\n");
  fixture.clock.advance(std::chrono::seconds(30) - Duration(1));
  fixture.server->sweep();
  CHECK(fixture.server->connections() == 50);
  fixture.clock.advance(Duration(1));
  fixture.server->sweep();
  CHECK(fixture.server->connections() == 0);
  CHECK(fixture.counters.connections_timed_out == 50);
  for (Client& client : idle) CHECK(fixture.wait_closed(client));
  CHECK(fixture.executor.commands.size() == 1);
}

TEST_CASE("a client that leaves without a byte is not answered") {
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  Fixture fixture({unix_socket(ControlKind::unix_one_shot, path)});
  Client client = Client::unix_stream(path);
  client.end_of_output();
  CHECK(fixture.wait_closed(client));
  CHECK(client.received() == "");
  CHECK(fixture.executor.commands.empty());
}

TEST_CASE("a line stream cuts commands at LF") {
  struct Case {
    std::string description;
    std::vector<std::string> writes;
    std::string replies;
    bool closed;
  };
  const std::vector<Case> cases = {
      {"one line", {"V\n"}, "20040107\n", false},
      {"CR is white space", {"V\r\n"}, "20040107\n", false},
      {"an empty line", {"\n"}, "E5\n", false},
      {"two lines in one write", {"V\necho 2\n"}, "20040107\n2\n", false},
      {"a line in three writes", {"ec", "ho a", "b\n"}, "ab\n", false},
      {"a line and a half, and the other half", {"V\nec", "ho 2\n"}, "20040107\n2\n", false},
      {"the longest line",
       {"echo " + std::string(8186, 'y') + "\n"},
       std::string(8186, 'y') + "\n",
       false},
      {"a longer one closes the connection",
       {"V\n", std::string(8192, 'y') + "\n"},
       "20040107\n",
       true},
  };
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  Fixture fixture(
      {unix_socket(ControlKind::unix_stream, path), ip_socket(ControlKind::tcp, "127.0.0.1")});
  REQUIRE(fixture.error == "");
  for (const Case& c : cases) {
    CAPTURE(c.description);
    for (const bool tcp : {false, true}) {
      CAPTURE(tcp);
      Client client =
          tcp ? Client::tcp(endpoint("127.0.0.1", fixture.port(1))) : Client::unix_stream(path);
      for (const std::string& bytes : c.writes) {
        CHECK(client.send(bytes));
        // Let the server see this much before there is more.
        const auto pending = [&] { return fixture.server->connections() == 1; };
        CHECK(fixture.wait(pending));
        fixture.loop->run_once();
      }
      CHECK(fixture.wait_received(client, c.replies.size()));
      CHECK(client.received() == c.replies);
      if (c.closed) CHECK(fixture.wait_closed(client));
      client.end_of_output();
      CHECK(fixture.wait_closed(client));
      CHECK(fixture.wait([&] { return fixture.server->connections() == 0; }));
    }
  }
  CHECK(fixture.counters.lines_too_long == 2);
}

TEST_CASE("3000 commands in one write get 3000 replies in order") {
  Fixture fixture({ip_socket(ControlKind::tcp, "127.0.0.1")});
  Client client = Client::tcp(endpoint("127.0.0.1", fixture.port()));
  std::string commands, replies;
  for (int i = 0; i < 3000; ++i) {
    commands += "echo " + std::to_string(i) + "\n";
    replies += std::to_string(i) + "\n";
  }
  REQUIRE(client.send(commands));
  CHECK(fixture.wait_received(client, replies.size()));
  CHECK(client.received() == replies);
}

TEST_CASE("however a stream is cut into writes, its replies are the same") {
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  Fixture fixture({unix_socket(ControlKind::unix_stream, path)});
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    std::string commands, replies;
    while (commands.size() < 40'000) {
      const std::string word(random() % 8186, static_cast<char>('a' + random() % 26));
      commands += "echo " + word + (random() % 2 == 0 ? "\n" : "\r\n");
      replies += word + "\n";
    }
    Client client = Client::unix_stream(path);
    for (size_t sent = 0; sent < commands.size();) {
      const size_t piece = std::min<size_t>(1 + random() % 9000, commands.size() - sent);
      REQUIRE(client.send(std::string_view(commands).substr(sent, piece)));
      sent += piece;
      if (random() % 2 == 0) fixture.loop->run_once();
      client.collect();
    }
    CHECK(fixture.wait_received(client, replies.size()));
    CHECK(client.received() == replies);
  }
}

TEST_CASE("without descriptors to accept with, the connection waits for the next sweep") {
  Fixture fixture({ip_socket(ControlKind::tcp, "127.0.0.1")});
  Client waiting = Client::tcp(endpoint("127.0.0.1", fixture.port()));
  CHECK(waiting.send("V\n"));
  rlimit usual{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &usual) == 0);
  const UniqueFd lowest_free(::dup(0));
  rlimit none = usual;
  none.rlim_cur = static_cast<rlim_t>(lowest_free.get());
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  CHECK(fixture.wait([&] { return fixture.counters.accept_errors > 0; }));
  int ticks = 0;
  Timer tick(*fixture.loop, [&] { ++ticks; });
  tick.start_repeating(std::chrono::milliseconds(1));
  CHECK(fixture.wait([&] { return ticks == 20; }));
  CHECK(fixture.counters.accept_errors == 1);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &usual) == 0);
  fixture.server->sweep();
  CHECK(fixture.reply(waiting) == "20040107\n");
}

TEST_CASE("the end of input discards half a line and delivers what was asked before") {
  Fixture fixture({ip_socket(ControlKind::tcp, "127.0.0.1")});
  Client client = Client::tcp(endpoint("127.0.0.1", fixture.port()));
  CHECK(client.send("long 2000000\nlong 2000000\necho half"));
  client.end_of_output();
  CHECK(fixture.wait_closed(client));
  CHECK(client.received().size() == 4'000'002);
  CHECK(fixture.executor.commands.size() == 2);
}

TEST_CASE("a client that does not read is not read from, and closed at the deadline") {
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  ControlServerOptions options;
  options.stream_limits.output_bytes = 10'000;
  Fixture fixture({unix_socket(ControlKind::unix_stream, path)}, std::move(options));
  Client client = Client::unix_stream(path);
  std::string commands;
  for (int i = 0; i < 1000; ++i) commands += "long 5000\n";
  REQUIRE(client.send(commands));
  Client other = Client::unix_stream(path);
  CHECK(other.send("V\n"));
  CHECK(fixture.reply(other) == "20040107\n");
  const size_t executed = fixture.executor.commands.size();
  CHECK(executed < 1000);

  SUBCASE("never: closed and counted") {
    fixture.clock.advance(std::chrono::seconds(30));
    fixture.server->sweep();
    CHECK(fixture.counters.outputs_stalled == 1);
    CHECK(fixture.server->connections() == 1);
  }
  SUBCASE("late: nothing is lost") {
    fixture.clock.advance(std::chrono::seconds(29));
    fixture.server->sweep();
    CHECK(fixture.wait_received(client, 5'001'000));
    CHECK(client.received().size() == 5'001'000);
    fixture.clock.advance(std::chrono::seconds(29));
    fixture.server->sweep();
    CHECK(fixture.counters.outputs_stalled == 0);
  }
}

TEST_CASE("half a command has a deadline, an idle line stream has none") {
  Fixture fixture({ip_socket(ControlKind::tcp, "127.0.0.1")});
  const Endpoint server = endpoint("127.0.0.1", fixture.port());
  Client idle = Client::tcp(server), half = Client::tcp(server);
  CHECK(idle.send("V\n"));
  CHECK(half.send("V\nech"));
  CHECK(fixture.reply(idle) == "20040107\n");
  CHECK(fixture.reply(half) == "20040107\n");
  fixture.clock.advance(std::chrono::seconds(20));
  CHECK(half.send("o"));  // more of it buys no time
  CHECK(idle.send("V\n"));
  CHECK(fixture.reply(idle) == "20040107\n");
  fixture.clock.advance(std::chrono::seconds(10));
  fixture.server->sweep();
  CHECK(fixture.wait_closed(half));
  CHECK(fixture.counters.connections_timed_out == 1);
  fixture.clock.advance(std::chrono::hours(24));
  fixture.server->sweep();
  CHECK(idle.send("V\n"));
  CHECK(fixture.reply(idle) == "20040107\n");
}

TEST_CASE("connections beyond a cap are closed at once and the rest keeps working") {
  struct Case {
    std::string description;
    size_t of_socket, of_peer;
    size_t taken;
  };
  const std::vector<Case> cases = {
      {"the cap of one peer", 100, 3, 3},
      {"the cap of the socket", 4, 100, 4},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    ControlServerOptions options;
    options.stream_limits.connections = c.of_socket;
    options.stream_limits.connections_per_peer = c.of_peer;
    Fixture fixture({ip_socket(ControlKind::tcp, "0.0.0.0")}, std::move(options));
    std::vector<Client> clients;
    for (size_t i = 0; i < 10; ++i)
      clients.push_back(Client::tcp(endpoint("127.0.0.1", fixture.port())));
    for (size_t i = c.taken; i < clients.size(); ++i) CHECK(fixture.wait_closed(clients[i]));
    CHECK(fixture.counters.connections_refused == 10 - c.taken);
    for (size_t i = 0; i < c.taken; ++i) {
      CHECK(clients[i].send("V\n"));
      CHECK(fixture.reply(clients[i]) == "20040107\n");
    }
    clients.clear();
    CHECK(fixture.wait([&] { return fixture.server->connections() == 0; }));
    Client later = Client::tcp(endpoint("127.0.0.1", fixture.port()));
    CHECK(later.send("V\n"));
    CHECK(fixture.reply(later) == "20040107\n");
  }
}

TEST_CASE("at a cap, a connection left unused gives way to a new one, a used one never") {
  struct Case {
    std::string description;
    size_t of_socket, of_peer;
  };
  const std::vector<Case> cases = {
      {"the cap of one peer", 100, 3},
      {"the cap of the socket", 3, 100},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    ControlServerOptions options;
    options.stream_limits.connections = c.of_socket;
    options.stream_limits.connections_per_peer = c.of_peer;
    Fixture fixture({ip_socket(ControlKind::tcp, "127.0.0.1")}, std::move(options));
    const Endpoint server = endpoint("127.0.0.1", fixture.port());
    Client used = Client::tcp(server);
    CHECK(used.send("V\n"));
    CHECK(fixture.reply(used) == "20040107\n");
    Client left = Client::tcp(server), left_too = Client::tcp(server);
    CHECK(fixture.wait([&] { return fixture.server->connections() == 3; }));

    Client too_early = Client::tcp(server);
    CHECK(fixture.wait_closed(too_early));
    fixture.clock.advance(std::chrono::seconds(30));
    Client newcomer = Client::tcp(server);
    CHECK(newcomer.send("V\n"));
    CHECK(fixture.reply(newcomer) == "20040107\n");
    CHECK(fixture.wait_closed(left));
    left_too.collect();
    CHECK_FALSE(left_too.closed());
    Client another = Client::tcp(server);
    CHECK(another.send("V\n"));
    CHECK(fixture.reply(another) == "20040107\n");
    CHECK(fixture.wait_closed(left_too));
    Client refused = Client::tcp(server);
    CHECK(fixture.wait_closed(refused));
    CHECK(used.send("V\n"));
    CHECK(fixture.reply(used) == "20040107\n");
    CHECK(fixture.counters.connections_displaced == 2);
    CHECK(fixture.counters.connections_refused == 2);
  }
}

TEST_CASE("a TCP command says where it came from, a unix one does not") {
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  Fixture fixture(
      {ip_socket(ControlKind::tcp, "::1"), unix_socket(ControlKind::unix_one_shot, path)});
  REQUIRE(fixture.error == "");
  Client tcp = Client::tcp(endpoint("::1", fixture.port()));
  CHECK(tcp.send("V\n"));
  CHECK(fixture.reply(tcp) == "20040107\n");
  CHECK(fixture.executor.origins.back().peer == to_endpoint(name_of(tcp.fd())));
  CHECK(fixture.executor.origins.back().local == endpoint("::1", fixture.port()));
  Client local = Client::unix_stream(path);
  CHECK(local.send("V"));
  CHECK(fixture.reply(local) == "20040107\n");
  CHECK_FALSE(fixture.executor.origins.back().peer);
}

}  // namespace relay
