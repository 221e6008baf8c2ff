// Checks shared by the settings. A failure quotes where the value came from and the value, and says
// what was expected.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/config/setting.h"

namespace relay {

using Status = Result<void>;

tl::unexpected<Error> refuse(const Setting& setting, std::string_view expectation);

// A clean decimal: digits with an optional minus sign, nothing else.
Result<int64_t> parse_integer(const Setting& setting, int64_t min, int64_t max);

// The same into a number or a duration, which a failure leaves as it was; an optional one has a
// value in any case.
template <typename Number>
Status set_number(Number& member, const Setting& setting, int64_t min, int64_t max) {
  const auto value = parse_integer(setting, min, max);
  if (!value) return tl::unexpected(value.error());
  member = static_cast<Number>(*value);
  return {};
}

template <typename Number>
Status set_number(std::optional<Number>& member, const Setting& setting, int64_t min, int64_t max) {
  return set_number(member.emplace(), setting, min, max);
}

// The name closest to `text` by edit distance, for "did you mean"; empty when none is close.
std::string_view nearest_name(std::string_view text, std::span<const std::string_view> names);

// A numeric address of `family` (brackets around IPv6 allowed), "*" for the wildcard, or, unless
// `numeric_only`, a host name, looked up now (this may block on DNS).
Result<IpAddress> resolve_address(const Setting& setting, std::string_view host, Family family,
                                  bool numeric_only);

}  // namespace relay
