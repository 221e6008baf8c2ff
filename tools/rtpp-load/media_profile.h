// What a stream sends: telephone speech, speech with pauses, video. Pure, and the same for the same
// stream in every run.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace relay::tools {

enum class MediaProfile : uint8_t { g711, opus, video };

struct ProfileTraits {
  uint8_t payload_type;
  uint32_t samples_per_ms;
  int ptime_ms;  // unless told otherwise; of video: between two pictures
};

// The packets of one turn; none in a pause. All but the last have `payload_bytes`.
struct Turn {
  int packets = 1;
  int payload_bytes = 0;
  int last_bytes = 0;
  bool marker = false;  // on the last one
};

// Bytes behind the RTP header that fit into an Ethernet frame over IPv6, too.
inline constexpr int kPayloadBytesMtu = 1440;

std::optional<MediaProfile> parse_media_profile(std::string_view name);
std::string_view name_of(MediaProfile profile);
const ProfileTraits& traits_of(MediaProfile profile);
// `payload_bytes` is what G.711 sends; the others vary by themselves.
Turn turn_of(MediaProfile profile, uint32_t stream, uint32_t turn, int payload_bytes);

}  // namespace relay::tools
