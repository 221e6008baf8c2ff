// Decrypts recorded SRTP (RFC 3711) with a key of its signalling.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "relay/base/result.h"
#include "tools/rtpp-extractaudio/capture.h"

namespace relay::tools {

struct SrtpKey {
  bool short_tag = false;  // AES_CM_128_HMAC_SHA1_32, not _80
  std::array<uint8_t, 30> key_and_salt{};
};

// `SUITE:KEY` as in SDP (RFC 4568 §6.2, §9.2): a suite's name and 30 bytes in base64.
Result<SrtpKey> parse_srtp_key(std::string_view text);

struct Decryption {
  size_t decrypted = 0;
  size_t refused = 0;  // wrong key, or damaged
};

// Turns the packets of `capture` into RTP in place. A refused one keeps its header and loses its
// payload, as does a repeated one: the statistics still see them.
Result<Decryption> decrypt(Capture& capture, const SrtpKey& key);

}  // namespace relay::tools
