#include "relay/dataplane/socket_set.h"

#include <sys/epoll.h>
#include <sys/resource.h>

#include <limits>

#include "relay/dataplane/packet_io.h"
#include "relay/dataplane/party_socket.h"

namespace relay {
namespace {

// The kernel gives out the lowest free number, so a number in the upper half of what the process
// may have says that calls need the rest.
int half_of_descriptors() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 ||
      files.rlim_cur / 2 > std::numeric_limits<int>::max())
    return std::numeric_limits<int>::max();
  return static_cast<int>(files.rlim_cur / 2);
}

void publish_tells_copies(const MediaSocket& socket) {
  socket.group->stats_of(socket.leg, socket.component)
      .tells_copies.store(socket.tells_copies, std::memory_order_release);
}

}  // namespace

void MediaSockets::reset(FlowGroup& group) {
  const auto belongs_to = [&](MediaSocket& socket, LegId leg, Component component) {
    socket.group = &group;
    socket.leg = leg;
    socket.component = component;
  };
  for (const LegId leg : kLegs) {
    for (const Component component : kComponents) {
      MediaSocket& socket = legs[index(leg)][index(component)];
      socket = MediaSocket{};
      belongs_to(socket, leg, component);
    }
    parties[index(leg)] = PartySocket{};
    belongs_to(parties[index(leg)], leg, Component::rtp);
    parties[index(leg)].connected = true;
  }
}

SocketSet::SocketSet(UniqueFd epoll)
    : epoll_(std::move(epoll)), spare_descriptors_below_(half_of_descriptors()) {}

void SocketSet::watch(MediaSockets& sockets, const FlowGroupSpec* spec) {
  for (auto& leg : sockets.legs) {
    for (MediaSocket& socket : leg) {
      if (spec == nullptr) {
        unwatch(sockets, socket);
        continue;
      }
      const LegSpec& leg_spec = spec->legs[index(socket.leg)];
      watch(sockets, socket, leg_spec.sockets[index(socket.component)], leg_spec);
      if (leg_spec.taps[0] != nullptr) tell_copies(sockets, socket);
    }
    // The control thread may have set it on the leg's own.
    const PartySocket& party = sockets.parties[index(leg[0].leg)];
    if (party.fd >= 0) copy_type_of_service(leg[0].fd, party.fd, party.party.address.family());
  }
}

void SocketSet::let_go(MediaSockets& sockets, MediaSocket& socket) {
  if (socket.connected) return disconnect(static_cast<PartySocket&>(socket));
  unwatch(sockets, socket);
  descriptor_errors_.add();
}

// All that can be refused is asked for before the socket is bound: from then on it gets packets.
bool SocketSet::connect_to_party(MediaSockets& sockets, MediaSocket& bound, Instant now) {
  PartySocket& socket = sockets.parties[index(bound.leg)];
  bound.from_source = 0;  // a connection that can't be had is tried again after as many packets
  if (socket.fd < 0 && now < connects_from_) return false;
  if (socket.fd < 0) {
    socket.owned = make_party_socket(bound.fd, bound.source.address.family());
    const bool spare = socket.owned && socket.owned.get() < spare_descriptors_below_;
    if (!spare || !add(socket, socket.owned.get()) ||
        (bound.tells_copies && !tell_copies(socket)) || !bind_beside(bound.fd, socket.fd)) {
      disconnect(socket);
      return false;
    }
    count_connected(socket);
  }
  if (connect_to(socket.fd, bound.source)) {
    socket.party = bound.source;
  } else {
    bound.reachable = false;
    disconnect(socket);
  }
  return true;
}

bool SocketSet::add(MediaSocket& socket, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &socket;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) {
    descriptor_errors_.add();
    return false;
  }
  socket.fd = fd;
  socket.errors_in_a_row = 0;
  return true;
}

void SocketSet::watch(MediaSockets& sockets, MediaSocket& socket, int fd, const LegSpec& leg) {
  if (socket.fd == fd) return;
  unwatch(sockets, socket);
  if (fd < 0 || !add(socket, fd)) return;
  socket.local = {};
  socket.on_wildcard =
      leg.local.address.is_any() && enable_local_address(fd, leg.local.address.family()) == 0;
}

void SocketSet::unwatch(MediaSockets& sockets, MediaSocket& socket) {
  if (socket.component == Component::rtp) disconnect(sockets.parties[index(socket.leg)]);
  socket.tells_copies = false;
  publish_tells_copies(socket);
  socket.from_source = 0;
  if (socket.fd < 0) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.fd, nullptr);  // closed ones have left already
  socket.fd = -1;
}

void SocketSet::disconnect(PartySocket& socket) {
  socket.tells_copies = false;
  socket.fd = -1;
  socket.party = {};
  socket.owned.reset();      // and leaves the epoll set by that
  forget_connected(socket);  // who sees it gone may count on its descriptor
}

void SocketSet::count_connected(PartySocket& socket) {
  socket.older = newest_connected_;
  if (socket.older != nullptr) socket.older->newer = &socket;
  newest_connected_ = &socket;
  connected_.store(connected_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Those that never were connected are in no list.
void SocketSet::forget_connected(PartySocket& socket) {
  if (newest_connected_ != &socket && socket.newer == nullptr) return;
  (socket.newer != nullptr ? socket.newer->older : newest_connected_) = socket.older;
  if (socket.older != nullptr) socket.older->newer = socket.newer;
  socket.older = socket.newer = nullptr;
  connected_.store(connected_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

// From the first tap on: asking costs a tenth of a receive. Copies under way when the last tap has
// gone are still known as such.
void SocketSet::tell_copies(MediaSockets& sockets, MediaSocket& socket) {
  if (socket.fd < 0 || socket.on_wildcard || tee_mark_ == 0) return;
  PartySocket& party = sockets.parties[index(socket.leg)];
  const bool beside = socket.component == Component::rtp && party.fd >= 0;
  socket.tells_copies = tell_copies(socket) && (!beside || tell_copies(party));
  publish_tells_copies(socket);
}

bool SocketSet::tell_copies(MediaSocket& socket) {
  if (!socket.tells_copies) socket.tells_copies = enable_mark(socket.fd) == 0;
  return socket.tells_copies;
}

}  // namespace relay
