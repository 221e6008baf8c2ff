#include "tools/rtpp-extractaudio/side_audio.h"

#include <algorithm>
#include <limits>

#include "relay/base/assert.h"
#include "relay/rtp/rtp_header.h"

namespace relay::tools {
namespace {

int16_t clamped(int32_t sum) {
  return static_cast<int16_t>(std::clamp(sum, int32_t{std::numeric_limits<int16_t>::min()},
                                         int32_t{std::numeric_limits<int16_t>::max()}));
}

}  // namespace

AudioDecoder& StretchAudio::decoder_for(AudioCodec codec) {
  auto& decoder = decoders_.at(static_cast<size_t>(codec));
  if (decoder == nullptr) {
    auto made = make_decoder(codec, {.sample_rate_hz = kTimelineRateHz});
    RELAY_ASSERT(made.has_value());  // the timeline has only what can be decoded
    decoder = std::move(*made);
  }
  return *decoder;
}

void StretchAudio::decode_next() {
  const TimedPacket& packet = stretch_->packets[next_packet_++];
  const auto view = RtpView::parse(capture_->packet(packet.index));
  RELAY_ASSERT(view.has_value());
  room_.resize(samples_in(packet.codec, view->payload().size()));
  const size_t samples = decoder_for(packet.codec).decode(view->payload(), room_);
  decoded_ += samples;
  const int64_t at = stretch_->start + packet.at;
  // Where packets overlap, what came before stays: a sender's timestamps may run slower than its
  // samples.
  const int64_t covered = std::clamp<int64_t>(filled_to_ - at, 0, static_cast<int64_t>(samples));
  pending_ = std::span(room_).first(samples).subspan(static_cast<size_t>(covered));
  pending_at_ = at + covered;
  filled_to_ = std::max(filled_to_, at + static_cast<int64_t>(samples));
}

void StretchAudio::add_to(std::span<int32_t> sums, int64_t from) {
  const int64_t to = from + static_cast<int64_t>(sums.size());
  while (!is_over()) {
    if (pending_.empty()) {
      if (stretch_->start + stretch_->packets[next_packet_].at >= to) return;
      decode_next();
      continue;
    }
    if (pending_at_ >= to) return;
    RELAY_ASSERT(pending_at_ >= from);
    const auto count = std::min(pending_.size(), static_cast<size_t>(to - pending_at_));
    const auto into = sums.subspan(static_cast<size_t>(pending_at_ - from), count);
    for (size_t i = 0; i < count; ++i) into[i] += pending_[i];
    pending_ = pending_.subspan(count);
    pending_at_ += static_cast<int64_t>(count);
  }
}

void SideAudio::read(std::span<int16_t> block) {
  if (at_ == 0 && by_start_.empty()) {
    for (size_t i = 0; i < timeline_.stretches.size(); ++i) by_start_.push_back(i);
    std::stable_sort(by_start_.begin(), by_start_.end(), [&](size_t a, size_t b) {
      return timeline_.stretches[a].start < timeline_.stretches[b].start;
    });
  }
  const int64_t to = at_ + static_cast<int64_t>(block.size());
  while (next_stretch_ < by_start_.size() &&
         timeline_.stretches[by_start_[next_stretch_]].start < to) {
    active_.emplace_back(capture_, timeline_.stretches[by_start_[next_stretch_++]]);
  }
  sums_.assign(block.size(), 0);
  for (StretchAudio& stretch : active_) {
    const uint64_t before = stretch.decoded();
    stretch.add_to(sums_, at_);
    decoded_ += stretch.decoded() - before;
  }
  std::erase_if(active_, [](const StretchAudio& stretch) { return stretch.is_over(); });
  std::transform(sums_.begin(), sums_.end(), block.begin(), clamped);
  at_ = to;
}

}  // namespace relay::tools
