// What the commands mean: creates, changes, ends sessions, and tells the forwarding plane.
// Knows nothing of the protocol's text. Control thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "relay/base/clock.h"
#include "relay/flow/forwarding_plane.h"
#include "relay/session/graveyard.h"
#include "relay/session/overload.h"
#include "relay/session/port_pool.h"
#include "relay/session/session.h"
#include "relay/session/session_table.h"

namespace relay {

// Fixed at start.
struct SessionSettings {
  // At least one; the first is the default. When bridging, [0] is the internal and [1] the
  // external network.
  std::vector<LocalAddress> local_addresses;
  bool bridging = false;
  PortSettings ports;
  LatchPolicy policy = LatchPolicy::strict;  // of legs without `a`
  bool asymmetric_by_default = false;
  bool duplicate_small_packets = false;
};

// May change while calls run.
struct SessionLimits {
  TtlSettings ttl;
  std::chrono::seconds fork_grace{5};  // how long a session outlives the D of a rejected branch
  OverloadSettings overload;
};

enum class NetworkSide : uint8_t { internal, external };
enum class Symmetry : uint8_t { unset, asymmetric, symmetric };

struct LocalChoice {
  enum class Kind : uint8_t { address, label, towards };
  Kind kind = Kind::address;
  std::string value;
};

// What U and L have in common. The texts must outlive the call only.
struct MediaRequest {
  std::string_view call_id, from_tag;
  std::optional<std::string_view> to_tag;
  // The described party's media address. Nothing: unusable or on hold, both change nothing.
  std::optional<Endpoint> media;
  bool hold = false;  // 0.0.0.0 or ::
  Symmetry symmetry = Symmetry::unset;
  std::vector<NetworkSide> sides;  // e, i: at most two
  bool ipv6 = false;
  bool weak = false;
  bool new_port = false;
  std::string codecs;     // payload types as bytes; empty: none named
  uint16_t ptime_ms = 0;  // z; 0: not given
  std::optional<LocalChoice> local;
  std::optional<Notification> notification;  // U only
};

enum class Refusal : uint8_t {
  no_external_network,
  no_internal_network,
  local_address_unknown,
  no_route,
  no_address_of_family,
  remote_address_refused,
  unknown_session,
  no_ports_for_leg,
  no_ports_for_session,
  overloaded,
  draining,
};
struct Refused {
  Refusal why;
  std::string message;  // for the log
};

// The answer to U or L.
struct MediaAnswer {
  Session* session = nullptr;
  LegId answered = LegId::callee;  // whose local port is reported; the other leg was described
  Endpoint local;
  const std::string* advertised = nullptr;
};

struct SessionCounters {
  uint64_t created = 0, destroyed = 0, timed_out = 0, completed = 0, resurrected = 0;
  uint64_t answered = 0;       // completed, or revived and answered anew
  Duration total_duration{0};  // of ended sessions
};

class SessionManager {
 public:
  // Requires: PortPool::has_pairs(settings.ports) and a local address. All outlive the manager.
  SessionManager(SessionSettings settings, const SessionLimits& limits, SocketFactory& sockets,
                 ForwardingPlane& plane, const Clock& clock);
  ~SessionManager();
  SessionManager(const SessionManager&) = delete;
  SessionManager& operator=(const SessionManager&) = delete;

  void set_limits(const SessionLimits& limits);

  tl::expected<MediaAnswer, Refused> update(const MediaRequest& request);
  tl::expected<MediaAnswer, Refused> lookup(const MediaRequest& request);
  // D: how many sessions it touched, including those that survive it.
  size_t remove(std::string_view call_id, std::string_view from, std::optional<std::string_view> to,
                bool weak);
  void remove_all(SessionEnd how = SessionEnd::deleted);
  // Bounds inactivity of a leg (of both unless TTLs are independent), starting now.
  void set_ttl(Session& session, LegId leg, std::chrono::seconds ttl);
  // IPv4's TOS, IPv6's traffic class. False above 255, or when the kernel refuses.
  bool set_tos(Session& session, LegId leg, int tos);

  // --- attachments.cc: who else has to do with the media of a leg ---
  // False when the leg has LegSpec::kTapsMax of them.
  bool attach(Session& session, LegId leg, std::unique_ptr<Tap> tap);
  // These free what was attached before, once the plane has let go of it.
  PlaneTicket detach(Session& session, LegId leg, const Tap& tap);
  void set_transform(Session& session, LegId leg, std::unique_ptr<Transform> transform);
  void set_source(Session& session, LegId leg, std::unique_ptr<Source> source);
  // A pair to send copies of a leg's media to `to` from, on the local address that the kernel would
  // use towards it, with the leg's TOS.
  tl::expected<PortPair, Refused> open_ports_towards(const Endpoint& to, const SessionLeg& leg);

  // Copies the RTP and RTCP of both parties of `source` to those of `target` until that one ends;
  // what `first` of the source sends goes to the party of `first_into`. The parties of the target
  // are not heard from then on. False for one and the same session, or when a leg has too many
  // taps.
  bool fork(Session& source, LegId first, Session& target, LegId first_into);

  std::optional<SessionTable::Match> find(std::string_view call_id, std::string_view from,
                                          std::optional<std::string_view> to) const {
    return table_.find(call_id, from, to);
  }
  const SessionTable& table() const { return table_; }
  // Time left until it ends if nothing happens.
  std::chrono::seconds remaining_ttl(const Session& session) const;
  size_t active() const { return counters_.created - counters_.destroyed; }

  // Once a second.
  void expire();
  using TimeoutCallback = std::function<void(const Session&)>;
  void on_timeout(TimeoutCallback callback) { timeout_callback_ = std::move(callback); }
  // A session has been created, or revived by another branch, and the plane knows it.
  using OpenCallback = std::function<void(Session&)>;
  void on_open(OpenCallback callback) { open_callback_ = std::move(callback); }
  // A session is gone and its figures are final, for the plane has let go.
  void on_settled(SettledCallback callback) { graveyard_.on_settled(std::move(callback)); }

  // Slow shutdown: new sessions are refused; drained() once no session is left.
  void start_draining() { draining_ = true; }
  bool draining() const { return draining_; }
  bool drained() const { return draining_ && active() == 0; }
  OverloadGuard& overload() { return overload_; }
  const OverloadGuard& overload() const { return overload_; }

  const SessionCounters& counters() const { return counters_; }
  // Of sessions that ended and whose plane has let go.
  const EndedTotals& ended() const { return graveyard_.totals(); }
  const PortPool& ports() const { return ports_; }
  size_t unsettled() const { return graveyard_.size(); }

 private:
  // Which local addresses a request asks for.
  struct Plans {
    std::array<LocalPlan, 2> by_leg;
    bool forced = false;        // l, r or the family: for the answered leg, whenever it opens
    bool for_new_port = false;  // two of e/i: by_leg[callee] is used together with `n`
  };
  struct Wake {
    Instant at;
    uint64_t serial;
    bool operator>(const Wake& other) const { return at > other.at; }
  };
  using Answered = tl::expected<MediaAnswer, Refused>;

  // session_manager.cc
  Answered create(const MediaRequest& request, const Plans& plans);
  Answered answer(Session& session, LegId answered, const MediaRequest& request, const Plans& plans,
                  bool is_update);
  tl::expected<void, Refused> open_leg(Session& session, LegId leg, const LocalPlan& plan,
                                       std::optional<PortPair>& replaced);
  void describe(Session& session, LegId described, const MediaRequest& request);
  void note_answer(Session& session, const MediaRequest& request);
  void confirm_answer(Session& session, std::string_view tag);
  void complete_if_open(Session& session);
  static bool would_open_alike(const SessionTable::Match& match, const Plans& plans);
  void resurrect(Session& session);
  tl::expected<PortPair, PoolFailure> open_ports(const IpAddress& local);
  MediaAnswer media_answer(Session& session, LegId answered) const;
  void note(Session& session, SessionEvent event);
  void note(Session& session, SessionEvent event, LegId leg);
  void arm(Session& session, Instant at);
  void arm_no_later(Session& session);

  // attachments.cc
  template <typename Part>
  void replace(Session& session, std::unique_ptr<Part>& part, std::unique_ptr<Part> by);
  PlaneTicket name_attachments(Session& session);
  PlaneTicket detach_all(Session& session);

  // forks.cc
  const Tap* copy_to(Session& source, LegId leg, Session& target, LegId into);
  void move_forks(Session& target, LegId into, std::shared_ptr<void> replaced);
  void end_forks_into(Session& target);
  void end_forks_of(Session& source, const PlaneTicket& ticket);

  // local_choice.cc
  tl::expected<Plans, Refused> choose_local(const MediaRequest& request);
  tl::expected<LocalPlan, Refused> chosen_address(const LocalChoice& choice);
  LocalPlan plan_for(const IpAddress& address) const;
  const LocalAddress* last_of_family(Family family) const;
  tl::expected<void, Refused> check_remote(const std::optional<Endpoint>& remote) const;

  // session_end.cc
  size_t remove_exact(std::string_view call_id, std::string_view from,
                      std::optional<std::string_view> to, bool weak);
  size_t remove_without_from(const std::vector<Session*>& sessions, std::string_view to, bool weak);
  size_t remove_similar(std::string_view call_id, std::string_view from,
                        std::optional<std::string_view> to, bool weak);
  bool release(Session& session, LegId reference, bool weak,
               std::optional<std::string_view> partner);
  void drop_answer(Session& session, std::string_view tag);
  void linger(Session& session, std::string_view rejected);
  void count_end(Session& session, SessionEnd how);
  void end(Session& session, SessionEnd how = SessionEnd::deleted);
  bool evict_oldest_lingering();

  SessionSettings settings_;
  SessionLimits limits_;
  SocketFactory& sockets_;
  ForwardingPlane& plane_;
  const Clock& clock_;
  PortPool ports_;
  Graveyard graveyard_;
  SessionTable table_;
  OverloadGuard overload_;
  SessionCounters counters_;
  TimeoutCallback timeout_callback_;
  OpenCallback open_callback_;
  std::priority_queue<Wake, std::vector<Wake>, std::greater<>> wakes_;
  std::deque<uint64_t> lingering_;  // serials, oldest first; some may have gone
  bool draining_ = false;
};

}  // namespace relay
