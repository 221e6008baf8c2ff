// Hundreds of calls, decided by one seed: phones behind NATs that rebind, calls that are held,
// moved, forked, rejected and abandoned, a control link that loses and repeats, strangers who spray
// and replay. One thread, virtual time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/control_link.h"
#include "tests/sim/sim_phone.h"
#include "tests/sim/strangers.h"
#include "tests/support/sim_nat.h"
#include "tests/support/sim_network.h"
#include "tests/support/sim_relay.h"

namespace relay::testing {

struct SimulationReport {
  std::vector<std::string> violations;  // the first few, each with its time
  uint64_t trace_hash = 0;              // of every packet's verdict and every command's reply
  uint64_t calls_answered = 0, moves = 0, rebinds = 0, holds = 0, forks = 0;
  uint64_t packets_heard = 0, stranger_packets = 0, replays = 0;
  uint64_t commands = 0, retransmissions_answered = 0;
  uint64_t offloads = 0, returns = 0;  // of flows, with the fast path
};

class Simulation {
 public:
  Simulation(uint64_t seed, int calls, bool with_fast_path = false);
  SimulationReport run();

 private:
  struct Call {
    uint32_t id = 0;
    size_t proxy = 0;
    bool host_signalled = true;  // the proxy signals the public host; else the SDP's private one
    SimPhone* caller = nullptr;
    SimPhone* callee = nullptr;  // the branch that counts
    Endpoint callee_port;        // where the callee's media goes: the answer to U
    bool held = false, ended = false;
    int changes_pending = 0;  // signalled, but not answered so far
    Instant disturbed{};      // when something last changed
  };

  // calls.cc: what happens to a call
  void start_call(uint32_t id);
  void reject(Call& call);
  void ring(Call& call);
  void answer(Call& call, SimPhone& phone, const std::string& tag,
              const std::function<void()>& then);
  void settle(Call& call);
  void live(Call& call, int changes);
  void hold(Call& call);
  void move(Call& call, Side side);
  void describe(Call& call, Side side, bool on_hold);
  void end_call(Call& call);

  // simulation.cc
  SimPhone& add_phone(const Mark& mark);
  void move_phone(SimPhone& phone, bool new_stream);
  SimNat& add_nat();
  std::string media_of(const Call& call, const SimPhone& phone) const;
  void on_packet(const Endpoint& source, const Endpoint& destination, const Packet& packet);
  void check_calls();
  void check_end();
  void violation(const std::string& what);
  void trace(std::string_view text);
  Endpoint relay_port(const std::string& reply, const std::string& command);

  SimRandom random_;
  SimQueue queue_;
  SimNetwork network_;
  SimRelay relay_;
  ControlLink control_;
  Strangers strangers_;
  std::deque<SimNat> nats_;
  std::deque<SimPhone> phones_;
  std::deque<Call> calls_;
  const int calls_wanted_;
  Instant end_{};
  SimulationReport report_;
};

}  // namespace relay::testing
