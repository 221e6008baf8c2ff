#include "ctlproto/modifiers.h"

#include "ctlproto/error_codes.h"
#include "ctlproto/media_address.h"
#include "ctlproto/text.h"
#include "ctlproto/tokens.h"

namespace ctlproto {
namespace {

constexpr size_t kDirectionsMax = 2;
constexpr int kPtimeMaxMs = 999;
constexpr int kPayloadTypeMax = 127;

class ModifierReader {
 public:
  ModifierReader(std::string_view letters, ThirdDirection third_direction)
      : letters_(letters), third_direction_(third_direction) {}

  tl::expected<MediaModifiers, ParseError> read() {
    while (position_ < letters_.size()) {
      if (!read_one()) return tl::unexpected(std::move(error_));
    }
    return std::move(modifiers_);
  }

 private:
  using Member = bool (*)(char);

  bool fail(int code, std::string expected) {
    error_ = {code, "modifiers " + quoted(letters_) + " at " +
                        quoted(letters_.substr(std::min(position_, letters_.size()))) +
                        ", expected " + std::move(expected)};
    return false;
  }

  // The longest run of bytes `member` accepts; moves behind it.
  std::string_view take_run(Member member) {
    const size_t begin = position_;
    while (position_ < letters_.size() && member(letters_[position_])) ++position_;
    return letters_.substr(begin, position_ - begin);
  }

  bool read_one();
  bool read_direction(Direction direction);
  bool read_ptime();
  bool read_codecs();
  bool read_local_address(LocalAddress::Kind kind, int code);
  std::string_view take_address();
  std::string_view take_bare_ipv6();
  std::string_view take_enclosed(char close, Member member);

  std::string_view letters_;
  ThirdDirection third_direction_;
  size_t position_ = 0;
  MediaModifiers modifiers_;
  ParseError error_;
};

bool ModifierReader::read_one() {
  const char letter = to_lower(letters_[position_++]);
  switch (letter) {
    case 'a':
      modifiers_.symmetry = Symmetry::asymmetric;
      return true;
    case 's':
      modifiers_.symmetry = Symmetry::symmetric;
      return true;
    case 'e':
      return read_direction(Direction::external);
    case 'i':
      return read_direction(Direction::internal);
    case '6':  // Kamailio adds one for every IPv6 media line: `U66`
      modifiers_.ipv6 = true;
      return true;
    case 'w':
      modifiers_.weak = true;
      return true;
    case 'n':
      modifiers_.new_port = true;
      return true;
    case 'z':
      return read_ptime();
    case 'c':
      return read_codecs();
    case 'l':
      return read_local_address(LocalAddress::Kind::address, error::local_address_syntax);
    case 'r':
      return read_local_address(LocalAddress::Kind::towards, error::towards_address_syntax);
    default:
      --position_;
      return fail(error::unknown_media_modifier, "one of a s e i 6 w n z c l r");
  }
}

bool ModifierReader::read_direction(Direction direction) {
  if (modifiers_.directions.size() < kDirectionsMax) {
    modifiers_.directions.push_back(direction);
    return true;
  }
  if (third_direction_ == ThirdDirection::ignored) return true;
  --position_;
  return fail(
      direction == Direction::external ? error::external_direction : error::internal_direction,
      "at most two letters e or i");
}

bool ModifierReader::read_ptime() {
  const size_t begin = position_;
  if (position_ < letters_.size() && (letters_[position_] == '+' || letters_[position_] == '-')) {
    ++position_;
  }
  take_run(is_digit);
  const auto ptime_ms = parse_integer(letters_.substr(begin, position_ - begin));
  if (!ptime_ms || *ptime_ms < 1 || *ptime_ms > kPtimeMaxMs) {
    position_ = begin;
    return fail(error::ptime, "1 to 999 milliseconds behind z");
  }
  modifiers_.ptime_ms = ptime_ms;
  position_ = skip_stray_bytes(letters_, position_);
  return true;
}

bool ModifierReader::read_codecs() {
  const std::string_view list = take_run([](char c) { return is_digit(c) || c == ','; });
  // rtpproxy refuses a bare `c` with E14. Kamailio sends it for MSRP lines, and the error would
  // take the call's audio away with it; so at the end of the letters it is an empty list.
  const bool empty_at_end = list.empty() && position_ == letters_.size();
  if (modifiers_.codecs || (list.empty() && !empty_at_end)) {
    return fail(error::codec_list, "one list of payload types behind c");
  }
  std::vector<uint8_t>& codecs = modifiers_.codecs.emplace();
  size_t begin = 0;
  while (begin < list.size()) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const auto payload_type = parse_integer(list.substr(begin, end - begin));
    // No RTP packet can carry a number above 127 (RFC 3550 §5.1). It is left out, not refused:
    // rtpproxy keeps any digits, and the rest of the party's list is good.
    if (payload_type && *payload_type <= kPayloadTypeMax) {
      codecs.push_back(static_cast<uint8_t>(*payload_type));
    }
    begin = end + 1;
  }
  return true;
}

// Inside brackets or braces: what stands before `close`; empty when it is not closed or when
// `member` refuses a byte of it.
std::string_view ModifierReader::take_enclosed(char close, Member member) {
  ++position_;
  const std::string_view text = take_run(member);
  if (position_ == letters_.size() || letters_[position_] != close) return {};
  ++position_;
  return text;
}

// OpenSIPS writes `R<IPv6>` without brackets, and its codec list follows at once:
// `R2001:db8::1c0,8`. Where the digits could belong to either, the list wins, for OpenSIPS sends
// one with every RTP media line. Empty when no IPv6 address starts here.
std::string_view ModifierReader::take_bare_ipv6() {
  const size_t begin = position_;
  const std::string_view run = take_run([](char c) { return is_hex_digit(c) || c == ':'; });
  position_ = begin;
  if (run.find(':') == std::string_view::npos) return {};
  std::string_view address = run;
  const size_t digits = run.find_last_not_of("0123456789") + 1;
  if (digits < run.size() && digits > 0 && to_lower(run[digits - 1]) == 'c' &&
      is_ipv6_literal(run.substr(0, digits - 1))) {
    address = run.substr(0, digits - 1);
  } else if (!is_ipv6_literal(run)) {
    return {};
  }
  position_ += address.size();
  return address;
}

std::string_view ModifierReader::take_address() {
  if (position_ < letters_.size() && letters_[position_] == '[') {
    return take_enclosed(']', [](char c) { return is_hex_digit(c) || c == ':'; });
  }
  const std::string_view ipv6 = take_bare_ipv6();
  if (!ipv6.empty()) return ipv6;
  return take_run([](char c) { return is_digit(c) || c == '.'; });
}

bool ModifierReader::read_local_address(LocalAddress::Kind kind, int code) {
  const size_t begin = position_;
  const bool label =
      kind == LocalAddress::Kind::address && begin < letters_.size() && letters_[begin] == '{';
  const std::string_view value =
      label ? take_enclosed('}', [](char c) { return c != '}'; }) : take_address();
  if (value.empty()) {
    position_ = begin;
    return fail(code, code == error::local_address_syntax
                          ? "an IPv4 address, [IPv6] or {label} behind l"
                          : "an IPv4 address or [IPv6] behind r");
  }
  modifiers_.local_address =
      LocalAddress{label ? LocalAddress::Kind::label : kind, std::string(value)};
  return true;
}

}  // namespace

tl::expected<MediaModifiers, ParseError> parse_media_modifiers(std::string_view letters,
                                                               ThirdDirection third_direction) {
  return ModifierReader(letters, third_direction).read();
}

}  // namespace ctlproto
