#include "tests/sim/simulation.h"

#include <fmt/core.h>

#include <charconv>
#include <stdexcept>

namespace relay::testing {
namespace {

using namespace std::chrono_literals;

constexpr size_t kViolationsMax = 5;
constexpr uint16_t kPortMin = 35'000, kPortMax = 36'999;
constexpr Duration kTtl = 10s;
// How long after a change both parties must hear each other again, and how long a silence between
// two talking parties may be: loss, 100 ms until a holder counts as silent, five packets of a run.
constexpr Duration kSettled = 1500ms;
constexpr Duration kSilenceMax = 1s;
constexpr Duration kPlaneSettlesAfter = 30ms;

const IpAddress kRelay = *IpAddress::parse("192.0.2.1");

Config configuration() {
  const auto config =
      config_from_options({"-l", "192.0.2.1", "-m", std::to_string(kPortMin), "-M",
                           std::to_string(kPortMax), "-T", std::to_string(kTtl / 1s)});
  if (!config) throw std::runtime_error(config.error().message);
  return *config;
}

}  // namespace

Simulation::Simulation(uint64_t seed, int calls, bool with_fast_path)
    : random_(seed),
      queue_(ManualClock().now()),
      network_(queue_, random_, LinkQuality{}),
      relay_(
          configuration(), seed | 1,
          [this](const Endpoint& from, const Endpoint& to, Bytes bytes) {
            if (Strangers::is_stranger(to)) violation("media leaves for " + to.to_string());
            network_.send(from, to, Packet(bytes.begin(), bytes.end()));
          },
          kPlaneSettlesAfter, with_fast_path),
      control_(relay_, queue_, random_,
               [this](const std::string& command, const std::string& reply) {
                 trace(command);
                 trace(reply);
               }),
      strangers_(network_, queue_, random_, kPortMin, kPortMax),
      calls_wanted_(calls) {
  network_.attach(kRelay, [this](const Endpoint& source, const Endpoint& destination,
                                 const Packet& packet) { on_packet(source, destination, packet); });
}

SimulationReport Simulation::run() {
  const Duration arrivals = 100ms * calls_wanted_;
  end_ = queue_.now() + arrivals + 60s;
  for (int i = 0; i < calls_wanted_; ++i) {
    queue_.after(random_.between(0ms, arrivals),
                 [this, i] { start_call(static_cast<uint32_t>(i + 1)); });
  }
  strangers_.start(end_, [this](const Endpoint& source) {
    violation("a stranger got a packet from " + source.to_string());
  });
  queue_.after(500ms, [this] { check_calls(); });
  // A proxy that got no answer at all leaves its call as it is; nobody talks for ever.
  queue_.after(end_ - queue_.now(), [this] {
    for (SimPhone& phone : phones_) phone.stop();
  });
  while (!queue_.empty() && queue_.next() < end_ + 10s) {
    relay_.advance(queue_.next() - relay_.clock().now());
    queue_.run_next();
  }
  relay_.advance(kTtl + 10s);
  check_end();
  for (const SimPhone& phone : phones_) report_.packets_heard += phone.heard();
  report_.stranger_packets = strangers_.packets();
  report_.replays = strangers_.replays();
  report_.commands = control_.executed();
  report_.retransmissions_answered = control_.retransmissions_answered();
  report_.offloads = relay_.kernel().installs;
  report_.returns = relay_.kernel().removes;
  return report_;
}

// Each phone has a NAT of its own, so that what one party does disturbs no other call.
SimNat& Simulation::add_nat() {
  const size_t n = nats_.size();
  const auto outside = IpAddress::parse(fmt::format("198.18.{}.{}", n / 250, 1 + n % 250));
  const auto mapping = static_cast<NatMapping>(random_.below(3));
  return nats_.emplace_back(network_, queue_, *outside, mapping, 30s);
}

void Simulation::move_phone(SimPhone& phone, bool new_stream) {
  SimNat& nat = add_nat();
  const size_t n = nats_.size();
  const auto behind = *IpAddress::parse(fmt::format("10.0.{}.{}", n / 250, 1 + n % 250));
  const auto port = static_cast<uint16_t>(10'000 + 2 * random_.below(5'000));
  const bool has_nat = nat.mapping() != NatMapping::none;
  phone.move_to(nat, {has_nat ? behind : nat.outside(), port}, new_stream);
}

SimPhone& Simulation::add_phone(const Mark& mark) {
  const auto ssrc = static_cast<uint32_t>(random_.below(UINT32_MAX));
  SimPhone& phone =
      phones_.emplace_back(queue_, mark, ssrc, [this](const SimPhone& heard_by, const Mark& from) {
        violation(fmt::format("a phone of call {} heard {} of call {}", heard_by.mark().call,
                              from.side == Side::stranger ? "a stranger" : "somebody", from.call));
      });
  move_phone(phone, false);
  return phone;
}

// What the proxy puts into U or L for this phone.
std::string Simulation::media_of(const Call& call, const SimPhone& phone) const {
  auto& nat = const_cast<SimPhone&>(phone).nat();
  const IpAddress host = call.host_signalled ? nat.outside() : phone.inside().address;
  return fmt::format("{} {}", host.to_string(), phone.inside().port);
}

Endpoint Simulation::relay_port(const std::string& reply, const std::string& command) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(reply.data(), reply.data() + reply.size(), port);
  const bool in_range = error == std::errc{} && port >= kPortMin && port < kPortMax;
  if (!in_range) violation(fmt::format("`{}` was answered `{}`", command, reply));
  return {kRelay, static_cast<uint16_t>(port)};
}

void Simulation::on_packet(const Endpoint& source, const Endpoint& destination,
                           const Packet& packet) {
  const auto verdict = relay_.receive(source, destination, packet);
  const bool forwarded = verdict && verdict->kind == Verdict::Kind::forward;
  if (Strangers::is_stranger(source)) {
    if (forwarded) {
      violation(fmt::format("a stranger's packet to port {} went on to {}", destination.port,
                            verdict->destination.to_string()));
    }
  } else if (forwarded && mark_of(packet)) {
    strangers_.record(destination, packet);
  }
  trace(fmt::format("{} {} {}", source.port, destination.port,
                    !verdict    ? "lost"
                    : forwarded ? verdict->destination.to_string()
                                : std::string(to_string(verdict->reason))));
}

void Simulation::check_calls() {
  for (const Call& call : calls_) {
    if (call.ended || call.held || call.changes_pending > 0 || call.callee == nullptr) continue;
    if (!call.caller->talking() || !call.callee->talking()) continue;
    if (queue_.now() - call.disturbed < kSettled) continue;
    for (const SimPhone* phone : {call.caller, call.callee}) {
      if (queue_.now() - phone->last_heard() <= kSilenceMax) continue;
      violation(fmt::format("call {}: the {} hears nothing since {} ms", call.id,
                            phone->mark().side == Side::caller ? "caller" : "callee",
                            (queue_.now() - phone->last_heard()) / 1ms));
    }
  }
  if (const std::string imbalance = relay_.plane().imbalance(); !imbalance.empty()) {
    violation("counters do not balance: " + imbalance);
  }
  if (queue_.now() < end_) queue_.after(500ms, [this] { check_calls(); });
}

void Simulation::check_end() {
  const auto expect_none = [this](size_t count, const char* what) {
    if (count != 0) violation(fmt::format("{} {} at the end", count, what));
  };
  expect_none(relay_.sessions().active(), "sessions are left");
  expect_none(relay_.sessions().table().size(), "sessions are in the table");
  expect_none(relay_.sessions().ports().taken(), "port pairs have not come back");
  expect_none(relay_.sessions().unsettled(), "graves are open");
  expect_none(relay_.plane().installed(), "flow groups are in the plane");
  expect_none(relay_.kernel().installed(), "flows are in the kernel");
  expect_none(control_.cached(relay_.clock().now() + 60s), "replies are in the cache");
  if (const std::string imbalance = relay_.plane().imbalance(); !imbalance.empty()) {
    violation("counters do not balance: " + imbalance);
  }
  if (!control_.contradiction().empty()) violation(control_.contradiction());
}

void Simulation::violation(const std::string& what) {
  if (report_.violations.size() == kViolationsMax) return;
  const Duration at = queue_.now() - ManualClock().now();
  report_.violations.push_back(fmt::format("at {} ms: {}", at / 1ms, what));
}

// FNV-1a.
void Simulation::trace(std::string_view text) {
  uint64_t& hash = report_.trace_hash;
  if (hash == 0) hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  hash = (hash ^ static_cast<uint64_t>(to_ns(queue_.now()))) * 0x100000001B3;
}

}  // namespace relay::testing
