#include "relay/media/wav_file.h"

#include <sndfile.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

namespace relay {
namespace {

using namespace std::chrono_literals;

constexpr uint32_t kNarrowbandHz = 8000, kWidebandHz = 16000;
constexpr size_t kLeft = 0, kRight = 1, kSides = 2;
// The longest packet: 8 KiB of G.722, at twice the rate of its bytes.
constexpr size_t kSamplesMax = 16384;
// How far timestamps and arrival may drift apart; further, the sender has jumped.
constexpr Duration kDriftMax = 300ms;
// So late a packet may be that others have overtaken; further, the sender has begun anew.
constexpr Duration kStragglerMax = 1s;
// Later than this, the place of a packet has been written.
constexpr Duration kPatience = 500ms;
// While nobody speaks, silence is written as it passes.
constexpr Duration kIdlePatience = 5s;
constexpr Duration kWindowMax = 2s;
constexpr uint8_t kComfortNoise = 13;  // RFC 3389

}  // namespace

void WavFile::CloseSound::operator()(sf_private_tag* sound) const {
  sf_close(sound);
}

WavFile::WavFile(UniqueFd fd) : fd_(std::move(fd)), decoded_(kSamplesMax) {}

Result<bool> WavFile::write(const RecordedPacket& packet) {
  const auto rtp = packet.is_rtcp ? std::nullopt : RtpView::parse(packet.bytes);
  if (!rtp) return false;
  const size_t side = packet.leg == LegId::caller ? kLeft : kRight;
  Channel& channel = channels_[side];
  if (rtp->payload_type() == kComfortNoise) return true;  // silence is there already
  if (!choose_decoder(channel, rtp->payload_type())) return false;
  if (!sound_) {
    start_ = packet.arrival;
    if (auto opened = open_sound(); !opened) return tl::unexpected(opened.error());
  }
  last_arrival_ = std::max(last_arrival_, packet.arrival);
  // What is kept in memory stays within seconds, whatever timestamps say.
  if (samples(last_arrival_ - start_) - written_ > samples(kWindowMax)) {
    if (auto flushed = flush(); !flushed) return tl::unexpected(flushed.error());
  }
  if (channel.ssrc == rtp->ssrc() && channel.sequence == rtp->sequence()) return true;
  const int64_t position = position_of(channel, *rtp, samples(packet.arrival - start_));
  const size_t count = channel.decoder->decode(rtp->payload(), decoded_);
  const auto step = channel.resampler->process(std::span(decoded_).first(count), resampled_);
  return place(side, position, std::span(resampled_).first(step.written));
}

// A decoder goes on over packets, so it is kept while the payload type stays.
bool WavFile::choose_decoder(Channel& channel, uint8_t payload_type) {
  if (channel.decoder && channel.payload_type == payload_type) return true;
  const auto codec = codec_of_payload_type(payload_type);
  if (!codec) return false;
  auto decoder = make_decoder(*codec);
  if (!decoder) return false;
  const uint32_t decoded_hz = (*decoder)->sample_rate_hz();
  if (rate_hz_ == 0) {
    rate_hz_ = decoded_hz > kNarrowbandHz ? kWidebandHz : kNarrowbandHz;
    resampled_.resize(kSamplesMax * 2);
  }
  auto resampler = Resampler::make(decoded_hz, rate_hz_);
  if (!resampler) return false;
  const uint32_t clock_hz = traits_of(*codec).clock_rate_hz;
  channel.clock_hz = clock_hz != 0 ? clock_hz : decoded_hz;
  channel.decoder = std::move(*decoder);
  channel.resampler.emplace(std::move(*resampler));
  channel.payload_type = payload_type;
  return true;
}

// By the timestamp, as the sender meant it; by the arrival when a stream begins or jumps.
int64_t WavFile::position_of(Channel& channel, const RtpView& rtp, int64_t arrived_at) {
  if (channel.ssrc == rtp.ssrc()) {
    const auto step = static_cast<int32_t>(rtp.timestamp() - channel.anchor_timestamp);
    const int64_t position = channel.anchor + int64_t{step} * rate_hz_ / channel.clock_hz;
    const auto ahead = static_cast<int16_t>(rtp.sequence() - channel.sequence);
    const int64_t drift = std::abs(position - arrived_at);
    if (ahead < 0 && drift <= samples(kStragglerMax)) return position;
    if (drift <= samples(kDriftMax)) arrived_at = position;
  }
  channel.ssrc = rtp.ssrc();
  channel.sequence = rtp.sequence();
  channel.anchor_timestamp = rtp.timestamp();
  channel.anchor = arrived_at;
  return arrived_at;
}

int64_t WavFile::samples(Duration duration) const {
  return duration.count() / 1000 * rate_hz_ / 1'000'000;
}

bool WavFile::place(size_t side, int64_t position, std::span<const int16_t> audio) {
  const int64_t ahead_max = samples(last_arrival_ - start_ + kDriftMax);
  if (position < written_ || position > ahead_max) return false;
  const auto first = static_cast<size_t>(position - written_);
  if (window_.size() < (first + audio.size()) * kSides) {
    window_.resize((first + audio.size()) * kSides);
  }
  for (size_t i = 0; i < audio.size(); ++i) window_[(first + i) * kSides + side] = audio[i];
  channels_[side].end =
      std::max(channels_[side].end, position + static_cast<int64_t>(audio.size()));
  return true;
}

Result<void> WavFile::open_sound() {
  SF_INFO info{};
  info.samplerate = static_cast<int>(rate_hz_);
  info.channels = static_cast<int>(kSides);
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  sound_.reset(sf_open_fd(fd_.get(), SFM_WRITE, &info, SF_FALSE));
  if (!sound_) return fail(std::string("write: ") + sf_strerror(nullptr));
  return {};
}

Result<void> WavFile::flush() {
  if (!sound_) return {};
  const Instant settled = std::max(last_arrival_ - kPatience, steady_now() - kIdlePatience);
  return write_up_to(samples(settled - start_));
}

Result<void> WavFile::finish() {
  if (!sound_) {
    if (rate_hz_ == 0) rate_hz_ = kNarrowbandHz;  // nobody spoke
    if (auto opened = open_sound(); !opened) return opened;
  }
  auto written = write_up_to(std::max(channels_[kLeft].end, channels_[kRight].end));
  sound_.reset();
  return written;
}

Result<void> WavFile::write_up_to(int64_t position) {
  if (position <= written_) return {};
  while (written_ < position) {
    const int64_t frames = std::min(position - written_, int64_t{rate_hz_});
    const auto values = static_cast<size_t>(frames) * kSides;
    if (window_.size() < values) window_.resize(values);
    if (sf_writef_short(sound_.get(), window_.data(), frames) != frames) {
      return fail(std::string("write: ") + sf_strerror(sound_.get()));
    }
    window_.erase(window_.begin(), window_.begin() + static_cast<ptrdiff_t>(values));
    written_ += frames;
  }
  // Whoever looks at it meanwhile sees how long it is.
  sf_command(sound_.get(), SFC_UPDATE_HEADER_NOW, nullptr, 0);
  return {};
}

}  // namespace relay
