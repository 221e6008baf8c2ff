#include "relay/voice/base64.h"

#include <openssl/evp.h>

namespace relay {

void append_base64(std::string& out, std::span<const uint8_t> bytes) {
  const size_t at = out.size();
  // EVP_EncodeBlock writes a NUL behind the text.
  out.resize(at + (bytes.size() + 2) / 3 * 4 + 1);
  const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data() + at),
                                      bytes.data(), static_cast<int>(bytes.size()));
  out.resize(at + static_cast<size_t>(written));
}

std::optional<std::vector<uint8_t>> decode_base64(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  // EVP_DecodeBlock skips blanks around the text and counts padding as bytes.
  if (text.empty()) return std::vector<uint8_t>{};
  if (text.size() % 4 != 0 || is_blank(text.front()) || is_blank(text.back())) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  if (text.substr(0, text.size() - padding).find('=') != std::string_view::npos) {
    return std::nullopt;
  }
  std::vector<uint8_t> bytes(text.size() / 4 * 3);
  const int decoded =
      EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
  if (decoded < 0) return std::nullopt;
  bytes.resize(static_cast<size_t>(decoded) - padding);
  return bytes;
}

}  // namespace relay
