// Hands a party's RTP to the voice thread.
#pragma once

#include <memory>
#include <utility>

#include "relay/flow/tap.h"
#include "relay/voice/media_path.h"

namespace relay {

class VoiceTap final : public Tap {
 public:
  // `waker` outlives the tap; `lease` is only held, until the plane has let go of the tap.
  VoiceTap(VoiceId id, std::shared_ptr<VoicePath> path, VoiceWaker& waker,
           std::shared_ptr<const void> lease)
      : id_(id), path_(std::move(path)), waker_(waker), lease_(std::move(lease)) {}

  VoiceId id() const { return id_; }

  TapAnswer offer(const TappedPacket& packet) override;
  bool wants(PacketKind kind) const override { return kind == PacketKind::rtp; }
  const char* name() const override { return "voice"; }

 private:
  const VoiceId id_;
  const std::shared_ptr<VoicePath> path_;
  VoiceWaker& waker_;
  const std::shared_ptr<const void> lease_;
};

}  // namespace relay
