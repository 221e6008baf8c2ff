#include "relay/voice/voice_tap.h"

#include <algorithm>
#include <utility>

#include "relay/rtp/rtp_header.h"

namespace relay {

TapAnswer VoiceTap::offer(const TappedPacket& packet) {
  const auto rtp = RtpView::parse(packet.bytes);
  if (!rtp) return TapAnswer::relay;
  const Bytes payload = rtp->payload();
  if (payload.size() > HeardPacket::kPayloadBytesMax) {
    path_->heard_dropped.add();
    return TapAnswer::relay;
  }
  HeardPacket heard;
  heard.arrival_ns = to_ns(packet.arrival);
  heard.timestamp = rtp->timestamp();
  heard.ssrc = rtp->ssrc();
  heard.sequence = rtp->sequence();
  heard.payload_type = rtp->payload_type();
  heard.marker = rtp->marker();
  heard.payload_bytes = static_cast<uint16_t>(payload.size());
  std::copy(payload.begin(), payload.end(), heard.payload.begin());
  const bool was_empty = path_->heard.empty();
  if (!path_->heard.push(std::move(heard))) path_->heard_dropped.add();
  if (was_empty) waker_.wake();
  return TapAnswer::relay;
}

}  // namespace relay
