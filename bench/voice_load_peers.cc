// The far ends of AI voice calls, for measuring: callers that send RTP, and an endpoint of Twilio's
// protocol that says 20 ms now and then, with nothing else queued. Every packet bears its time of
// sending, in µ-law codes that survive decoding and encoding, so delays are measured from outside.
//
//   voice_load_peers WS_PORT FIRST_PHONE_PORT SECONDS < the relay's port for each caller, by line
//
// A caller has every fourth port from the first on; two above it a callee takes in and reads
// nothing. Prints "listening"; "measuring" once every caller has heard the endpoint; SECONDS later
// JSON. Then it waits for a signal.
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bench/program.h"
#include "relay/base/unique_fd.h"
#include "relay/voice/base64.h"
#include "relay/voice/upgrade.h"

namespace {

using relay::Octets;
using relay::stop;
using relay::UniqueFd;

constexpr int64_t kMillisecond = 1'000'000, kSecond = 1'000'000'000;
constexpr int64_t kPacketInterval = 20 * kMillisecond;
// Not a multiple of 20 ms: answers come at all moments of the relay's tick.
constexpr int64_t kAnswerInterval = 397 * kMillisecond;
constexpr int64_t kPace = kMillisecond;
// What is under way on a busy machine may take its time; what is not left out comes.
constexpr int64_t kDrainMin = 300 * kMillisecond, kDrainMax = 3 * kSecond;
constexpr int64_t kPatience = 20 * kSecond;
constexpr size_t kFrameOctets = 160, kHeaderOctets = 12;
constexpr size_t kStampedOctets = 18, kStampedBase64 = 24;
// At the end of the 20 ms: concealment of what came before fades into its beginning, so that a
// stamp there was unreadable though the frame had come (22 of 49,999 at a load of 4, as many as
// were concealed). Whole groups of base64.
constexpr size_t kStampAt = 141, kStampAtBase64 = kStampAt / 3 * 4;

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

// Two octets to know it by, and the time in 16 of 16 loud codes.
void stamp(uint8_t* out) {
  const auto now = static_cast<uint64_t>(now_ns());
  out[0] = 0x2A;
  out[1] = 0x25;
  for (size_t i = 0; i < 16; ++i) out[2 + i] = static_cast<uint8_t>(0x10 | (now >> (4 * i) & 15));
}

std::optional<int64_t> stamp_in(Octets octets) {
  if (octets.size() < kStampedOctets || octets[0] != 0x2A || octets[1] != 0x25) return {};
  uint64_t at = 0;
  for (size_t i = 0; i < 16; ++i) {
    if (octets[2 + i] >> 4 != 1) return {};
    at |= uint64_t{octets[2 + i] & 15U} << (4 * i);
  }
  return static_cast<int64_t>(at);
}

// What was sent within the window and what of it came; of one thread each way.
struct Figures {
  std::atomic<uint64_t> sent{0}, heard{0};
  uint64_t strange = 0;  // frames without a stamp: noise, concealment
  std::vector<int64_t> delays_ns;

  void hear(int64_t delay_ns) {
    delays_ns.push_back(delay_ns);
    ++heard;
  }
};

// The window: from `from` to `until` by time of sending; zero: not begun.
struct Window {
  std::atomic<int64_t> from{0}, until{0};
  bool has(int64_t at) const { return from != 0 && at >= from && at < until; }
};

struct Shared {
  Window window;
  Figures up, down;
  std::atomic<size_t> dialogues{0}, answered{0};
  std::atomic<uint64_t> closed{0}, gaps{0}, other_ssrcs{0};
  std::atomic<bool> over{false};
};

sockaddr_in local(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

UniqueFd bound(uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in own = local(port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) {
    stop(fmt::format("cannot use port {}", port));
  }
  return fd;
}

void watch(int epoll, int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) stop("epoll_ctl failed");
}

// Calls `ready(tag)` for what can be read and `paced(now)` once a millisecond, until it is over.
template <typename Ready, typename Paced>
void loop(int epoll, const Shared& shared, Ready&& ready, Paced&& paced) {
  std::array<epoll_event, 64> events;
  int64_t due = now_ns();
  while (!shared.over) {
    const int64_t wait = std::clamp<int64_t>(due - now_ns(), 0, kPace);
    const timespec timeout{0, wait};
    const int count = ::epoll_pwait2(epoll, events.data(), events.size(), &timeout, nullptr);
    for (int i = 0; i < count; ++i) ready(events[static_cast<size_t>(i)].data.u64);
    const int64_t now = now_ns();
    if (now < due) continue;
    paced(now);
    due = std::max(due + kPace, now);
  }
}

class Callers {
 public:
  Callers(Shared& shared, uint16_t first_port, const std::vector<uint16_t>& relay_ports)
      : shared_(shared), epoll_(::epoll_create1(EPOLL_CLOEXEC)), callers_(relay_ports.size()) {
    for (size_t i = 0; i < callers_.size(); ++i) {
      Caller& caller = callers_[i];
      const auto port = static_cast<uint16_t>(first_port + 4 * i);
      caller.fd = bound(port);
      caller.callee = bound(static_cast<uint16_t>(port + 2));
      const sockaddr_in relay = local(relay_ports[i]);
      const int on = 1;
      ::setsockopt(caller.fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
      const auto* const address = reinterpret_cast<const sockaddr*>(&relay);
      if (::connect(caller.fd.get(), address, sizeof relay) != 0) {
        stop(fmt::format("cannot aim at port {}", relay_ports[i]));
      }
      caller.due = now_ns() + kPacketInterval * static_cast<int64_t>(i) /
                                  static_cast<int64_t>(callers_.size());
      watch(epoll_.get(), caller.fd.get(), i);
    }
  }

  void run() {
    loop(
        epoll_.get(), shared_, [this](uint64_t tag) { hear(callers_[tag]); },
        [this](int64_t now) {
          for (size_t i = 0; i < callers_.size(); ++i) {
            if (now >= callers_[i].due) speak(callers_[i], i, now);
          }
        });
  }

 private:
  struct Caller {
    UniqueFd fd, callee;
    int64_t due = 0;
    uint16_t sequence = 0;
    std::optional<uint32_t> heard_ssrc;
    uint16_t heard_sequence = 0;
    bool answered = false;
  };

  void speak(Caller& caller, size_t number, int64_t now) {
    std::array<uint8_t, kHeaderOctets + kFrameOctets> packet;
    packet.fill(0x35);
    const uint16_t sequence = caller.sequence++;
    const uint32_t words[3] = {htonl(0x80000000U | sequence), htonl(sequence * 160U),
                               htonl(static_cast<uint32_t>(0x10000 + number))};
    std::memcpy(packet.data(), words, sizeof words);
    stamp(packet.data() + kHeaderOctets + kStampAt);
    const auto sent = stamp_in(Octets(packet).subspan(kHeaderOctets + kStampAt));
    if (shared_.window.has(*sent)) shared_.up.sent += 1;
    ::send(caller.fd.get(), packet.data(), packet.size(), 0);
    caller.due = std::max(caller.due + kPacketInterval, now - kPacketInterval);
  }

  void hear(Caller& caller) {
    std::array<uint8_t, 512> packet;
    alignas(cmsghdr) std::array<char, 64> control;
    iovec part{packet.data(), packet.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(caller.fd.get(), &message, 0);
    const cmsghdr* const stamped = CMSG_FIRSTHDR(&message);
    if (size < static_cast<ssize_t>(kHeaderOctets) || stamped == nullptr) return;
    timespec arrived{};
    std::memcpy(&arrived, CMSG_DATA(stamped), sizeof arrived);
    follow(caller, packet.data());
    const auto sent = stamp_in(Octets(packet).subspan(kHeaderOctets + kStampAt, kStampedOctets));
    if (!sent) return;
    if (!std::exchange(caller.answered, true)) ++shared_.answered;
    if (!shared_.window.has(*sent)) return;
    shared_.down.hear(arrived.tv_sec * kSecond + arrived.tv_nsec - *sent);
  }

  void follow(Caller& caller, const uint8_t* packet) {
    const auto sequence = static_cast<uint16_t>(packet[2] << 8 | packet[3]);
    uint32_t ssrc = 0;
    std::memcpy(&ssrc, packet + 8, sizeof ssrc);
    if (caller.heard_ssrc && *caller.heard_ssrc != ssrc) ++shared_.other_ssrcs;
    if (caller.heard_ssrc && static_cast<uint16_t>(caller.heard_sequence + 1) != sequence) {
      ++shared_.gaps;
    }
    caller.heard_ssrc = ssrc;
    caller.heard_sequence = sequence;
  }

  Shared& shared_;
  const UniqueFd epoll_;
  std::vector<Caller> callers_;
};

class Endpoint {
 public:
  Endpoint(Shared& shared, uint16_t port)
      : shared_(shared),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in own = local(port);
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 ||
        ::listen(listener_.get(), 256) != 0) {
      stop(fmt::format("cannot listen on port {}", port));
    }
    watch(epoll_.get(), listener_.get(), kListener);
  }

  void run() {
    loop(
        epoll_.get(), shared_,
        [this](uint64_t tag) {
          if (tag == kListener) return accept();
          if (!read(*peers_[tag])) let_go(*peers_[tag]);
        },
        [this](int64_t now) {
          for (const auto& peer : peers_) {
            if (!peer->sid.empty() && now >= peer->due) answer(*peer, now);
          }
        });
  }

 private:
  static constexpr uint64_t kListener = UINT64_MAX;
  struct Peer {
    UniqueFd fd;
    std::string in;
    bool upgraded = false;
    std::string sid;
    int64_t due = 0;
  };

  void accept() {
    auto peer = std::make_unique<Peer>();
    peer->fd = UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (peer->fd.get() < 0) return;
    const int on = 1;
    ::setsockopt(peer->fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(epoll_.get(), peer->fd.get(), peers_.size());
    peers_.push_back(std::move(peer));
  }

  void let_go(Peer& peer) {
    if (!peer.sid.empty()) ++shared_.closed;
    peer.sid.clear();
    peer.fd.reset();
  }

  bool read(Peer& peer) {
    std::array<char, 16384> data;
    const ssize_t size = ::recv(peer.fd.get(), data.data(), data.size(), 0);
    const int64_t now = now_ns();
    if (size <= 0) return false;
    peer.in.append(data.data(), static_cast<size_t>(size));
    if (!peer.upgraded && !upgrade(peer)) return true;
    while (const size_t used = frame(peer, now)) peer.in.erase(0, used);
    return true;
  }

  static bool upgrade(Peer& peer) {
    const size_t end = peer.in.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    constexpr std::string_view kName = "Sec-WebSocket-Key: ";
    const size_t at = peer.in.find(kName);
    if (at == std::string::npos) stop("an upgrade without a key");
    const std::string key = peer.in.substr(at + kName.size(), 24);
    const std::string reply =
        fmt::format("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: {}\r\n\r\n",
                    relay::accept_of(key));
    ::send(peer.fd.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
    peer.in.erase(0, end + 4);
    return peer.upgraded = true;
  }

  // A whole masked frame of less than 64 KiB at the front; how long it is, zero: not all there.
  size_t frame(Peer& peer, int64_t now) {
    const auto octet = [&](size_t i) { return static_cast<uint8_t>(peer.in[i]); };
    if (peer.in.size() < 8) return 0;
    size_t length = octet(1) & 0x7FU, at = 2;
    if (length == 127) stop("a long frame");
    if (length == 126) {
      length = size_t{octet(2)} << 8 | octet(3);
      at = 4;
    }
    if (peer.in.size() < at + 4 + length) return 0;
    for (size_t i = 0; i < length; ++i) {
      peer.in[at + 4 + i] = static_cast<char>(octet(at + 4 + i) ^ octet(at + i % 4));
    }
    if ((octet(0) & 15) == 1) take(peer, std::string_view(peer.in).substr(at + 4, length), now);
    return at + 4 + length;
  }

  void take(Peer& peer, std::string_view message, int64_t now) {
    constexpr std::string_view kPayload = R"("payload":")", kSid = R"("streamSid":")";
    const size_t at = message.find(kPayload);
    if (at != std::string_view::npos) {
      const auto octets = relay::decode_base64(
          message.substr(at + kPayload.size() + kStampAtBase64, kStampedBase64));
      const auto sent = octets ? stamp_in(*octets) : std::nullopt;
      if (!sent) shared_.up.strange += shared_.window.has(now) ? 1 : 0;
      if (sent && shared_.window.has(*sent)) shared_.up.hear(now - *sent);
    } else if (message.find(R"("event":"start")") != std::string_view::npos) {
      peer.sid = message.substr(message.find(kSid) + kSid.size(), 34);
      peer.due = now + kAnswerInterval * static_cast<int64_t>(peers_.size() % 16) / 16;
      ++shared_.dialogues;
    }
  }

  void answer(Peer& peer, int64_t now) {
    peer.due = now + kAnswerInterval;
    std::array<uint8_t, kFrameOctets> octets;
    octets.fill(0x35);
    stamp(octets.data() + kStampAt);
    std::string text =
        fmt::format(R"({{"event":"media","streamSid":"{}","media":{{"payload":")", peer.sid);
    relay::append_base64(text, octets);
    text += R"("}})";
    std::string frame = {'\x81', '\x7E', static_cast<char>(text.size() >> 8),
                         static_cast<char>(text.size() & 0xFF)};
    frame += text;
    if (shared_.window.has(*stamp_in(Octets(octets).subspan(kStampAt)))) shared_.down.sent += 1;
    ::send(peer.fd.get(), frame.data(), frame.size(), MSG_NOSIGNAL);
  }

  Shared& shared_;
  const UniqueFd epoll_, listener_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

std::string to_json(Figures& figures) {
  auto& delays = figures.delays_ns;
  std::sort(delays.begin(), delays.end());
  const auto quantile_us = [&](double share) {
    if (delays.empty()) return 0.0;
    const auto at = static_cast<size_t>(share * static_cast<double>(delays.size() - 1));
    return static_cast<double>(delays[at]) / 1000;
  };
  return fmt::format(
      R"({{"sent": {}, "heard": {}, "strange": {}, "p50_us": {:.0f}, "p90_us": {:.0f}, )"
      R"("p99_us": {:.0f}, "p99.9_us": {:.0f}, "max_us": {:.0f}}})",
      figures.sent.load(), delays.size(), figures.strange, quantile_us(0.5), quantile_us(0.9),
      quantile_us(0.99), quantile_us(0.999), quantile_us(1));
}

// Until every caller has heard the endpoint, then the window, then what is under way.
void conduct(Shared& shared, size_t calls, int64_t seconds) {
  const timespec nap{0, 10 * kMillisecond};
  const int64_t began = now_ns();
  while (shared.answered < calls) {
    if (now_ns() - began > kPatience) {
      stop(fmt::format("{} of {} callers heard the endpoint, {} dialogues", shared.answered.load(),
                       calls, shared.dialogues.load()));
    }
    ::nanosleep(&nap, nullptr);
  }
  const int64_t from = now_ns() + 100 * kMillisecond, until = from + seconds * kSecond;
  shared.window.until = until;
  shared.window.from = from;
  fmt::print("measuring\n");
  std::fflush(stdout);
  const auto is_heard = [&] {
    return shared.up.heard == shared.up.sent && shared.down.heard == shared.down.sent;
  };
  while (now_ns() < until + (is_heard() ? kDrainMin : kDrainMax)) ::nanosleep(&nap, nullptr);
  shared.over = true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) stop("expected WS_PORT FIRST_PHONE_PORT SECONDS");
  std::vector<uint16_t> relay_ports;
  for (uint16_t port = 0; std::cin >> port;) relay_ports.push_back(port);
  Shared shared;
  shared.up.delays_ns.reserve(1 << 20);
  shared.down.delays_ns.reserve(1 << 18);
  Endpoint endpoint(shared, static_cast<uint16_t>(std::atoi(argv[1])));
  Callers callers(shared, static_cast<uint16_t>(std::atoi(argv[2])), relay_ports);
  fmt::print("listening\n");
  std::fflush(stdout);
  std::thread endpoint_thread([&] { endpoint.run(); });
  std::thread callers_thread([&] { callers.run(); });
  conduct(shared, relay_ports.size(), std::atoi(argv[3]));
  endpoint_thread.join();
  callers_thread.join();
  fmt::print(R"({{"up": {}, "down": {}, "dialogues": {}, "closed": {}, "gaps": {}, "ssrcs": {}}})"
             "\n",
             to_json(shared.up), to_json(shared.down), shared.dialogues.load(),
             shared.closed.load(), shared.gaps.load(), shared.other_ssrcs.load());
  std::fflush(stdout);
  ::pause();  // a connection that goes before its call would be a failure of the endpoint
}
