// The sockets a worker listens on. Each leg has one for RTP and one for RTCP, open to everybody,
// for a party is known by what it sends only. Once a party has stayed in one place for a while, its
// RTP gets a second socket on the same port, connected to it: what comes from and goes to it needs
// no routing then (a tenth of the CPU time a packet, bench/README.md), while strangers and a party
// that moves are still met at the first. Worker thread, but where told otherwise.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/base/published.h"
#include "relay/base/unique_fd.h"
#include "relay/flow/decide.h"

namespace relay {

// From one place in a row, a second of audio: then a party is worth a connection.
inline constexpr uint32_t kSettledPackets = 50;

// One socket as its worker sees it; epoll points here.
struct MediaSocket {
  FlowGroup* group = nullptr;
  int fd = -1;  // -1: not watched
  LegId leg = LegId::callee;
  Component component = Component::rtp;
  bool on_wildcard = false;
  bool connected = false;
  bool reachable = true;      // the source, as far as the kernel knows
  bool tells_copies = false;  // by their mark
  IpAddress local;            // where the party sends to; learnt on wildcard sockets only
  Endpoint source;            // of the last packet that was accepted,
  uint32_t from_source = 0;   // and how many have come from there in a row
  uint32_t errors_in_a_row = 0;
  uint64_t served_round = 0;

  void heard_from(const Endpoint& from) {
    if (from != source) {
      source = from;
      from_source = 0;
      reachable = true;
    }
    ++from_source;
  }
  bool party_has_settled() const {
    return from_source >= kSettledPackets && component == Component::rtp && !connected &&
           !on_wildcard && reachable;
  }
};

// Beside the RTP socket of a leg, and connected to its party.
struct PartySocket : MediaSocket {
  UniqueFd owned;
  Endpoint party;
  PartySocket* older = nullptr;  // among the connected ones
  PartySocket* newer = nullptr;
};

struct MediaSockets {
  std::array<std::array<MediaSocket, 2>, 2> legs;  // by LegId, Component; descriptors are borrowed
  std::array<PartySocket, 2> parties;              // by LegId

  void reset(FlowGroup& group);
};

class SocketSet {
 public:
  explicit SocketSet(UniqueFd epoll);

  int epoll() const { return epoll_.get(); }
  // Packets with this mark are copies of what the kernel has relayed. Before the first socket.
  void recognise_copies(uint32_t tee_mark) { tee_mark_ = tee_mark; }
  bool is_copy(uint32_t mark) const { return mark != 0 && mark == tee_mark_; }

  // Those of the spec; without one: none.
  void watch(MediaSockets& sockets, const FlowGroupSpec* spec);
  // For one that yields nothing but errors.
  void let_go(MediaSockets& sockets, MediaSocket& socket);
  // Of a leg's RTP socket whose party has settled. True: from now on packets may come by the
  // party's own socket, and what waits in this one came before them.
  bool connect_to_party(MediaSockets& sockets, MediaSocket& bound, Instant now);
  void pause_connecting(Instant until) { connects_from_ = until; }
  PartySocket* newest_connected() { return newest_connected_; }
  void disconnect(PartySocket& socket);

  // Any thread.
  uint64_t connected() const { return connected_.load(std::memory_order_relaxed); }
  // Sockets that could not be watched, or stopped being sockets.
  uint64_t descriptor_errors() const { return descriptor_errors_.get(); }

 private:
  bool add(MediaSocket& socket, int fd);
  void watch(MediaSockets& sockets, MediaSocket& socket, int fd, const LegSpec& leg);
  void unwatch(MediaSockets& sockets, MediaSocket& socket);
  void count_connected(PartySocket& socket);
  void forget_connected(PartySocket& socket);
  static bool tell_copies(MediaSocket& socket);
  void tell_copies(MediaSockets& sockets, MediaSocket& socket);

  UniqueFd epoll_;
  uint32_t tee_mark_ = 0;  // 0: there are no copies
  const int spare_descriptors_below_;
  Instant connects_from_{};
  PartySocket* newest_connected_ = nullptr;
  std::atomic<uint64_t> connected_{0};
  Counter descriptor_errors_;
};

}  // namespace relay
