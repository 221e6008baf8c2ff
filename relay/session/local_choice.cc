// Which local address a leg gets, and which remote addresses are refused.
#include <fmt/core.h>

#include <algorithm>

#include "relay/base/log.h"
#include "relay/session/session_manager.h"

namespace relay {
namespace {

tl::unexpected<Refused> refuse(Refusal why, std::string message) {
  return tl::unexpected<Refused>({why, std::move(message)});
}

const std::string* text_or_null(const std::string& text) {
  return text.empty() ? nullptr : &text;
}

}  // namespace

LocalPlan SessionManager::plan_for(const IpAddress& address) const {
  for (const LocalAddress& entry : settings_.local_addresses) {
    if (entry.bind == address) return {address, text_or_null(entry.advertised)};
  }
  return {address, nullptr};
}

const LocalAddress* SessionManager::last_of_family(Family family) const {
  const auto& all = settings_.local_addresses;
  const auto found = std::find_if(all.rbegin(), all.rend(), [&](const LocalAddress& entry) {
    return entry.bind.family() == family;
  });
  return found == all.rend() ? nullptr : &*found;
}

tl::expected<LocalPlan, Refused> SessionManager::chosen_address(const LocalChoice& choice) {
  if (choice.kind == LocalChoice::Kind::label) {
    for (const LocalAddress& entry : settings_.local_addresses) {
      if (entry.label == choice.value) return LocalPlan{entry.bind, text_or_null(entry.advertised)};
    }
    return refuse(Refusal::local_address_unknown,
                  fmt::format("local address label {}, expected one given with -l or -6",
                              quoted(choice.value)));
  }
  const auto address = IpAddress::parse(choice.value);
  if (choice.kind == LocalChoice::Kind::address) {
    if (address) return plan_for(*address);
    return refuse(Refusal::local_address_unknown,
                  fmt::format("local address {}, expected a numeric one", quoted(choice.value)));
  }
  const auto towards = address ? sockets_.address_towards(*address) : std::nullopt;
  if (towards) return plan_for(*towards);
  return refuse(Refusal::no_route,
                fmt::format("no local address leads to {}", quoted(choice.value)));
}

// The first of e/i is the network of the side that L answers, the second of the one that this U
// answers. An address or family asked for by name holds for both.
tl::expected<SessionManager::Plans, Refused> SessionManager::choose_local(
    const MediaRequest& request) {
  const auto plan_of = [](const LocalAddress& entry) {
    return LocalPlan{entry.bind, text_or_null(entry.advertised)};
  };
  const LocalAddress& fallback = settings_.local_addresses.front();
  Plans plans{{plan_of(fallback), plan_of(fallback)}, false, request.sides.size() == 2};
  LegId leg = LegId::caller;
  for (const NetworkSide side : request.sides) {
    const bool external = side == NetworkSide::external;
    if (!settings_.bridging) {
      return refuse(external ? Refusal::no_external_network : Refusal::no_internal_network,
                    "e and i need two networks (-l INTERNAL/EXTERNAL), one is configured");
    }
    plans.by_leg[index(leg)] = plan_of(settings_.local_addresses[external ? 1 : 0]);
    leg = LegId::callee;
  }
  if (request.local) {
    auto chosen = chosen_address(*request.local);
    if (!chosen) return tl::unexpected<Refused>(std::move(chosen.error()));
    return Plans{{*chosen, *chosen}, true, false};
  }
  const Family family = request.ipv6 ? Family::ipv6 : Family::ipv4;
  if (!request.sides.empty() || fallback.bind.family() == family) return plans;
  const LocalAddress* entry = last_of_family(family);
  if (entry == nullptr) {
    return refuse(Refusal::no_address_of_family,
                  fmt::format("no local {} address is configured", request.ipv6 ? "IPv6" : "IPv4"));
  }
  return Plans{{plan_of(*entry), plan_of(*entry)}, true, false};
}

tl::expected<void, Refused> SessionManager::check_remote(
    const std::optional<Endpoint>& remote) const {
  if (!remote) return {};
  const IpAddress& address = remote->address;
  const char* reason = nullptr;
  if (address.is_multicast()) reason = "is a multicast address";
  if (address.is_broadcast()) reason = "is the broadcast address";
  if (ports_.is_own(*remote)) reason = "is a media port of this relay, which makes a loop";
  if (reason == nullptr) return {};
  return refuse(Refusal::remote_address_refused,
                fmt::format("media address {} {}", remote->to_string(), reason));
}

}  // namespace relay
