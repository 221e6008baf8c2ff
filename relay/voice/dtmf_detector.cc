#include "relay/voice/dtmf_detector.h"

#include <algorithm>
#include <string_view>

namespace relay {
namespace {

constexpr std::string_view kDigits = "0123456789*#ABCD";
constexpr Duration kSilence = std::chrono::milliseconds(200);

}  // namespace

std::optional<KeyPress> DtmfDetector::on_packet(const HeardPacket& packet, uint32_t clock_rate_hz) {
  if (packet.payload_bytes < 4) return std::nullopt;
  const auto event = static_cast<uint8_t>(packet.payload[0]);
  if (event >= kDigits.size()) return std::nullopt;
  if (has_told_ && packet.ssrc == told_ssrc_ && packet.timestamp == told_timestamp_) {
    return std::nullopt;
  }
  std::optional<KeyPress> earlier;
  const bool same =
      pressed_ && pressed_->ssrc == packet.ssrc && pressed_->timestamp == packet.timestamp;
  if (pressed_ && !same) earlier = finish();
  if (!pressed_) pressed_ = Pressed{packet.ssrc, packet.timestamp, event, 0, clock_rate_hz, 0};
  const auto duration = static_cast<uint16_t>((static_cast<uint16_t>(packet.payload[2]) << 8) |
                                              static_cast<uint16_t>(packet.payload[3]));
  pressed_->duration = std::max(pressed_->duration, duration);
  pressed_->last_arrival_ns = packet.arrival_ns;
  const bool is_end = (static_cast<uint8_t>(packet.payload[1]) & 0x80) != 0;
  // Two presses in one call cannot both be told; the later one is, once on_time() is asked.
  if (earlier) return earlier;
  return is_end ? finish() : std::nullopt;
}

std::optional<KeyPress> DtmfDetector::on_time(Instant now) {
  if (!pressed_ || to_ns(now) - pressed_->last_arrival_ns < kSilence.count()) return std::nullopt;
  return finish();
}

std::optional<KeyPress> DtmfDetector::finish() {
  const Pressed pressed = *pressed_;
  pressed_.reset();
  has_told_ = true;
  told_ssrc_ = pressed.ssrc;
  told_timestamp_ = pressed.timestamp;
  return KeyPress{kDigits[pressed.event], std::chrono::milliseconds(uint64_t{pressed.duration} *
                                                                    1000 / pressed.clock_rate_hz)};
}

}  // namespace relay
