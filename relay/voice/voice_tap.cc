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
  if (!path_->heard.push(std::move(heard))) path_->heard_dropped.add();
  // Whether the ring was empty does not say whether its reader has seen this one.
  waker_.wake();
  return TapAnswer::relay;
}

}  // namespace relay
