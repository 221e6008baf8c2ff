// The HTTP upgrade of a WebSocket client (RFC 6455 §4.1). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/voice/driver.h"
#include "relay/voice/url.h"
#include "relay/voice/voice_event.h"

namespace relay {

// `key` is Sec-WebSocket-Key, base64 of 16 random bytes.
std::string upgrade_request(const VoiceUrl& url, const std::vector<HttpHeader>& headers,
                            std::string_view subprotocol, std::string_view key);

// Sec-WebSocket-Accept that answers `key`.
std::string accept_of(std::string_view key);

struct UpgradeReply {
  size_t bytes = 0;  // of the head; frames may follow
  bool accepted = false;
  VoiceError error = VoiceError::rejected;  // if not accepted
  std::string text;                         // why not
  std::string log_id;                       // X-Tt-Logid, which Volcengine's support asks for
};

// Nothing while the head is not complete; a head of more than 16 KiB is an error.
std::optional<UpgradeReply> parse_upgrade_reply(std::string_view received, std::string_view key,
                                                std::string_view subprotocol);

}  // namespace relay
