#include "tools/rtpp-makeann/pcm_file.h"

#include <fmt/core.h>
#include <sndfile.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string_view>

#include "relay/media/resampler.h"

namespace relay::tools {
namespace {

constexpr size_t kBytesMax = size_t{1} << 30;
constexpr size_t kSamplesMax = kBytesMax / 2;
constexpr size_t kBlock = 4096;

struct StdioDeleter {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
struct SoundDeleter {
  void operator()(SNDFILE* file) const { sf_close(file); }
};
using StdioFile = std::unique_ptr<std::FILE, StdioDeleter>;

tl::unexpected<Error> too_long(const std::string& path) {
  return fail(fmt::format("{}: more than {} samples", path, kSamplesMax));
}

bool is_wav(std::string_view head) {
  const std::string_view id = head.substr(0, 4);
  return head.size() == 12 && (id == "RIFF" || id == "RIFX" || id == "RF64") &&
         head.substr(8) == "WAVE";
}

int16_t sample_of(float value) {
  if (std::isnan(value)) return 0;
  return static_cast<int16_t>(std::lround(std::clamp(value * 32768.0F, -32768.0F, 32767.0F)));
}

Result<Pcm> load_wav(const std::string& path) {
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, SoundDeleter> file(sf_open(path.c_str(), SFM_READ, &info));
  if (file == nullptr) return fail(fmt::format("{}: {}", path, sf_strerror(nullptr)));
  const auto channels = static_cast<size_t>(info.channels);
  Pcm pcm;
  pcm.rate_hz = static_cast<uint32_t>(info.samplerate);
  std::vector<float> block(kBlock * channels);  // -1 to 1, whatever the file holds
  for (;;) {
    const auto frames = static_cast<size_t>(sf_readf_float(file.get(), block.data(), kBlock));
    if (frames == 0) break;
    if (pcm.samples.size() + frames > kSamplesMax) return too_long(path);
    for (size_t i = 0; i < frames; ++i) {
      float sum = 0;
      for (size_t channel = 0; channel < channels; ++channel) sum += block[i * channels + channel];
      pcm.samples.push_back(sample_of(sum / static_cast<float>(channels)));
    }
  }
  if (sf_error(file.get()) != SF_ERR_NO_ERROR) {
    return fail(fmt::format("{}: {}", path, sf_strerror(file.get())));
  }
  return pcm;
}

Result<Pcm> load_raw(const std::string& path, std::FILE* file, std::string_view head) {
  std::string bytes(head);
  std::array<char, 2 * kBlock> block{};
  while (const size_t read = std::fread(block.data(), 1, block.size(), file)) {
    bytes.append(block.data(), read);
    if (bytes.size() > kBytesMax) return too_long(path);
  }
  if (std::ferror(file) != 0) return fail_errno(path);
  Pcm pcm;
  if (bytes.size() % 2 != 0) {
    pcm.warning = fmt::format(
        "{}: {} bytes are no whole number of 16-bit samples; the last byte "
        "is left out",
        path, bytes.size());
  }
  pcm.samples.resize(bytes.size() / 2);
  for (size_t i = 0; i < pcm.samples.size(); ++i) {
    const uint32_t low = static_cast<uint8_t>(bytes[2 * i]);
    const uint32_t high = static_cast<uint8_t>(bytes[2 * i + 1]);
    pcm.samples[i] = std::bit_cast<int16_t>(static_cast<uint16_t>(low | (high << 8)));
  }
  return pcm;
}

}  // namespace

Result<Pcm> load_pcm(const std::string& path) {
  const StdioFile file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return fail_errno(path);
  std::array<char, 12> head{};
  const size_t head_bytes = std::fread(head.data(), 1, head.size(), file.get());
  const std::string_view start(head.data(), head_bytes);
  auto pcm = is_wav(start) ? load_wav(path) : load_raw(path, file.get(), start);
  if (pcm && pcm->samples.empty()) return fail(fmt::format("{}: no samples in it", path));
  return pcm;
}

Result<std::vector<int16_t>> at_rate(const Pcm& pcm, uint32_t rate_hz) {
  auto resampler = Resampler::make(pcm.rate_hz, rate_hz);
  if (!resampler) return tl::unexpected(resampler.error());
  resampler->skip_delay();
  const size_t wanted = pcm.samples.size() * rate_hz / pcm.rate_hz;
  // The filter needs its delay's worth of silence to let go of the last samples.
  const std::vector<int16_t> silence(resampler->delay_samples() + 1);
  std::vector<int16_t> all(wanted + silence.size() * rate_hz / pcm.rate_hz + 1);
  size_t written = 0;
  for (std::span<const int16_t> in : {std::span(pcm.samples), std::span(silence)}) {
    written += resampler->process(in, std::span(all).subspan(written)).written;
  }
  all.resize(wanted);
  return all;
}

}  // namespace relay::tools
