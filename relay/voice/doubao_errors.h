// Doubao's codes, of both dialogues. Errors: 5xxxxxxx may pass, 4xxxxxxx stays.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "relay/voice/voice_event.h"

namespace relay {

// The status_code of a reply after which the caller wants to leave.
constexpr std::string_view kDoubaoGoodbye = "20000002";

// The first number of eight digits in `text` that begins with 4 or 5.
std::optional<int64_t> find_doubao_code(std::string_view text);

// `text` is the message beside the code. An unknown speaker stays unknown, whatever its code.
VoiceError classify_doubao_error(std::optional<int64_t> code, std::string_view text);

}  // namespace relay
