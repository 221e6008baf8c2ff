#include "tests/support/sim_relay.h"

#include <algorithm>

#include "relay/base/log.h"
#include "relay/config/options.h"

namespace relay::testing {
namespace {

using namespace std::chrono_literals;

SessionSettings seeded(SessionSettings settings, uint64_t seed) {
  settings.ports.seed = seed;
  return settings;
}

std::vector<IpAddress> host_addresses() {
  return {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("192.0.2.2"),
          *IpAddress::parse("2001:db8::1")};
}

}  // namespace

Result<Config> config_from_options(const std::vector<std::string>& options) {
  std::vector<const char*> arguments{"rtpp-relay"};
  for (const std::string& option : options) arguments.push_back(option.c_str());
  const auto line = parse_command_line(static_cast<int>(arguments.size()), arguments.data(), false);
  if (!line) return tl::unexpected(line.error());
  if (!std::holds_alternative<Config>(*line)) return fail("the options run no relay");
  return std::get<Config>(*line);
}

SimRelay::SimRelay(const Config& config, uint64_t seed, InlinePlane::Outlet outlet,
                   Duration plane_settles_after, bool with_fast_path)
    : host_(host_addresses()),
      outlet_(outlet),
      plane_(clock_, std::move(outlet), plane_settles_after),
      kernel_(clock_),
      offloader_(plane_, kernel_, clock_),
      used_(with_fast_path ? static_cast<ForwardingPlane&>(offloader_) : plane_),
      sessions_(seeded(to_session_settings(config.startup), seed),
                to_session_limits(config.runtime), host_, used_, clock_),
      dispatcher_(config.startup, sessions_, used_, clock_),
      dtmf_(config.startup, *dtmf_events_, sessions_.table(),
            [this](const LineTarget& target, const std::string& line) {
              notifications_.push_back(target.name + " " + line);
            }),
      next_second_(clock_.now() + 1s) {
  dispatcher_.offer_dtmf(*dtmf_events_);
  if (with_fast_path) next_tick_ = clock_.now() + Offloader::kTick;
  log_set_level(LogLevel::critical);  // refusals are part of the play
  sessions_.on_timeout([this](const Session& session) {
    if (!session.notification) return;
    notifications_.push_back(session.notification->socket + " " + session.notification->tag);
  });
}

std::optional<Verdict> SimRelay::receive(const Endpoint& source, const Endpoint& destination,
                                         Bytes bytes) {
  const auto outcome = kernel_.receive(source, destination, bytes);
  if (outcome.goes_to_socket()) return plane_.receive(source, destination, bytes);
  if (outcome.fate == FakeKernelPlane::Fate::dropped) return std::nullopt;
  outlet_(outcome.egress, outcome.destination, bytes);
  return Verdict::forward(LegId::callee, Component::rtp, outcome.destination);
}

void SimRelay::advance(Duration step) {
  const Instant end = clock_.now() + step;
  while (clock_.now() < end) {
    clock_.set(std::min({end, next_second_, next_tick_}));
    if (clock_.now() >= next_tick_) {
      offloader_.tick();
      next_tick_ += Offloader::kTick;
    }
    if (clock_.now() < next_second_) continue;
    next_second_ += 1s;
    sessions_.expire();
    dispatcher_.tick();
  }
}

std::string SimRelay::command(std::string_view text) {
  const CommandOrigin origin{Endpoint{*IpAddress::parse("127.0.0.1"), 40000},
                             Endpoint{*IpAddress::parse("127.0.0.1"), 7722}};
  std::string reply = dispatcher_.execute(text, origin);
  if (reply.ends_with("\n")) reply.pop_back();
  return reply;
}

}  // namespace relay::testing
