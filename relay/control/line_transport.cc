#include "relay/control/line_transport.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "relay/base/assert.h"
#include "relay/base/socket_options.h"

namespace relay {
namespace {

using Kind = DeliveryOutcome::Kind;

constexpr int kReadsPerWakeUp = 16;
constexpr Duration kAcknowledgementCheck = std::chrono::milliseconds(20);

SocketAddress address_of(const LineTarget& target) {
  if (target.endpoint.valid()) return to_socket_address(target.endpoint);
  SocketAddress address;
  auto* name = reinterpret_cast<sockaddr_un*>(&address.storage);
  name->sun_family = AF_UNIX;
  target.path.copy(name->sun_path, sizeof name->sun_path - 1);
  address.length = sizeof *name;
  return address;
}

bool peer_has_ended(int fd) {
  char byte = 0;
  return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

// Bytes the peer's kernel has not acknowledged yet (tcp(7)).
bool acknowledged(int fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) != 0 || bytes == 0;
}

}  // namespace

LineTransport::LineTransport(EventLoop& loop, LineTarget target, const TransportTimeouts& timeouts)
    : loop_(loop),
      target_(std::move(target)),
      timeouts_(timeouts),
      timer_(loop, [this] { on_timer(); }),
      report_(loop, [this] { std::exchange(done_, nullptr)(std::move(outcome_)); }) {}

void LineTransport::send(std::string bytes, Done done) {
  RELAY_ASSERT(stage_ == Stage::idle && done_ == nullptr);
  bytes_ = std::move(bytes);
  done_ = std::move(done);
  written_ = 0;
  peer_ended_ = false;
  if (!open()) finish(Kind::not_sent, std::string("cannot connect: ") + std::strerror(errno));
}

// False: see errno.
bool LineTransport::open() {
  const SocketAddress peer = address_of(target_);
  fd_ = UniqueFd(::socket(peer.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) return false;
  if (target_.source.valid()) {
    // Should the address have gone, any other may still do.
    const SocketAddress source = to_socket_address({target_.source, 0});
    (void)::bind(fd_.get(), source.get(), source.length);
  }
  if (::connect(fd_.get(), peer.get(), peer.length) != 0 && errno != EINPROGRESS) return false;
  stage_ = Stage::connecting;
  readable_ =
      std::make_unique<FdEvent>(loop_, fd_.get(), FdReady::readable, [this] { on_readable(); });
  writable_ =
      std::make_unique<FdEvent>(loop_, fd_.get(), FdReady::writable, [this] { on_writable(); });
  timer_.start_once(timeouts_.connect);
  return writable_->start();
}

void LineTransport::on_writable() {
  if (stage_ == Stage::connecting) {
    if (const int error = take_error(fd_.get()); error != 0) {
      return finish(Kind::not_sent, std::string("cannot connect: ") + std::strerror(error));
    }
    if (peer_has_ended(fd_.get())) return finish(Kind::not_sent, "closed by the peer at once");
    stage_ = Stage::writing;
    timer_.start_once(timeouts_.write);
  }
  write_on();
}

void LineTransport::write_on() {
  while (written_ < bytes_.size()) {
    const ssize_t sent =
        ::send(fd_.get(), bytes_.data() + written_, bytes_.size() - written_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) {
      return finish(written_ == 0 ? Kind::not_sent : Kind::in_doubt,
                    std::string("cannot write: ") + std::strerror(errno));
    }
    written_ += static_cast<size_t>(sent);
  }
  ::shutdown(fd_.get(), SHUT_WR);
  stage_ = Stage::closing;
  close_by_ = steady_now() + timeouts_.close;
  timer_.start_once(timeouts_.close);
  writable_.reset();
  readable_->start();
}

// Sippy answers `OK`; nobody here wants to know, but unread bytes would make our close a reset.
void LineTransport::on_readable() {
  char discarded[1024];
  for (int reads = 0; reads < kReadsPerWakeUp; ++reads) {
    const ssize_t got = ::recv(fd_.get(), discarded, sizeof discarded, 0);
    if (got > 0 || (got < 0 && errno == EINTR)) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) {
      return finish(Kind::in_doubt, std::string("closed unread: ") + std::strerror(errno));
    }
    peer_ended_ = true;
    readable_.reset();
    if (!wait_for_acknowledgement()) finish(Kind::delivered);
    return;
  }
}

// The peer ended its side. Bytes that are still on their way may find its socket closed, which
// only a reset will tell. A UNIX socket tells at once.
bool LineTransport::wait_for_acknowledgement() {
  if (const int error = take_error(fd_.get()); error != 0) {
    finish(Kind::in_doubt, std::string("closed unread: ") + std::strerror(error));
    return true;
  }
  if (!target_.endpoint.valid() || acknowledged(fd_.get())) return false;
  timer_.start_once(kAcknowledgementCheck);
  return true;
}

void LineTransport::on_timer() {
  switch (stage_) {
    case Stage::idle:
      return;
    case Stage::connecting:
      return finish(Kind::not_sent, "no connection in time");
    case Stage::writing:
      return finish(written_ == 0 ? Kind::not_sent : Kind::in_doubt, "not read in time");
    case Stage::closing:
      break;
  }
  if (peer_ended_ && steady_now() < close_by_) {
    if (!wait_for_acknowledgement()) finish(Kind::delivered);
    return;
  }
  // A peer that leaves its side open has the bytes all the same, if its kernel has.
  if (!target_.endpoint.valid() || acknowledged(fd_.get())) return finish(Kind::delivered);
  finish(Kind::in_doubt, "not acknowledged in time");
}

void LineTransport::finish(Kind kind, std::string reason) {
  stage_ = Stage::idle;
  timer_.stop();
  readable_.reset();
  writable_.reset();
  fd_.reset();
  outcome_ = {kind, std::move(reason)};
  report_.start_once(Duration::zero());
}

}  // namespace relay
