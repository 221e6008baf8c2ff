#include "tools/rtpp-load/media_profile.h"

#include <array>

#include "relay/base/assert.h"
#include "tools/rtpp-load/probe.h"

namespace relay::tools {
namespace {

struct NamedProfile {
  std::string_view name;
  ProfileTraits traits;
};
// In the order of the enumeration.
constexpr std::array<NamedProfile, 3> kProfiles = {{
    {"g711", {0, 8, 20}},
    {"opus", {111, 48, 20}},
    {"video", {96, 90, 40}},
}};

// Speech: spurts and pauses of two seconds, 45 % speech; in a pause a packet each 400 ms.
constexpr uint32_t kSpurtTurns = 100;
constexpr uint32_t kSpeechPercent = 45;
constexpr uint32_t kPausePacketTurns = 20;
constexpr int kSpeechBytesMin = 60;
constexpr uint32_t kSpeechBytesSpan = 81;

// Video: a whole picture each two seconds, changes in between.
constexpr uint32_t kPictureTurns = 50;
constexpr int kPicturePackets = 12;
constexpr uint32_t kChangePackets = 3;

// SplitMix64's mixing, for numbers without a pattern.
uint32_t mixed(uint32_t stream, uint32_t turn) {
  uint64_t x = (uint64_t{stream} << 32 | turn) + 0x9E3779B97F4A7C15U;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
  x = (x ^ x >> 27) * 0x94D049BB133111EBU;
  return static_cast<uint32_t>(x ^ x >> 31);
}

bool speaks(uint32_t stream, uint32_t turn) {
  return mixed(stream, turn / kSpurtTurns) % 100 < kSpeechPercent;
}

Turn speech(uint32_t stream, uint32_t turn) {
  if (!speaks(stream, turn)) {
    if (turn % kPausePacketTurns != 0) return {0, 0, 0, false};
    return {1, kProbeBytes, kProbeBytes, false};
  }
  const int bytes = kSpeechBytesMin + static_cast<int>(mixed(stream, turn) % kSpeechBytesSpan);
  const bool begins = turn % kSpurtTurns == 0 && (turn == 0 || !speaks(stream, turn - 1));
  return {1, bytes, bytes, begins};
}

Turn picture(uint32_t stream, uint32_t turn) {
  const uint32_t random = mixed(stream, turn);
  const int last = static_cast<int>(kProbeBytes) +
                   static_cast<int>(random % (kPayloadBytesMtu - uint32_t{kProbeBytes} + 1));
  const bool whole = (turn + stream) % kPictureTurns == 0;
  const int packets =
      whole ? kPicturePackets : 1 + static_cast<int>(random / 4096 % kChangePackets);
  return {packets, kPayloadBytesMtu, last, true};
}

}  // namespace

std::optional<MediaProfile> parse_media_profile(std::string_view name) {
  for (size_t i = 0; i < kProfiles.size(); ++i) {
    if (kProfiles[i].name == name) return static_cast<MediaProfile>(i);
  }
  return std::nullopt;
}

std::string_view name_of(MediaProfile profile) {
  return kProfiles[static_cast<size_t>(profile)].name;
}

const ProfileTraits& traits_of(MediaProfile profile) {
  return kProfiles[static_cast<size_t>(profile)].traits;
}

Turn turn_of(MediaProfile profile, uint32_t stream, uint32_t turn, int payload_bytes) {
  switch (profile) {
    case MediaProfile::g711:
      return {1, payload_bytes, payload_bytes, turn == 0};
    case MediaProfile::opus:
      return speech(stream, turn);
    case MediaProfile::video:
      return picture(stream, turn);
  }
  RELAY_ASSERT(false);
  return {};
}

}  // namespace relay::tools
