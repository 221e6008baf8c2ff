#include "relay/acct/hep_collector.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "relay/base/socket_options.h"

namespace relay {
namespace {

// Unacknowledged data for this long: the collector is gone (RFC 5482).
constexpr unsigned kUserTimeoutMs = 15'000;

bool would_block(int error_number) {
  return error_number == EAGAIN || error_number == EWOULDBLOCK || error_number == EINTR;
}

short ready(int fd, short events) {
  pollfd entry{fd, events, 0};
  return ::poll(&entry, 1, 0) > 0 ? entry.revents : short{0};
}

}  // namespace

bool HepCollector::send(std::string packet, Instant now) {
  if (settings_.tcp) {
    if (unsent_bytes_ + packet.size() > kWaitingBytesMax) return false;
    unsent_bytes_ += packet.size();
    unsent_.push_back(std::move(packet));
    return true;
  }
  if (!connected_ && !connect(now)) return false;
  // The first error may be of a datagram before: a port that was closed is told behind (ICMP).
  for (int i = 0; i < 2; ++i) {
    if (::send(fd_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
      return true;
    }
    if (errno != ECONNREFUSED) break;
  }
  const int error_number = errno;
  failures_.warning("HEP collector {}: {}", settings_.endpoint.to_string(),
                    std::strerror(error_number));
  return false;
}

bool HepCollector::connect(Instant now) {
  if (now < retry_at_) return false;
  const int type = settings_.tcp ? SOCK_STREAM : SOCK_DGRAM;
  const int family = settings_.endpoint.address.is_ipv6() ? AF_INET6 : AF_INET;
  fd_ = UniqueFd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const SocketAddress address = to_socket_address(settings_.endpoint);
  if (!fd_) {
    failed(now, errno);
    return false;
  }
  if (settings_.tcp) set_option(fd_.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  if (::connect(fd_.get(), address.get(), address.length) == 0) {
    connected_ = true;
    return true;
  }
  if (errno != EINPROGRESS) failed(now, errno);
  return false;
}

void HepCollector::failed(Instant now, int error_number) {
  failures_.warning("HEP collector {}: {}, next try in {} s", settings_.endpoint.to_string(),
                    std::strerror(error_number),
                    std::chrono::duration_cast<std::chrono::seconds>(retry_after_).count());
  fd_.reset();
  connected_ = false;
  first_sent_bytes_ = 0;
  retry_at_ = now + retry_after_;
  retry_after_ = std::min(retry_after_ * 2, kRetryAtMost);
}

void HepCollector::advance(Instant now) {
  if (!settings_.tcp) return;
  if (!fd_) connect(now);
  if (fd_ && !connected_) check_connected(now);
  if (connected_) discard_answers(now);
  if (connected_) write_waiting(now);
}

void HepCollector::check_connected(Instant now) {
  if (ready(fd_.get(), POLLOUT) == 0) return;
  if (const int error_number = take_error(fd_.get()); error_number != 0) {
    return failed(now, error_number);
  }
  connected_ = true;
}

// Collectors say nothing, but they hang up.
void HepCollector::discard_answers(Instant now) {
  std::array<char, 512> answer;
  const ssize_t n = ::recv(fd_.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  if (n < 0 && !would_block(errno)) failed(now, errno);
  if (n == 0) failed(now, ECONNRESET);
}

void HepCollector::write_waiting(Instant now) {
  while (!unsent_.empty()) {
    const std::string& first = unsent_.front();
    const ssize_t n = ::send(fd_.get(), first.data() + first_sent_bytes_,
                             first.size() - first_sent_bytes_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
      if (!would_block(errno)) failed(now, errno);
      return;
    }
    retry_after_ = kRetryFirst;
    first_sent_bytes_ += static_cast<size_t>(n);
    if (first_sent_bytes_ < first.size()) return;
    unsent_bytes_ -= first.size();
    unsent_.pop_front();
    first_sent_bytes_ = 0;
  }
}

}  // namespace relay
