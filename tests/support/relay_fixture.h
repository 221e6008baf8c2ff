// Dispatcher, sessions, a fake plane, imagined sockets and a clock moved by hand, put together:
// commands in, replies out.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "relay/config/config.h"
#include "relay/control/dispatcher.h"
#include "relay/session/session_manager.h"
#include "tests/support/fake_plane.h"
#include "tests/support/fake_sockets.h"
#include "tests/support/manual_clock.h"

namespace relay {

// `-m 30000 -b` and a wildcard address, as most exchanges of the protocol are written down.
inline Config sequential_config(std::string_view local = "0.0.0.0") {
  Config config;
  config.startup.local_addresses = {{"", *IpAddress::parse(local), ""}};
  config.startup.port_min = 30000;
  config.startup.sequential_ports = true;
  return config;
}

class RelayFixture {
 public:
  explicit RelayFixture(const Config& config = sequential_config(), Recorder* recorder = nullptr)
      : plane(clock),
        sessions(to_session_settings(config.startup), to_session_limits(config.runtime), sockets,
                 plane, clock),
        dispatcher(config.startup, sessions, plane, clock, nullptr, recorder) {}

  // Without the line end.
  std::string ask(std::string_view command) {
    std::string reply = dispatcher.execute(command, {});
    if (!reply.empty()) reply.pop_back();
    return reply;
  }
  // Second by second, as the daemon does.
  void wait_s(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      clock.advance(std::chrono::seconds(1));
      sessions.expire();
      dispatcher.tick();
    }
  }

  ManualClock clock;
  FakePlane plane;
  FakeSockets sockets;
  SessionManager sessions;
  Dispatcher dispatcher;
};

}  // namespace relay
