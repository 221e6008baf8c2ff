// Base64 of RFC 4648 §4, on OpenSSL.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace relay {

// Appends to `out`.
void append_base64(std::string& out, std::span<const uint8_t> bytes);

// Nothing for anything but whole, padded base64; line ends and blanks are no part of it.
std::optional<std::vector<uint8_t>> decode_base64(std::string_view text);

}  // namespace relay
