#include "ctlproto/media_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>

#include "ctlproto/error_codes.h"
#include "ctlproto/text.h"

namespace ctlproto {
namespace {

constexpr size_t kIpv4CharsMin = 7, kIpv4CharsMax = 15;
constexpr size_t kIpv6CharsMin = 2, kIpv6CharsMax = 45;
using ZeroTerminated = std::array<char, kIpv6CharsMax + 1>;

ZeroTerminated zero_terminated(std::string_view text) {
  ZeroTerminated buffer{};
  std::copy(text.begin(), text.end(), buffer.begin());
  return buffer;
}

bool is_ipv4_length(std::string_view ip) {
  return ip.size() >= kIpv4CharsMin && ip.size() <= kIpv4CharsMax;
}

// What the C library calls a numeric IPv4 address: `01.02.03.04` passes too (octal, as there).
bool parse_ipv4(std::string_view ip, MediaAddress& media) {
  const ZeroTerminated text = zero_terminated(ip);
  in_addr address{};
  const bool canonical = inet_pton(AF_INET, text.data(), &address) == 1;
  if (!canonical) {
    const bool plausible = std::all_of(
        ip.begin(), ip.end(), [](char c) { return is_hex_digit(c) || c == '.' || c == 'x'; });
    if (!plausible || inet_aton(text.data(), &address) == 0) return false;
  }
  media.is_ipv6 = false;
  media.kind = address.s_addr == 0 ? MediaAddress::Kind::hold : MediaAddress::Kind::endpoint;
  if (canonical) {
    media.address = ip;
  } else {
    std::array<char, INET_ADDRSTRLEN> shown{};
    media.address = inet_ntop(AF_INET, &address, shown.data(), shown.size());
  }
  return true;
}

bool parse_ipv6(std::string_view ip, MediaAddress& media) {
  in6_addr address{};
  if (inet_pton(AF_INET6, zero_terminated(ip).data(), &address) != 1) return false;
  media.is_ipv6 = true;
  media.kind =
      IN6_IS_ADDR_UNSPECIFIED(&address) ? MediaAddress::Kind::hold : MediaAddress::Kind::endpoint;
  std::array<char, INET6_ADDRSTRLEN> shown{};
  media.address = inet_ntop(AF_INET6, &address, shown.data(), shown.size());
  return true;
}

// `+5` passes and 65536 wraps to 0, as in rtpproxy.
bool parse_port(std::string_view text, MediaAddress& media) {
  const std::optional<int> port = parse_integer(text);
  if (!port || *port < 0 || text.starts_with('-')) return false;
  media.port = static_cast<uint16_t>(*port & 0xFFFF);
  return true;
}

}  // namespace

bool is_ipv6_literal(std::string_view text) {
  in6_addr address{};
  return text.size() >= kIpv6CharsMin && text.size() <= kIpv6CharsMax &&
         inet_pton(AF_INET6, zero_terminated(text).data(), &address) == 1;
}

tl::expected<MediaAddress, ParseError> classify_media_address(std::string_view ip,
                                                              std::string_view port, bool ipv6) {
  tl::expected<MediaAddress, ParseError> result;
  MediaAddress& media = *result;
  const bool plausible =
      ipv6 ? ip.size() >= kIpv6CharsMin && ip.size() <= kIpv6CharsMax : is_ipv4_length(ip);
  if (!plausible) return result;
  const bool numeric =
      (ipv6 && parse_ipv6(ip, media)) || (is_ipv4_length(ip) && parse_ipv4(ip, media));
  if (!numeric) {
    return refuse(error::media_address, "media address " + quoted(ip) + ", expected a numeric " +
                                            (ipv6 ? "IPv6 or IPv4 address" : "IPv4 address"));
  }
  if (!parse_port(port, media)) {
    return refuse(error::media_address, "media port " + quoted(port) + ", expected a number");
  }
  return result;
}

}  // namespace ctlproto
