#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "control_fixture.h"

namespace relay {

using namespace control_test;

namespace {

struct Pipe {
  UniqueFd read_end, write_end;

  Pipe() {
    int ends[2];
    RELAY_ASSERT(::pipe2(ends, O_CLOEXEC) == 0);
    read_end = UniqueFd(ends[0]);
    write_end = UniqueFd(ends[1]);
  }
  Client reader() {
    RELAY_ASSERT(::fcntl(read_end.get(), F_SETFL, O_NONBLOCK) == 0);
    return Client(std::move(read_end));
  }
};

ControlSocketConfig stdio_socket(bool drain_at_end_of_input) {
  ControlSocketConfig config;
  config.kind = ControlKind::stdio;
  config.text = drain_at_end_of_input ? "stdioc:" : "stdio:";
  config.drain_at_end_of_input = drain_at_end_of_input;
  return config;
}

ControlSocketConfig systemd_socket() {
  ControlSocketConfig config;
  config.kind = ControlKind::systemd;
  config.text = "systemd:";
  return config;
}

UniqueFd bound_unix_socket(const std::string& path, int type, bool listening) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  RELAY_ASSERT(::bind(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
  if (listening) RELAY_ASSERT(::listen(fd.get(), 1) == 0);
  return fd;
}

bool exists(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0;
}

}  // namespace

TEST_CASE("what is at the path of a unix socket is deleted only when nothing is lost") {
  struct Case {
    std::string description;
    std::function<UniqueFd(const std::string&)> prepare;
    std::string refusal;  // empty: taken
  };
  const auto file_with = [](const std::string& contents) {
    return [contents](const std::string& path) {
      std::ofstream(path) << contents;
      return UniqueFd();
    };
  };
  const std::vector<Case> cases = {
      {"nothing", [](const std::string&) { return UniqueFd(); }, ""},
      {"a socket nobody listens on",
       [](const std::string& path) {
         bound_unix_socket(path, SOCK_STREAM, true);
         return UniqueFd();
       },
       ""},
      {"an empty file, as mktemp leaves it", file_with(""), ""},
      {"a file with contents", file_with("precious"), "a file with contents"},
      {"a directory",
       [](const std::string& path) {
         RELAY_ASSERT(::mkdir(path.c_str(), 0700) == 0);
         return UniqueFd();
       },
       "a directory"},
      {"a symbolic link",
       [](const std::string& path) {
         RELAY_ASSERT(::symlink("/nonexistent", path.c_str()) == 0);
         return UniqueFd();
       },
       "a symbolic link"},
      {"a socket that is served",
       [](const std::string& path) { return bound_unix_socket(path, SOCK_STREAM, true); },
       "another process serves"},
      {"a datagram socket that is served",
       [](const std::string& path) { return bound_unix_socket(path, SOCK_DGRAM, false); },
       "another process serves"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    TemporaryDirectory directory;
    const std::string path = directory.file("control.sock");
    const UniqueFd holder = c.prepare(path);
    {
      Fixture fixture({unix_socket(ControlKind::unix_one_shot, path)});
      if (c.refusal.empty()) {
        REQUIRE(fixture.error == "");
        Client client = Client::unix_stream(path);
        CHECK(client.send("V"));
        CHECK(fixture.reply(client) == "20040107\n");
      } else {
        CHECK(fixture.error.find(c.refusal) != std::string::npos);
        CHECK(fixture.error.find("'unix:" + path + "'") != std::string::npos);
      }
    }
    CHECK(exists(path) == !c.refusal.empty());
  }
}

TEST_CASE("the socket file in place at the end is deleted only when it is ours") {
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  SUBCASE("somebody else's stays") {
    UniqueFd successor;
    {
      Fixture fixture({unix_socket(ControlKind::unix_stream, path)});
      REQUIRE(::unlink(path.c_str()) == 0);
      successor = bound_unix_socket(path, SOCK_STREAM, true);
    }
    CHECK(exists(path));
  }
  SUBCASE("ours stays for a successor with the descriptor, who serves it and deletes it") {
    ControlServerOptions options;
    {
      Fixture fixture({unix_socket(ControlKind::unix_stream, path)});
      for (const auto& [text, fd] : fixture.server->descriptors())
        options.adopted[text] = UniqueFd(::dup(fd));
      fixture.server->keep_socket_files();
    }
    CHECK(exists(path));
    Client client = Client::unix_stream(path);  // nobody has closed the socket in between
    {
      Fixture successor({unix_socket(ControlKind::unix_stream, path)}, std::move(options));
      REQUIRE(successor.error == "");
      CHECK(client.send("V\n"));
      CHECK(successor.reply(client) == "20040107\n");
    }
    CHECK_FALSE(exists(path));
  }
}

TEST_CASE("a relative socket path is deleted after the working directory has changed") {
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(std::filesystem::path(path).parent_path());
  {
    Fixture fixture({unix_socket(ControlKind::unix_one_shot, "control.sock")});
    CHECK(fixture.error == "");
    CHECK(exists(path));
    std::filesystem::current_path(before);
  }
  CHECK_FALSE(exists(path));
}

TEST_CASE("a unix path has at most 107 bytes") {
  TemporaryDirectory directory;
  const std::string prefix = directory.file("");
  const std::string longest = directory.file(std::string(107 - prefix.size(), 'p'));
  Fixture fits({unix_socket(ControlKind::unix_one_shot, longest)});
  CHECK(fits.error == "");
  Fixture too_long({unix_socket(ControlKind::unix_one_shot, longest + "p")});
  CHECK(too_long.error.find("108 bytes") != std::string::npos);
}

TEST_CASE("a unix socket gets the mode asked for") {
  struct Case {
    std::string description;
    std::optional<unsigned> mode;
    std::string group;
    mode_t expected;
  };
  const std::string own_group = std::to_string(::getegid());
  const std::vector<Case> cases = {
      {"a mode", 0660, "", 0660},
      {"a mode and a group", 0620, own_group, 0620},
      {"a group alone: rtpproxy's default", std::nullopt, own_group, 0755},
      {"neither: what the umask leaves", std::nullopt, "", 0750},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    TemporaryDirectory directory;
    const std::string path = directory.file("control.sock");
    StartupConfig config;
    config.control_sockets = {unix_socket(ControlKind::unix_one_shot, path)};
    config.unix_socket_mode = c.mode;
    config.group = c.group;
    const mode_t usual_mask = ::umask(027);
    const auto made = make_unix_listener(config.control_sockets[0], config);
    ::umask(usual_mask);
    REQUIRE(made);
    struct stat found {};
    REQUIRE(::lstat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == c.expected);
  }
}

TEST_CASE("an unknown user or group is named in the error") {
  TemporaryDirectory directory;
  const std::string path = directory.file("control.sock");
  StartupConfig config;
  config.control_sockets = {unix_socket(ControlKind::unix_one_shot, path)};
  config.group = "no-such-group";
  const auto made = make_unix_listener(config.control_sockets[0], config);
  REQUIRE_FALSE(made);
  CHECK(made.error().message.find("'no-such-group'") != std::string::npos);
  CHECK_FALSE(exists(path));
}

TEST_CASE("a datagram socket changes hands without losing what is queued") {
  ControlServerOptions options;
  Endpoint address = endpoint("127.0.0.1", 0);
  std::optional<Client> client;
  {
    Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")});
    address.port = fixture.port();
    const auto [text, fd] = fixture.server->descriptors().at(0);
    options.adopted[text] = UniqueFd(::dup(fd));
    client = Client::udp(address);
    CHECK(client->send("1_0 V"));
  }
  CHECK(client->send("1_1 V"));
  Fixture successor({ip_socket(ControlKind::udp, "127.0.0.1")}, std::move(options));
  REQUIRE(successor.error == "");
  CHECK(successor.port() == address.port);
  CHECK(successor.reply(*client) == "1_0 20040107\n");
  CHECK(successor.reply(*client) == "1_1 20040107\n");
}

TEST_CASE("an inherited descriptor of the wrong kind is refused") {
  ControlServerOptions options;
  options.adopted["udp:127.0.0.1:0"] = std::move(Pipe().read_end);
  Fixture fixture({ip_socket(ControlKind::udp, "127.0.0.1")}, std::move(options));
  CHECK(fixture.error.find("'udp:127.0.0.1:0'") != std::string::npos);
}

TEST_CASE("systemd hands over one listening socket") {
  struct Case {
    std::string description;
    const char* listen_fds;
    bool listening;
    std::string refusal;
  };
  const std::vector<Case> cases = {
      {"one listening socket", "1", true, ""},
      {"none", nullptr, true, "LISTEN_FDS is not set"},
      {"two", "2", true, "LISTEN_FDS is \"2\""},
      {"a socket that does not listen", "1", false, "not a listening stream socket"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    TemporaryDirectory directory;
    const std::string path = directory.file("control.sock");
    UniqueFd inherited = bound_unix_socket(path, SOCK_STREAM, c.listening);
    ControlServerOptions options;
    options.systemd_descriptor = inherited.get();
    if (c.listen_fds != nullptr) {
      ::setenv("LISTEN_FDS", c.listen_fds, 1);
    } else {
      ::unsetenv("LISTEN_FDS");
    }
    Fixture fixture({systemd_socket()}, std::move(options));
    ::unsetenv("LISTEN_FDS");
    if (!c.refusal.empty()) {
      CHECK(fixture.error.find("'systemd:'") != std::string::npos);
      CHECK(fixture.error.find(c.refusal) != std::string::npos);
      continue;
    }
    REQUIRE(fixture.error == "");
    inherited.release();
    Client client = Client::unix_stream(path);
    CHECK(client.send("V\nV\n"));
    CHECK(fixture.wait_received(client, 18));
    CHECK(client.received() == "20040107\n20040107\n");
    fixture.server.reset();
    CHECK(exists(path));
  }
}

TEST_CASE("the end of standard input drains the daemon unless a datagram socket is left") {
  struct Case {
    std::string description;
    bool drain_at_end_of_input;
    std::optional<ControlKind> beside;
    bool drains;
  };
  const std::vector<Case> cases = {
      {"stdio: alone", false, std::nullopt, true},
      {"stdio: beside a socket that accepts", false, ControlKind::tcp, true},
      {"stdio: beside a datagram socket", false, ControlKind::udp, false},
      {"stdioc: beside a datagram socket", true, ControlKind::udp, true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Pipe input, output;
    ControlServerOptions options;
    options.standard_input = input.read_end.get();
    options.standard_output = output.write_end.get();
    std::vector<ControlSocketConfig> sockets = {stdio_socket(c.drain_at_end_of_input)};
    if (c.beside) sockets.push_back(ip_socket(*c.beside, "127.0.0.1"));
    Fixture fixture(sockets, std::move(options));
    REQUIRE(fixture.error == "");
    Client replies = output.reader();
    Client commands{std::move(input.write_end)};
    CHECK(commands.send("V\necho 2\nec"));
    CHECK(fixture.reply(replies) == "20040107\n2\n");
    CHECK(fixture.ends_of_input == 0);
    { const Client gone = std::move(commands); }
    if (c.drains) {
      CHECK(fixture.wait([&] { return fixture.ends_of_input == 1; }));
    } else {
      Client client = Client::udp(endpoint("127.0.0.1", fixture.port()));
      for (const std::string cookie : {"a", "b", "c"}) {
        CHECK(client.send(cookie + " V"));
        CHECK(fixture.reply(client) == cookie + " 20040107\n");
      }
      CHECK(fixture.ends_of_input == 0);
    }
    CHECK(fixture.executor.commands.at(1) == "echo 2");
    fixture.server.reset();
    CHECK((::fcntl(output.write_end.get(), F_GETFL) & O_NONBLOCK) == 0);
    CHECK((::fcntl(input.read_end.get(), F_GETFL) & O_NONBLOCK) == 0);
  }
}

TEST_CASE("commands come from a file, replies go to a file") {
  TemporaryDirectory directory;
  const std::string commands = directory.file("commands"), replies = directory.file("replies");
  std::string expected;
  {
    std::ofstream out(commands);
    for (int i = 0; i < 20'000; ++i) {
      out << "echo " << i << "\n";
      expected += std::to_string(i) + "\n";
    }
  }
  const UniqueFd input(::open(commands.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd output(::open(replies.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ControlServerOptions options;
  options.standard_input = input.get();
  options.standard_output = output.get();
  Fixture fixture({stdio_socket(false)}, std::move(options));
  CHECK(fixture.wait([&] { return fixture.ends_of_input == 1; }));
  std::ifstream in(replies);
  CHECK(std::string(std::istreambuf_iterator<char>(in), {}) == expected);
}

TEST_CASE("a configuration that cannot be served is refused") {
  CHECK(Fixture({}).error.find("-s") != std::string::npos);
  StartupConfig background;
  background.control_sockets = {stdio_socket(false)};
  ScriptedExecutor executor;
  ControlCounters counters;
  auto loop = std::move(*EventLoop::create());
  const auto made = ControlServer::create(*loop, background, executor, counters, [] {});
  REQUIRE_FALSE(made);
  CHECK(made.error().message.find("'stdio:'") != std::string::npos);
  CHECK(made.error().message.find("-f") != std::string::npos);
}

}  // namespace relay
