#include "tools/rtpp-extractaudio/srtp_stream.h"

#include <fmt/core.h>
#include <openssl/evp.h>
#include <srtp2/srtp.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace relay::tools {
namespace {

constexpr std::string_view kSuite80 = "AES_CM_128_HMAC_SHA1_80";
constexpr std::string_view kSuite32 = "AES_CM_128_HMAC_SHA1_32";
constexpr size_t kKeyCharacters = 40;
// Packets of a recording may be this far out of order.
constexpr unsigned long kReplayWindow = 1024;
constexpr size_t kTrailerRoom = SRTP_MAX_TRAILER_LEN;

struct SrtpDeleter {
  void operator()(srtp_t session) const { srtp_dealloc(session); }
};
using Session = std::unique_ptr<srtp_ctx_t, SrtpDeleter>;

// The library is set up once a process.
bool is_library_ready() {
  static const bool ready = srtp_init() == srtp_err_status_ok;
  return ready;
}

Result<Session> make_session(SrtpKey key) {
  if (!is_library_ready()) return fail("libsrtp2 did not start");
  srtp_policy_t policy{};
  if (key.short_tag) {
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy.rtp);
  } else {
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
  }
  srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
  policy.ssrc.type = ssrc_any_inbound;
  policy.key = key.key_and_salt.data();
  policy.window_size = kReplayWindow;
  srtp_t session = nullptr;
  const srtp_err_status_t status = srtp_create(&session, &policy);
  if (status != srtp_err_status_ok) {
    return fail(fmt::format("libsrtp2 refused the key: error {}", static_cast<int>(status)));
  }
  return Session(session);
}

// Padding is behind the encryption: without the payload there is none.
void keep_header_only(Capture& capture, size_t index) {
  const auto packet = capture.packet(index);
  const auto first = std::to_integer<unsigned>(packet[0]);
  packet[0] = static_cast<std::byte>(first & ~0x30U);  // neither padding nor extension
  capture.shorten(index, 12 + size_t{first & 0x0FU} * 4);
}

}  // namespace

Result<SrtpKey> parse_srtp_key(std::string_view text) {
  // What may be a key is not repeated in messages.
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return fail(fmt::format("no colon in it: expected {}:KEY or {}:KEY", kSuite80, kSuite32));
  }
  const std::string_view suite = text.substr(0, colon);
  if (suite != kSuite80 && suite != kSuite32) {
    return fail(fmt::format("'{}': expected {}:KEY or {}:KEY", suite, kSuite80, kSuite32));
  }
  const std::string_view encoded = text.substr(colon + 1);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  SrtpKey key;
  key.short_tag = suite == kSuite32;
  const bool is_key = encoded.size() == kKeyCharacters &&
                      encoded.find_first_not_of(kAlphabet) == std::string_view::npos &&
                      EVP_DecodeBlock(key.key_and_salt.data(),
                                      reinterpret_cast<const unsigned char*>(encoded.data()),
                                      static_cast<int>(encoded.size())) ==
                          static_cast<int>(key.key_and_salt.size());
  if (is_key) return key;
  return fail(
      fmt::format("the key behind {}: is {} characters; expected 30 bytes in base64, {} "
                  "characters of it",
                  suite, encoded.size(), kKeyCharacters));
}

Result<Decryption> decrypt(Capture& capture, const SrtpKey& key) {
  auto session = make_session(key);
  if (!session) return tl::unexpected(session.error());
  Decryption result;
  std::vector<std::byte> scratch;
  for (size_t i = 0; i < capture.size(); ++i) {
    const auto packet = capture.packet(i);
    scratch.assign(packet.begin(), packet.end());
    int bytes = static_cast<int>(scratch.size());
    scratch.resize(scratch.size() + kTrailerRoom);
    const srtp_err_status_t status = srtp_unprotect(session->get(), scratch.data(), &bytes);
    if (status == srtp_err_status_ok) {
      std::copy_n(scratch.begin(), bytes, packet.begin());
      capture.shorten(i, static_cast<size_t>(bytes));
      ++result.decrypted;
      continue;
    }
    const bool is_repeated =
        status == srtp_err_status_replay_fail || status == srtp_err_status_replay_old;
    if (!is_repeated) ++result.refused;
    keep_header_only(capture, i);
  }
  return result;
}

}  // namespace relay::tools
