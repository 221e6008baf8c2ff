#include "tools/rtpp-extractaudio/extraction.h"

#include <algorithm>
#include <array>
#include <vector>

#include "tools/rtpp-extractaudio/side_audio.h"

namespace relay::tools {
namespace {

constexpr size_t kBlock = 1600;  // 200 ms

bool is_heard(const std::optional<Side>& side) {
  return side && !side->timeline.stretches.empty();
}

class Mixer {
 public:
  Mixer(const std::optional<Side>& answer, const std::optional<Side>& originate, int channels)
      : stereo_(channels == 2) {
    if (is_heard(answer)) answer_.emplace(answer->capture, answer->timeline);
    if (is_heard(originate)) originate_.emplace(originate->capture, originate->timeline);
  }

  // The next `frames` of the output, at most kBlock.
  std::span<const int16_t> next(size_t frames) {
    std::array<int16_t, kBlock> left{}, right{};
    if (answer_) answer_->read(std::span(left).first(frames));
    if (originate_) originate_->read(std::span(right).first(frames));
    for (size_t i = 0; i < frames; ++i) {
      if (stereo_) {
        out_[2 * i] = left[i];
        out_[2 * i + 1] = right[i];
      } else {
        const int sum = left[i] + right[i];
        out_[i] = static_cast<int16_t>(answer_ && originate_ ? sum / 2 : sum);
      }
    }
    return std::span(out_).first(stereo_ ? 2 * frames : frames);
  }

  uint64_t answer_samples() const { return answer_ ? answer_->decoded() : 0; }
  uint64_t originate_samples() const { return originate_ ? originate_->decoded() : 0; }

 private:
  bool stereo_;
  std::optional<SideAudio> answer_, originate_;
  std::array<int16_t, 2 * kBlock> out_{};
};

}  // namespace

Result<ExtractedSamples> extract(std::optional<Side>& answer, std::optional<Side>& originate,
                                 bool synchronised, int channels, SoundFile& file) {
  std::vector<Timeline*> timelines;
  for (auto* side : {&answer, &originate}) {
    if (*side) timelines.push_back(&(*side)->timeline);
  }
  place(timelines, synchronised);
  uint64_t end = 0;
  for (const Timeline* timeline : timelines) {
    end = std::max(end, static_cast<uint64_t>(timeline->end()));
  }
  Mixer mixer(answer, originate, channels);
  ExtractedSamples samples;
  while (samples.written < end) {
    const auto frames = static_cast<size_t>(std::min<uint64_t>(kBlock, end - samples.written));
    if (const auto ok = file.write(mixer.next(frames)); !ok) return tl::unexpected(ok.error());
    samples.written += frames;
  }
  samples.answer = mixer.answer_samples();
  samples.originate = mixer.originate_samples();
  return samples;
}

}  // namespace relay::tools
