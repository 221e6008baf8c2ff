// What tests of prompts share: files of payload whose every packet is told apart, and a party that
// notes what it hears.
#pragma once

#include <memory>
#include <vector>

#include "relay/media/prompt.h"
#include "relay/rtp/rtp_header.h"
#include "tests/support/packet_builder.h"

namespace relay::testing {

inline std::shared_ptr<const PromptAudio> prompt_audio(AudioCodec codec, size_t bytes) {
  auto audio = std::make_shared<PromptAudio>();
  audio->codec = codec;
  for (size_t i = 0; i < bytes; ++i) {
    audio->payload.push_back(static_cast<std::byte>((i * 7 + i / 251) & 0xFF));
  }
  return audio;
}

class Listener final : public SourceOutput {
 public:
  void emit(Component component, Bytes packet) override {
    (component == Component::rtp ? rtp : rtcp).emplace_back(packet.begin(), packet.end());
  }
  RtpView last() const { return *RtpView::parse(rtp.back()); }

  std::vector<Packet> rtp, rtcp;
};

}  // namespace relay::testing
