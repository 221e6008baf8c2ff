// The life of a simulated call.
#include <fmt/core.h>

#include "tests/sim/simulation.h"

namespace relay::testing {

using namespace std::chrono_literals;

void Simulation::start_call(uint32_t id) {
  Call& call = calls_.emplace_back();
  call.id = id;
  call.proxy = random_.below(ControlLink::kProxies);
  call.host_signalled = random_.chance(0.8);
  call.caller = &add_phone({id, Side::caller});
  const std::string command =
      fmt::format("Uc0,8 sim{}@example {} a;1", id, media_of(call, *call.caller));
  control_.send(call.proxy, command, [this, &call, command](const std::string& reply) {
    call.callee_port = relay_port(reply, command);
    if (random_.chance(0.1)) return reject(call);
    queue_.after(random_.between(200ms, 2s), [this, &call] { ring(call); });
  });
}

void Simulation::reject(Call& call) {
  call.ended = true;
  const char* to_tag = random_.chance(0.5) ? "" : " b";  // CANCEL, or a busy branch
  control_.send(call.proxy, fmt::format("D sim{}@example a{}", call.id, to_tag), nullptr);
}

// Answered at once, or after another branch has sent early media, whose rejection comes last. A
// proxy waits for one reply before it asks the next question about a call.
void Simulation::ring(Call& call) {
  const auto begin = [this, &call] {
    ++report_.calls_answered;
    const int changes = static_cast<int>(random_.below(4));
    queue_.after(random_.between(3s, 6s), [this, &call, changes] { live(call, changes); });
  };
  if (!random_.chance(0.2)) return answer(call, add_phone({call.id, Side::callee}), "b", begin);
  ++report_.forks;
  SimPhone& first = add_phone({call.id, Side::callee});
  answer(call, first, "b1", [this, &call, &first, begin] {
    queue_.after(random_.between(300ms, 2s), [this, &call, &first, begin] {
      first.stop();
      answer(call, add_phone({call.id, Side::callee}), "b", [this, &call, begin] {
        begin();
        control_.send(call.proxy, fmt::format("D sim{}@example a b1", call.id), nullptr);
      });
    });
  });
}

void Simulation::answer(Call& call, SimPhone& phone, const std::string& tag,
                        const std::function<void()>& then) {
  phone.talk_to(call.callee_port);
  phone.start();
  call.callee = &phone;
  ++call.changes_pending;
  const std::string command =
      fmt::format("Lc0,8 sim{}@example {} a;1 {};1", call.id, media_of(call, phone), tag);
  control_.send(call.proxy, command, [this, &call, command, then](const std::string& reply) {
    call.caller->talk_to(relay_port(reply, command));
    call.caller->start();
    settle(call);
    then();
  });
}

void Simulation::settle(Call& call) {
  --call.changes_pending;
  call.disturbed = queue_.now();
}

void Simulation::live(Call& call, int changes) {
  if (changes == 0) return end_call(call);
  switch (random_.below(5)) {
    case 0:
      hold(call);
      break;
    case 1:
      move(call, Side::caller);
      break;
    case 2:
      move(call, Side::callee);
      break;
    case 3:
      ++report_.rebinds;
      (random_.chance(0.5) ? call.caller : call.callee)->nat().rebind();
      call.disturbed = queue_.now();
      break;
    default:
      describe(call, random_.chance(0.5) ? Side::caller : Side::callee, false);
      break;
  }
  queue_.after(random_.between(11s, 13s), [this, &call, changes] { live(call, changes - 1); });
}

void Simulation::hold(Call& call) {
  ++report_.holds;
  call.held = true;
  call.caller->stop();
  const bool both_silent = random_.chance(0.3);
  if (both_silent) call.callee->stop();
  describe(call, Side::caller, true);
  queue_.after(random_.between(1s, 6s), [this, &call] {
    call.held = false;
    call.caller->start();
    call.callee->start();
    describe(call, Side::caller, false);
  });
}

// To another NAT, sometimes with a new stream; the re-INVITE names the new place.
void Simulation::move(Call& call, Side side) {
  ++report_.moves;
  move_phone(side == Side::caller ? *call.caller : *call.callee, random_.chance(0.5));
  describe(call, side, false);
}

// A re-INVITE by `side`.
void Simulation::describe(Call& call, Side side, bool on_hold) {
  const bool by_caller = side == Side::caller;
  const std::string media =
      on_hold ? "0.0.0.0 4000" : media_of(call, by_caller ? *call.caller : *call.callee);
  const std::string command =
      fmt::format("Uc0,8 sim{}@example {} {}", call.id, media, by_caller ? "a;1 b;1" : "b;1 a;1");
  ++call.changes_pending;
  control_.send(call.proxy, command, [this, &call, command, by_caller](const std::string& reply) {
    const Endpoint port = relay_port(reply, command);
    if (by_caller && port != call.callee_port) {
      violation(fmt::format("`{}` moved the port to {}", command, reply));
    }
    settle(call);
  });
}

// Who hangs up falls silent, then tells the proxy; some calls nobody ends.
void Simulation::end_call(Call& call) {
  call.ended = true;
  call.caller->stop();
  call.callee->stop();
  const std::string call_id = fmt::format("sim{}@example", call.id);
  const std::vector<std::string> commands = {"D " + call_id + " a b", "D " + call_id + " a",
                                             "D " + call_id + " b a",
                                             "D " + call_id + "  b",  // OpenSIPS rtp_relay
                                             ""};
  const std::string& command = commands[random_.below(commands.size())];
  if (!command.empty()) control_.send(call.proxy, command, nullptr);
}

}  // namespace relay::testing
