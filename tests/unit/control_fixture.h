// What the tests of the control sockets share: a loop driven by hand, an executor that answers by
// rule and remembers, a clock moved by hand, and clients that never block.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "relay/base/assert.h"
#include "relay/control/control_server.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temporary_directory.h"

namespace relay::control_test {

// "" is E5; "V" the version; "empty" a lone line end; "echo X" is X; "long N" is N bytes and a line
// end; others E0.
class ScriptedExecutor final : public CommandExecutor {
 public:
  std::string execute(std::string_view command, const CommandOrigin& origin) override {
    commands.emplace_back(command);
    if (on_event) on_event(command);
    origins.push_back(origin);
    if (command.empty() || command.find('\0') != command.npos) return "E5\n";
    if (command == "V") return "20040107\n";
    if (command == "empty") return "\n";
    if (command.starts_with("echo ")) return std::string(command.substr(5)) + "\n";
    if (command.starts_with("long "))
      return std::string(std::stoul(std::string(command.substr(5))), 'x') + "\n";
    return "E0\n";
  }
  void begin_burst() override {
    if (!std::exchange(in_burst, true) && on_event) on_event("(");
  }
  void end_burst() override {
    if (std::exchange(in_burst, false) && on_event) on_event(")");
  }
  void count_duplicate() override { ++duplicates; }

  bool in_burst = false;
  std::function<void(std::string_view)> on_event;  // a command, or `(` and `)` around a burst

  std::vector<std::string> commands;
  std::vector<CommandOrigin> origins;
  size_t duplicates = 0;
};

// Handles events until `done`. False after 20 s, which no healthy run comes near.
inline bool run_until(EventLoop& loop, const std::function<bool()>& done) {
  bool too_late = false;
  Timer guard(loop, [&] { too_late = true; });
  guard.start_once(std::chrono::seconds(20));
  Timer tick(loop, [] {});  // what `done` looks at may change without an event of the loop
  tick.start_repeating(std::chrono::milliseconds(1));
  while (!done()) {
    if (too_late) return false;
    loop.run_once();
  }
  return true;
}

inline SocketAddress name_of(int fd) {
  SocketAddress address;
  RELAY_ASSERT(::getsockname(fd, address.get(), &address.length) == 0);
  return address;
}

inline Endpoint endpoint(const std::string& address, uint16_t port) {
  return Endpoint{*IpAddress::parse(address), port};
}

// A client socket of any kind, non-blocking.
class Client {
 public:
  explicit Client(UniqueFd fd) : fd_(std::move(fd)) {}

  static Client udp(const Endpoint& to, const std::string& from = "") {
    const int family = to.address.is_ipv6() ? AF_INET6 : AF_INET;
    UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!from.empty()) {
      const SocketAddress own = to_socket_address(endpoint(from, 0));
      RELAY_ASSERT(::bind(fd.get(), own.get(), own.length) == 0);
    }
    return connected(std::move(fd), to_socket_address(to));
  }
  static Client tcp(const Endpoint& to) {
    UniqueFd fd(::socket(to.address.is_ipv6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return connected(std::move(fd), to_socket_address(to));
  }
  static Client unix_stream(const std::string& path) {
    SocketAddress address;
    auto* name = reinterpret_cast<sockaddr_un*>(&address.storage);
    name->sun_family = AF_UNIX;
    path.copy(name->sun_path, sizeof name->sun_path - 1);
    address.length = sizeof *name;
    return connected(UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), address);
  }

  // False when the socket did not take all of it.
  bool send(std::string_view bytes) {
    const ssize_t sent = ::write(fd_.get(), bytes.data(), bytes.size());
    return sent == static_cast<ssize_t>(bytes.size());
  }
  // Everything one read(2) has to offer now; nothing when there is nothing.
  std::optional<std::string> receive() {
    std::string bytes(70'000, '\0');
    const ssize_t got = ::read(fd_.get(), bytes.data(), bytes.size());
    if (got < 0) {
      if (errno != EAGAIN) closed_ = true;
      return std::nullopt;
    }
    if (got == 0) closed_ = true;
    bytes.resize(static_cast<size_t>(got));
    return bytes;
  }
  // Appends what has come to received().
  void collect() {
    while (!closed_) {
      const auto bytes = receive();
      if (!bytes) return;
      received_ += *bytes;
    }
  }
  const std::string& received() const { return received_; }
  bool closed() const { return closed_; }
  void end_of_output() { ::shutdown(fd_.get(), SHUT_WR); }
  int fd() const { return fd_.get(); }

 private:
  static Client connected(UniqueFd fd, const SocketAddress& to) {
    RELAY_ASSERT(::connect(fd.get(), to.get(), to.length) == 0);
    RELAY_ASSERT(::fcntl(fd.get(), F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    return Client(std::move(fd));
  }

  UniqueFd fd_;
  std::string received_;
  bool closed_ = false;
};

inline ControlSocketConfig ip_socket(ControlKind kind, const std::string& address) {
  ControlSocketConfig config;
  config.kind = kind;
  config.text = (kind == ControlKind::udp ? "udp:" : "tcp:") + address + ":0";
  config.endpoint = endpoint(address, 0);
  return config;
}

inline ControlSocketConfig unix_socket(ControlKind kind, const std::string& path) {
  ControlSocketConfig config;
  config.kind = kind;
  config.text = (kind == ControlKind::unix_one_shot ? "unix:" : "cunix:") + path;
  config.path = path;
  return config;
}

struct Fixture {
  explicit Fixture(std::vector<ControlSocketConfig> sockets, ControlServerOptions options = {}) {
    config.control_sockets = std::move(sockets);
    config.foreground = true;
    options.clock = &clock;
    auto made = ControlServer::create(
        *loop, config, executor, counters, [this] { ++ends_of_input; }, std::move(options));
    if (made) {
      server = std::move(*made);
    } else {
      error = made.error().message;
    }
  }

  // Port of the n-th socket as descriptors() lists them.
  uint16_t port(size_t n = 0) {
    return to_endpoint(name_of(server->descriptors().at(n).second)).port;
  }
  // The next datagram or read at the client, "(nothing)" when none comes.
  std::string reply(Client& client) {
    std::optional<std::string> got;
    run_until(*loop, [&] { return (got = client.receive()).has_value() || client.closed(); });
    return got.value_or("(nothing)");
  }
  bool wait(const std::function<bool()>& done) { return run_until(*loop, done); }
  bool wait_closed(Client& client) {
    return wait([&] {
      client.collect();
      return client.closed();
    });
  }
  bool wait_received(Client& client, size_t bytes) {
    return wait([&] {
      client.collect();
      return client.received().size() >= bytes || client.closed();
    });
  }

  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  ManualClock clock;
  ScriptedExecutor executor;
  ControlCounters counters;
  StartupConfig config;
  int ends_of_input = 0;
  std::string error;
  std::unique_ptr<ControlServer> server;
};

}  // namespace relay::control_test
