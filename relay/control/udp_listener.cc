#include "relay/control/udp_listener.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "ctlproto/parse.h"
#include "relay/base/log.h"

namespace relay {

namespace {

// Other sockets get their turn after this many.
constexpr size_t kDatagramsPerWakeUp = 64;
// A slow command must not keep the replies to those before it.
constexpr Duration kReplyWaitsAtMost = std::chrono::milliseconds(1);
// Largest UDP payloads (RFC 768, RFC 791, RFC 8200): 65535 less the headers the length counts.
constexpr size_t kPayloadMaxIpv4 = 65'507;
constexpr size_t kPayloadMaxIpv6 = 65'527;
// What rtpproxy answers when a reply would not fit.
constexpr std::string_view kReplyTooLong = "E25\n";

// Two relays (or one and itself) whose addresses a stranger writes into one datagram would answer
// each other's answers for ever. Every such chain comes to an error reply, and no client's command
// starts like one.
bool is_error_reply(std::string_view command) {
  while (!command.empty() && std::string_view(" \t\r\n").find(command.back()) != command.npos)
    command.remove_suffix(1);
  return command.size() > 1 && command[0] == 'E' &&
         command.find_first_not_of("0123456789", 1) == command.npos;
}

// Commands about one call, which take some microseconds. Others may list all calls or read a file.
bool is_brief(std::string_view command) {
  return !command.empty() && std::string_view("ULDQVuldqv").find(command[0]) != command.npos;
}

uint32_t scope_of(const SocketAddress& address) {
  if (address.storage.ss_family != AF_INET6) return 0;
  return reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_scope_id;
}

Endpoint bound_to(int socket) {
  SocketAddress bound;
  if (::getsockname(socket, bound.get(), &bound.length) != 0) return {};
  return to_endpoint(bound);
}

}  // namespace

UdpListener::UdpListener(EventLoop& loop, Settings settings, CommandExecutor& executor,
                         ReplyCache& cache, ControlCounters& counters, const Clock& clock)
    : settings_(std::move(settings)),
      executor_(executor),
      cache_(cache),
      counters_(counters),
      clock_(clock),
      bound_(bound_to(settings_.socket.get())),
      reader_(bound_),
      readable_(loop, settings_.socket.get(), FdReady::readable, [this] { on_readable(); }) {
  readable_.start();
}

void UdpListener::on_readable() {
  for (size_t left = kDatagramsPerWakeUp; left > 0;) {
    const auto burst = reader_.read(settings_.socket.get(), left);
    if (burst.empty()) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return;
      ++counters_.receive_errors;
      log_warning("control datagram not received socket={} reason={}", quoted(settings_.text),
                  std::strerror(errno));
      return;
    }
    left -= burst.size();
    counters_.datagrams_received += burst.size();
    counters_.datagrams_lost += reader_.take_lost();
    answer(burst);
  }
}

// The workers are woken once for all commands of a burst and the client once for all replies: a
// quarter less CPU a command where sixteen are under way (bench/README.md).
void UdpListener::answer(std::span<const ControlDatagram> burst) {
  Instant now = clock_.now(), began = now;
  for (const ControlDatagram& datagram : burst) {
    if (replies_.empty()) {
      executor_.begin_burst();
      began = now;
    }
    answer(datagram, now);
    now = clock_.now();
    if (now - began >= kReplyWaitsAtMost || replies_.full()) send_replies();
  }
  send_replies();
}

void UdpListener::answer(const ControlDatagram& datagram, Instant now) {
  if (datagram.truncated) ++counters_.datagrams_truncated;
  const auto [cookie, command] = ctlproto::split_cookie(datagram.text);
  if (is_error_reply(command)) {
    ++counters_.datagrams_reflected;
    return;
  }
  const ReplyPath& path = datagram.path;
  const CommandOrigin origin{to_endpoint(path.peer), path.local};
  if (cookie.empty()) return replies_.add(path, executor_.execute({}, origin));
  const ReplyCacheKey key{settings_.index, *origin.peer, scope_of(path.peer), cookie, command};
  if (const auto stored = cache_.find(key, now)) {
    ++counters_.reply_cache_hits;
    executor_.count_duplicate();
    return replies_.add(path, *stored);
  }
  if (!is_brief(command)) send_replies();
  const std::string reply = executor_.execute(command, origin);
  framed_ = cookie;
  framed_ += ' ';
  const size_t room = (bound_.address.is_ipv6() ? kPayloadMaxIpv6 : kPayloadMaxIpv4);
  if (framed_.size() + reply.size() <= room) {
    framed_ += reply;
  } else {
    ++counters_.replies_too_long;
    framed_ += kReplyTooLong;
  }
  replies_.add(path, framed_);
  counters_.reply_cache_evictions += cache_.insert(key, framed_, now);
}

// What a command has asked of other threads leaves before its reply.
void UdpListener::send_replies() {
  executor_.end_burst();
  if (!replies_.empty()) {
    counters_.replies_dropped += replies_.send(settings_.socket.get(), settings_.text);
  }
}

}  // namespace relay
