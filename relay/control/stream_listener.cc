#include "relay/control/stream_listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "relay/base/log.h"
#include "relay/base/socket_options.h"

namespace relay {

namespace {

constexpr int kAcceptsPerWakeUp = 64;

// Line streams may idle for ever; the probes free the place of a host that vanished.
void prepare_tcp(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 120);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 30);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

}  // namespace

StreamListener::StreamListener(EventLoop& loop, Settings settings, CommandExecutor& executor,
                               ControlCounters& counters, const Clock& clock)
    : loop_(loop),
      settings_(std::move(settings)),
      executor_(executor),
      counters_(counters),
      clock_(clock),
      readable_(loop, settings_.socket.get(), FdReady::readable, [this] { on_readable(); }) {
  readable_.start();
}

void StreamListener::sweep(Instant now) {
  for (auto next = connections_.begin(); next != connections_.end();) {
    const auto connection = next++;
    connection->stream->sweep(now);
  }
  readable_.start();
}

void StreamListener::on_readable() {
  for (int accepted = 0; accepted < kAcceptsPerWakeUp; ++accepted) {
    if (!accept_one()) return;
  }
}

bool StreamListener::accept_one() {
  SocketAddress address;
  UniqueFd socket(::accept4(settings_.socket.get(), address.get(), &address.length,
                            SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket) {
    if (errno == EAGAIN) return false;
    if (errno == EINTR || errno == ECONNABORTED) return true;
    ++counters_.accept_errors;
    log_warning("control connection not accepted socket={} reason={}", quoted(settings_.text),
                std::strerror(errno));
    // Out of descriptors or memory: the connection stays queued and would wake us without end.
    readable_.stop();
    return false;
  }
  const Endpoint peer = to_endpoint(address);
  if (!admit(peer.address)) make_room(peer.address);
  if (!admit(peer.address)) {
    ++counters_.connections_refused;
    log_info("control connection refused socket={} peer={} open={}", quoted(settings_.text),
             peer.valid() ? peer.to_string() : "unix", connections_.size());
    return true;
  }
  take(std::move(socket), peer);
  return true;
}

bool StreamListener::admit(const IpAddress& peer) const {
  if (connections_.size() >= settings_.limits.connections) return false;
  const auto found = connections_of_peer_.find(peer);
  return !peer.valid() || found == connections_of_peer_.end() ||
         found->second < settings_.limits.connections_per_peer;
}

void StreamListener::make_room(const IpAddress& peer) {
  const bool any_peer = connections_.size() >= settings_.limits.connections;
  const Instant latest = clock_.now() - settings_.limits.command_deadline;
  for (auto oldest = connections_.begin(); oldest != connections_.end() && oldest->since <= latest;
       ++oldest) {
    if (oldest->stream->used() || (!any_peer && oldest->peer != peer)) continue;
    ++counters_.connections_displaced;
    remove(oldest);
    return;
  }
}

void StreamListener::take(UniqueFd socket, const Endpoint& peer) {
  ++counters_.connections_accepted;
  CommandStream::Settings stream;
  stream.input = stream.output = socket.get();
  stream.framing = settings_.framing;
  stream.limits = settings_.limits;
  if (peer.valid()) {
    prepare_tcp(socket.get());
    SocketAddress local;
    stream.origin.peer = peer;
    if (::getsockname(socket.get(), local.get(), &local.length) == 0)
      stream.origin.local = to_endpoint(local);
    ++connections_of_peer_[peer.address];
  }
  connections_.push_back(Connection{std::move(socket), peer.address, clock_.now(), nullptr});
  const auto connection = std::prev(connections_.end());
  stream.on_closed = [this, connection] { remove(connection); };
  connection->stream =
      std::make_unique<CommandStream>(loop_, std::move(stream), executor_, counters_, clock_);
  connection->stream->start();
}

void StreamListener::remove(Connections::iterator connection) {
  if (connection->peer.valid()) {
    const auto found = connections_of_peer_.find(connection->peer);
    if (--found->second == 0) connections_of_peer_.erase(found);
  }
  connections_.erase(connection);
}

}  // namespace relay
