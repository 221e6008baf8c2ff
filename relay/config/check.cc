#include "relay/config/check.h"

#include <fmt/core.h>
#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <vector>

#include "relay/base/log.h"

namespace relay {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string_view without_brackets(std::string_view host) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    return host.substr(1, host.size() - 2);
  }
  return host;
}

std::string_view family_name(Family family) {
  return family == Family::ipv6 ? "IPv6" : "IPv4";
}

}  // namespace

tl::unexpected<Error> refuse(const Setting& setting, std::string_view expectation) {
  return fail(fmt::format("{}: {}: {}", setting.source, quoted(setting.value), expectation));
}

Result<int64_t> parse_integer(const Setting& setting, int64_t min, int64_t max) {
  int64_t value = 0;
  const char* const end = setting.value.data() + setting.value.size();
  const auto [rest, error] = std::from_chars(setting.value.data(), end, value);
  if (error != std::errc{} || rest != end || value < min || value > max) {
    return refuse(setting, fmt::format("expected a whole number from {} to {}", min, max));
  }
  return value;
}

std::string_view nearest_name(std::string_view text, std::span<const std::string_view> names) {
  std::string_view best;
  size_t best_distance = std::max<size_t>(2, text.size() / 3) + 1;  // refused from here on
  for (const std::string_view name : names) {
    // "session" for session_seconds: a beginning counts as one slip.
    const bool begins = text.size() >= 3 && name.starts_with(text);
    const size_t distance = begins ? 1 : edit_distance(text, name);
    if (distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

Result<IpAddress> resolve_address(const Setting& setting, std::string_view host, Family family,
                                  bool numeric_only) {
  if (host.empty()) return refuse(setting, "the address is empty, write * for all addresses");
  if (host == "*") return IpAddress::any(family);
  const std::string name(without_brackets(host));
  if (const auto numeric = IpAddress::parse(name)) {
    if (numeric->family() == family) return *numeric;
    return refuse(setting,
                  fmt::format("{} is not an {} address", quoted(name), family_name(family)));
  }
  if (numeric_only) {
    return refuse(setting, fmt::format("{} is not a numeric {} address, and names are not resolved",
                                       quoted(name), family_name(family)));
  }
  addrinfo hints{};
  hints.ai_family = family == Family::ipv6 ? AF_INET6 : AF_INET;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  const Endpoint endpoint = error == 0 ? to_endpoint(found->ai_addr) : Endpoint{};
  if (!endpoint.valid() || endpoint.address.family() != family) {
    return refuse(setting, fmt::format("cannot resolve {} to an {} address: {}", quoted(name),
                                       family_name(family),
                                       error == 0 ? "no such address" : ::gai_strerror(error)));
  }
  return endpoint.address;
}

}  // namespace relay
