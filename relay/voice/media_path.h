// What crosses between the worker that owns a call's flows and the voice thread: heard packets one
// way, frames to be spoken the other. Bounded; neither side ever waits for the other.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "relay/base/published.h"
#include "relay/base/spsc_ring.h"

namespace relay {

using VoiceId = uint64_t;  // of a voice session; never used twice

// RTP of one party, as it came. The worker writes, the voice thread reads.
struct HeardPacket {
  static constexpr size_t kPayloadBytesMax = 960;  // 60 ms of L16 at 8 kHz

  int64_t arrival_ns = 0;
  uint32_t timestamp = 0, ssrc = 0;
  uint16_t sequence = 0, payload_bytes = 0;
  uint8_t payload_type = 0;
  bool marker = false;
  std::array<std::byte, kPayloadBytesMax> payload;
};

// One 20 ms packet's payload. The voice thread writes, the worker reads.
struct SpokenFrame {
  static constexpr size_t kPayloadBytesMax = 640;  // 20 ms of L16 at 16 kHz

  uint32_t epoch = 0;  // of an earlier one than VoicePath::epoch: it is not spoken any more
  uint16_t payload_bytes = 0;
  bool starts_talk_spurt = false;
  std::array<std::byte, kPayloadBytesMax> payload;
};

// Wakes the voice thread; any thread, never waits.
class VoiceWaker {
 public:
  virtual ~VoiceWaker() = default;
  virtual void wake() = 0;
};

// Of one leg: what its party says, and what it is told.
struct VoicePath {
  static constexpr size_t kHeardPackets = 64;  // over a second
  static constexpr size_t kSpokenFrames = 16;  // 320 ms

  SpscRing<HeardPacket> heard{kHeardPackets};
  SpscRing<SpokenFrame> spoken{kSpokenFrames};

  // The voice thread writes.
  std::atomic<uint32_t> epoch{0};

  // The worker writes.
  std::atomic<uint64_t> frames_taken{0};   // out of `spoken`, sent or discarded
  Counter frames_spoken;                   // sent
  Counter frames_discarded;                // of an earlier epoch
  Counter heard_dropped;                   // the ring was full, or the payload too large
  std::atomic<int64_t> last_spoken_ns{0};  // when the last one was sent
  std::atomic<int64_t> last_slot_ns{0};    // the time of its timestamp: up to a lead later
};

}  // namespace relay
