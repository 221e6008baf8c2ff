// The relay as one object on one thread: real dispatcher, sessions, latches and packet path over an
// imagined host, clock and plane. Scenarios and simulations share it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/base/result.h"
#include "relay/config/config.h"
#include "relay/control/dispatcher.h"
#include "relay/control/dtmf_reporter.h"
#include "relay/session/offloader.h"
#include "relay/session/session_manager.h"
#include "tests/support/fake_kernel_plane.h"
#include "tests/support/inline_plane.h"
#include "tests/support/manual_clock.h"
#include "tests/support/sim_host.h"

namespace relay::testing {

// What `rtpp-relay OPTIONS` would run with.
Result<Config> config_from_options(const std::vector<std::string>& options);

class SimRelay {
 public:
  // The host has the addresses 192.0.2.1, 192.0.2.2 and 2001:db8::1. The seed decides the order of
  // ports. Tickets of the plane settle `plane_settles_after` they were given. With a fast path,
  // flows move into an imagined kernel and back, as the daemon's do.
  SimRelay(const Config& config, uint64_t seed, InlinePlane::Outlet outlet,
           Duration plane_settles_after = Duration{0}, bool with_fast_path = false);

  const ManualClock& clock() const { return clock_; }
  // One datagram from the network, by the kernel's flows or the sockets; nothing when no socket is
  // open there, or the kernel drops it.
  std::optional<Verdict> receive(const Endpoint& source, const Endpoint& destination, Bytes bytes);
  // Moves the clock, and once a second of it does what the daemon does once a second.
  void advance(Duration step);
  // One command without cookie; the reply without its line end.
  std::string command(std::string_view text);

  CommandExecutor& executor() { return dispatcher_; }
  InlinePlane& plane() { return plane_; }
  const FakeKernelPlane& kernel() const { return kernel_; }
  SimHost& host() { return host_; }
  SessionManager& sessions() { return sessions_; }
  // Who was to be told of time-outs since the last call, as `SOCKET TAG`.
  std::vector<std::string> take_notifications() {
    dtmf_.report();
    return std::exchange(notifications_, {});
  }

 private:
  ManualClock clock_;
  SimHost host_;
  const InlinePlane::Outlet outlet_;
  std::unique_ptr<DtmfEvents> dtmf_events_ = std::move(*DtmfEvents::create());
  InlinePlane plane_;
  FakeKernelPlane kernel_;
  Offloader offloader_;
  ForwardingPlane& used_;  // one of the two planes
  SessionManager sessions_;
  Dispatcher dispatcher_;
  std::vector<std::string> notifications_;
  DtmfReporter dtmf_;
  Instant next_second_, next_tick_ = Instant::max();
};

}  // namespace relay::testing
