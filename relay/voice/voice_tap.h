// Hands a party's RTP to the voice thread.
#pragma once

#include <memory>

#include "relay/flow/tap.h"
#include "relay/voice/media_path.h"

namespace relay {

class VoiceTap final : public Tap {
 public:
  // `waker` outlives the tap.
  VoiceTap(std::shared_ptr<VoicePath> path, VoiceWaker& waker)
      : path_(std::move(path)), waker_(waker) {}

  TapAnswer offer(const TappedPacket& packet) override;
  bool wants(PacketKind kind) const override { return kind == PacketKind::rtp; }
  const char* name() const override { return "voice"; }

 private:
  const std::shared_ptr<VoicePath> path_;
  VoiceWaker& waker_;
};

}  // namespace relay
