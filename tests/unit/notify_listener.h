// Those who are told of time-outs, as real sockets on the test's loop.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/control_fixture.h"

namespace relay::control_test {

inline SocketAddress unix_address(const std::string& path) {
  SocketAddress address;
  auto* name = reinterpret_cast<sockaddr_un*>(&address.storage);
  name->sun_family = AF_UNIX;
  path.copy(name->sun_path, sizeof name->sun_path - 1);
  address.length = sizeof *name;
  return address;
}

// A stream listener that does as a test says with each connection.
class StreamPeer {
 public:
  enum class Manner {
    reads_to_the_end,      // closes when we have
    closes_after_reading,  // OpenSIPS 3.2 to 3.6.6: one read, then closed
    closes_at_once,        // without reading
    closes_unread,         // as soon as there is something to read
    answers,               // Sippy: `OK` to each read
    stays_open,            // reads, and never closes its side
    replies,               // HTTP: `reply` to a request with its whole body, then closes
  };

  StreamPeer(EventLoop& loop, const SocketAddress& at, Manner first) : manner(first), loop_(loop) {
    const int family = at.storage.ss_family;
    fd_ = UniqueFd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    RELAY_ASSERT(::bind(fd_.get(), at.get(), at.length) == 0);
    RELAY_ASSERT(::listen(fd_.get(), 16) == 0);
    acceptable_ =
        std::make_unique<FdEvent>(loop, fd_.get(), FdReady::readable, [this] { accept(); });
    acceptable_->start();
  }

  Endpoint where() const { return to_endpoint(name_of(fd_.get())); }
  // What each connection brought, in the order they were accepted.
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const Connection& connection : connections_) all.push_back(connection.text);
    return all;
  }
  std::string all_text() const {
    std::string all;
    for (const Connection& connection : connections_) all += connection.text;
    return all;
  }
  size_t connections() const { return connections_.size(); }
  Endpoint last_client() const { return connections_.back().client; }

  Manner manner;
  std::string reply;
  // What a connection may not bring: it is closed unread.
  std::string poison;

 private:
  struct Connection {
    UniqueFd fd;
    Endpoint client;
    std::string text;
    std::unique_ptr<FdEvent> readable;
  };

  void accept() {
    SocketAddress client;
    UniqueFd fd(::accept4(fd_.get(), client.get(), &client.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) return;
    Connection& connection = connections_.emplace_back();
    connection.fd = std::move(fd);
    connection.client = to_endpoint(client);
    if (manner == Manner::closes_at_once) return hang_up(connection);
    connection.readable = std::make_unique<FdEvent>(loop_, connection.fd.get(), FdReady::readable,
                                                    [this, &connection] { read(connection); });
    connection.readable->start();
  }

  void read(Connection& connection) {
    if (manner == Manner::closes_unread) return hang_up(connection);
    char bytes[4096];
    const ssize_t there = ::recv(connection.fd.get(), bytes, sizeof bytes, MSG_PEEK);
    const std::string_view seen(bytes, there > 0 ? static_cast<size_t>(there) : 0);
    if (!poison.empty() && seen.find(poison) != seen.npos) return hang_up(connection);
    const ssize_t got = ::read(connection.fd.get(), bytes, sizeof bytes);
    if (got > 0) connection.text.append(bytes, static_cast<size_t>(got));
    if (got <= 0 && manner == Manner::stays_open) return connection.readable->stop();
    if (got <= 0 || manner == Manner::closes_after_reading) return hang_up(connection);
    if (manner == Manner::answers) (void)!::write(connection.fd.get(), "OK\n", 3);
    if (manner == Manner::replies && connection.text.ends_with("}")) {
      (void)!::write(connection.fd.get(), reply.data(), reply.size());
      hang_up(connection);
    }
  }

  static void hang_up(Connection& connection) {
    connection.readable.reset();
    connection.fd.reset();
  }

  EventLoop& loop_;
  UniqueFd fd_;
  std::unique_ptr<FdEvent> acceptable_;
  std::list<Connection> connections_;
};

// A UNIX datagram socket that answers each request with `reply`, or not at all when that is empty.
class DatagramPeer {
 public:
  DatagramPeer(EventLoop& loop, const std::string& path, std::string reply_text)
      : reply(std::move(reply_text)) {
    fd_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const SocketAddress at = unix_address(path);
    RELAY_ASSERT(::bind(fd_.get(), at.get(), at.length) == 0);
    readable_ = std::make_unique<FdEvent>(loop, fd_.get(), FdReady::readable, [this] { answer(); });
    readable_->start();
  }

  std::string reply;
  std::vector<std::string> requests;

 private:
  void answer() {
    char bytes[4096];
    SocketAddress client;
    const ssize_t got = ::recvfrom(fd_.get(), bytes, sizeof bytes, 0, client.get(), &client.length);
    if (got < 0) return;
    requests.emplace_back(bytes, static_cast<size_t>(got));
    if (!reply.empty()) {
      ::sendto(fd_.get(), reply.data(), reply.size(), 0, client.get(), client.length);
    }
  }

  UniqueFd fd_;
  std::unique_ptr<FdEvent> readable_;
};

}  // namespace relay::control_test
