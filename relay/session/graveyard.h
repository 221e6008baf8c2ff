// Keeps what a forwarding plane may still be using until its ticket has settled, then closes it
// and adds up what the flows had counted. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <utility>

#include "relay/flow/forwarding_plane.h"
#include "relay/session/session.h"

namespace relay {

// Sums over ended sessions.
struct EndedTotals {
  uint64_t sent = 0, received = 0, duplicates = 0, lost = 0, parse_errors = 0;  // RTP analysis
  // Complete sessions that saw packets from nobody, or from one party only.
  uint64_t without_rtp = 0, one_way_rtp = 0, without_rtcp = 0, one_way_rtcp = 0;
};

using SettledCallback = std::function<void(const Session&)>;

class Graveyard {
 public:
  explicit Graveyard(const ForwardingPlane& plane) : plane_(plane) {}

  // An ended session: sockets, flows and all.
  void add(std::unique_ptr<Session> session, const PlaneTicket& ticket);
  // Ports, or a tap, transform or source, that a session no longer uses.
  void add(std::shared_ptr<void> part, const PlaneTicket& ticket);
  // Called for each ended session before it is freed.
  void on_settled(SettledCallback callback) { settled_callback_ = std::move(callback); }
  // Lets go of what has settled.
  void sweep() { sweep(graves_.size()); }
  // Of a few, to be called for each that is added: a plane that has lagged is caught up with, and
  // nobody waits for the sockets of many to be closed.
  void sweep_oldest() { sweep(kOldest); }
  // At the very end: what a plane still holds must not be freed under it, so it is left to the
  // process's exit.
  void abandon();
  bool empty() const { return graves_.empty(); }
  size_t size() const { return graves_.size(); }
  const EndedTotals& totals() const { return totals_; }

 private:
  static constexpr size_t kOldest = 4;
  struct Grave {
    PlaneTicket ticket;
    std::unique_ptr<Session> session;
    std::shared_ptr<void> part;
  };
  void sweep(size_t at_most);
  bool has_settled(const Grave& grave) const;
  void add_up(const Session& session);

  const ForwardingPlane& plane_;
  std::list<Grave> graves_;
  EndedTotals totals_;
  SettledCallback settled_callback_;
};

}  // namespace relay
