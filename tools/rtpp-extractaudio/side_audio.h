// The sound of one direction of a recording, block by block: packets decoded where the timeline has
// them, silence between them.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "relay/media/codec.h"
#include "tools/rtpp-extractaudio/timeline.h"

namespace relay::tools {

// One stretch. Blocks are asked for in order.
class StretchAudio {
 public:
  StretchAudio(const Capture& capture, const Stretch& stretch)
      : capture_(&capture), stretch_(&stretch) {}

  // Adds what sounds in [from, from + sums.size()) to `sums`.
  void add_to(std::span<int32_t> sums, int64_t from);
  bool is_over() const { return pending_.empty() && next_packet_ == stretch_->packets.size(); }
  uint64_t decoded() const { return decoded_; }

 private:
  void decode_next();
  AudioDecoder& decoder_for(AudioCodec codec);

  const Capture* capture_;
  const Stretch* stretch_;
  size_t next_packet_ = 0;
  std::array<std::unique_ptr<AudioDecoder>, 8> decoders_;
  std::vector<int16_t> room_;
  std::span<const int16_t> pending_;  // decoded, of `room_`,
  int64_t pending_at_ = 0;            // and where it belongs
  int64_t filled_to_ = 0;
  uint64_t decoded_ = 0;
};

class SideAudio {
 public:
  // Both must outlive it.
  SideAudio(const Capture& capture, const Timeline& timeline)
      : capture_(capture), timeline_(timeline) {}

  // Fills `block` with what comes next.
  void read(std::span<int16_t> block);
  // Samples that came out of packets so far.
  uint64_t decoded() const { return decoded_; }

 private:
  const Capture& capture_;
  const Timeline& timeline_;
  int64_t at_ = 0;
  std::vector<size_t> by_start_;
  size_t next_stretch_ = 0;
  std::vector<StretchAudio> active_;
  std::vector<int32_t> sums_;
  uint64_t decoded_ = 0;
};

}  // namespace relay::tools
