// A sound file of both parties: 16-bit stereo WAV, the caller left, the callee right, aligned in
// time, silence where nobody spoke or packets are missing. Recorder thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "relay/base/unique_fd.h"
#include "relay/media/codec.h"
#include "relay/media/recorded_packet.h"
#include "relay/media/resampler.h"
#include "relay/rtp/rtp_header.h"

struct sf_private_tag;

namespace relay {

class WavFile final : public RecordWriter {
 public:
  explicit WavFile(UniqueFd fd);

  // False for what is no RTP with audio of a codec that is known by its payload type, and for
  // packets that come more than half a second late. The first packet settles the sample rate:
  // 16 kHz for wideband audio, 8 kHz otherwise.
  Result<bool> write(const RecordedPacket& packet) override;
  // All but the last half second, which later packets may still change.
  Result<void> flush() override;
  Result<void> finish() override;

 private:
  // One party. Positions count samples of the file from its start.
  struct Channel {
    std::optional<uint32_t> ssrc;
    uint8_t payload_type = 0;
    uint16_t sequence = 0;
    std::unique_ptr<AudioDecoder> decoder;
    std::optional<Resampler> resampler;
    uint32_t clock_hz = 8000;
    uint32_t anchor_timestamp = 0;  // of the sample at `anchor`
    int64_t anchor = 0;
    int64_t end = 0;  // of what has been placed
  };
  struct CloseSound {
    void operator()(sf_private_tag* sound) const;
  };

  bool choose_decoder(Channel& channel, uint8_t payload_type);
  int64_t position_of(Channel& channel, const RtpView& rtp, int64_t arrived_at);
  int64_t samples(Duration duration) const;
  bool place(size_t side, int64_t position, std::span<const int16_t> audio);
  Result<void> open_sound();
  Result<void> write_up_to(int64_t position);

  UniqueFd fd_;
  std::unique_ptr<sf_private_tag, CloseSound> sound_;
  uint32_t rate_hz_ = 0;  // 0: no packet yet
  Instant start_{}, last_arrival_{};
  std::array<Channel, 2> channels_;  // left, right
  std::vector<int16_t> window_;      // interleaved, from `written_` on
  int64_t written_ = 0;
  std::vector<int16_t> decoded_, resampled_;
};

}  // namespace relay
