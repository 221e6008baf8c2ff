// The binary frames of Doubao's v1 dialogue (Volcengine document 6561/1594356). Pure.
//
//   byte 0   version (1) and header size in words     [ error code  u32 ]  type error only
//   byte 1   message type and flags                   [ sequence    i32 ]  flag bit 0
//   byte 2   serialization and compression            [ event       u32 ]  flags 0100
//   byte 3   reserved                                 [ id size u32, id ]  by class of the event
//                                                     payload size u32, payload
//
// All numbers are big-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "relay/voice/driver.h"

namespace relay {

struct DoubaoFrame {
  enum class Type : uint8_t {
    full_request = 1,
    audio_request = 2,
    full_response = 9,
    audio_response = 11,
    error = 15,
  };
  enum class Event : uint32_t {
    none = 0,
    start_connection = 1,
    finish_connection = 2,
    connection_started = 50,
    connection_failed = 51,
    connection_finished = 52,
    start_session = 100,
    finish_session = 102,
    session_started = 150,
    session_finished = 152,
    session_failed = 153,
    task_request = 200,
    say_hello = 300,
    tts_sentence_start = 350,
    tts_response = 352,
    tts_ended = 359,
    asr_info = 450,
    asr_response = 451,
    asr_ended = 459,
    chat_response = 550,
    chat_ended = 559,
    dialog_error = 599,
  };

  Type type = Type::full_request;
  bool is_json = true;  // else raw bytes
  Event event = Event::none;
  std::optional<int32_t> sequence;
  std::optional<uint32_t> error_code;  // type error
  std::string_view id;                 // of the connection or session, by the event
  Octets payload;
};

// Views into `bytes`. Nothing for what is no such frame: another version, a length beyond the end,
// compressed payloads. A response to audio without event number is audio.
// Error frames: implementations disagree whether code or event comes first; whichever ends at the
// frame's end is taken, and failing both the rest is the payload.
std::optional<DoubaoFrame> parse_doubao_frame(Octets bytes);

// Of a client: with an event, without sequence.
void encode_doubao_frame(const DoubaoFrame& frame, std::vector<uint8_t>& out);

}  // namespace relay
