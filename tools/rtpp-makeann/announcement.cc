#include "tools/rtpp-makeann/announcement.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>

#include "relay/media/codec.h"

namespace relay::tools {
namespace {

constexpr uint32_t kBaseRateHz = 8000;
constexpr size_t kBlockMs = 20;
constexpr uint64_t kLimitMax = std::numeric_limits<uint64_t>::max() / 8;
constexpr std::array kCodecs{AudioCodec::pcmu, AudioCodec::pcma, AudioCodec::gsm, AudioCodec::g729,
                             AudioCodec::g722};

// The input as often as asked for, block by block.
class Feed {
 public:
  Feed(std::span<const int16_t> samples, uint64_t total, bool rewind)
      : samples_(samples), left_(rewind ? total : std::min<uint64_t>(total, samples.size())) {}

  // The number of samples written to `block`; less than fit at the end.
  size_t next(std::span<int16_t> block) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(left_, block.size()));
    for (size_t i = 0; i < count; ++i) {
      block[i] = samples_[at_];
      at_ = at_ + 1 == samples_.size() ? 0 : at_ + 1;
    }
    left_ -= count;
    return count;
  }

 private:
  std::span<const int16_t> samples_;
  uint64_t left_;
  size_t at_ = 0;
};

Result<void> encode_all(AudioEncoder& encoder, Feed& feed, bool pads, std::ostream& file) {
  std::vector<int16_t> block(encoder.sample_rate_hz() / 1000 * kBlockMs);
  std::vector<std::byte> payload(2 * block.size());
  while (size_t samples = feed.next(block)) {
    if (pads && samples < block.size()) {
      std::fill(block.begin() + static_cast<ptrdiff_t>(samples), block.end(), int16_t{0});
      samples = block.size();
    }
    const size_t bytes = encoder.encode(std::span(block).first(samples), payload);
    file.write(reinterpret_cast<const char*>(payload.data()), static_cast<std::streamsize>(bytes));
    if (!file) return fail_errno("write");
  }
  file.flush();
  if (!file) return fail_errno("write");
  return {};
}

Result<void> write_file(AudioEncoder& encoder, Feed feed, bool pads, const std::string& path) {
  const std::string part = path + ".part";
  std::error_code ignored;
  Result<void> written;
  {
    std::ofstream file(part, std::ios::binary | std::ios::trunc);
    if (!file) return fail_errno(part);
    written = encode_all(encoder, feed, pads, file);
  }
  if (!written) {
    std::filesystem::remove(part, ignored);
    return tl::unexpected(with_context(part, written.error()));
  }
  std::error_code error;
  std::filesystem::rename(part, path, error);
  if (!error) return {};
  std::filesystem::remove(part, ignored);
  return fail(fmt::format("{}: {}", path, error.message()));
}

}  // namespace

Result<void> write_announcement(const Pcm& pcm, const std::string& stem,
                                const std::string& input_path, const AnnouncementOptions& options) {
  auto narrow = at_rate(pcm, kBaseRateHz);
  if (!narrow) return tl::unexpected(with_context(input_path, narrow.error()));
  const uint64_t limit = std::min(options.limit.value_or(kLimitMax), kLimitMax);
  for (const AudioCodec codec : kCodecs) {
    if (!can_transcode(codec)) continue;
    // G.722 carries what an input of a higher rate has above 4 kHz.
    const bool narrow_band = codec == AudioCodec::g722 && pcm.rate_hz <= kBaseRateHz;
    auto encoder = make_encoder(codec, {.sample_rate_hz = narrow_band ? kBaseRateHz : 0,
                                        .voice_activity = options.voice_activity});
    if (!encoder) return tl::unexpected(encoder.error());
    const std::string path = fmt::format("{}.{}", stem, traits_of(codec).payload_type);
    std::error_code ignored;
    if (std::filesystem::equivalent(path, input_path, ignored)) {
      return fail(fmt::format("{}: is the input; expected another template", path));
    }
    const uint32_t per_base = (*encoder)->sample_rate_hz() / kBaseRateHz;
    std::vector<int16_t> wide;
    if (per_base > 1) {
      auto resampled = at_rate(pcm, (*encoder)->sample_rate_hz());
      if (!resampled) return tl::unexpected(with_context(input_path, resampled.error()));
      wide = std::move(*resampled);
      wide.resize(narrow->size() * per_base);
    }
    const bool pads = codec != AudioCodec::pcmu && codec != AudioCodec::pcma;
    const Feed feed(per_base > 1 ? wide : *narrow, limit * per_base, options.rewind);
    if (const auto ok = write_file(**encoder, feed, pads, path); !ok) return ok;
  }
  return {};
}

}  // namespace relay::tools
