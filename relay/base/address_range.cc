#include "relay/base/address_range.h"

#include <charconv>

namespace relay {

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  AddressRange range;
  range.first_ = *address;
  const unsigned most = address->is_ipv6() ? 128 : 32;
  range.bits_ = most;
  if (slash == std::string_view::npos) return range;
  const std::string_view bits = text.substr(slash + 1);
  const char* const end = bits.data() + bits.size();
  const auto [rest, failure] = std::from_chars(bits.data(), end, range.bits_);
  if (failure != std::errc{} || rest != end || range.bits_ > most) return std::nullopt;
  return range;
}

bool AddressRange::contains(const IpAddress& address) const {
  if (address.family() != first_.family()) return false;
  for (unsigned bit = 0; bit < bits_; bit += 8) {
    const unsigned kept = bits_ - bit < 8 ? bits_ - bit : 8;
    const unsigned mask = 0xFFU << (8 - kept) & 0xFFU;
    if (((address.bytes()[bit / 8] ^ first_.bytes()[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace relay
