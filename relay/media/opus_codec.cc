#include "relay/media/opus_codec.h"

#include <fmt/core.h>
#include <opus/opus.h>

#include <algorithm>
#include <limits>

namespace relay {
namespace {

constexpr size_t kPacketBytesMax = std::numeric_limits<int16_t>::max();
constexpr size_t kSamplesMax = 5760;  // 120 ms at 48 kHz, RFC 6716 §2.1.4
// Wideband speech with room for spare copies, which the encoder leaves out below some 20 kbit/s or
// when it expects little loss.
constexpr int kBitRate = 32000;
constexpr int kLossPercentExpected = 10;
// Of 0 to 10. At 16 kHz the library's default (9) takes twice the time of this one.
constexpr int kComplexity = 5;

struct DecoderDeleter {
  void operator()(OpusDecoder* state) const { opus_decoder_destroy(state); }
};
struct EncoderDeleter {
  void operator()(OpusEncoder* state) const { opus_encoder_destroy(state); }
};
using DecoderPointer = std::unique_ptr<OpusDecoder, DecoderDeleter>;
using EncoderPointer = std::unique_ptr<OpusEncoder, EncoderDeleter>;

size_t samples_of(int result) {
  return result > 0 ? static_cast<size_t>(result) : 0;
}

class OpusAudioDecoder : public AudioDecoder {
 public:
  OpusAudioDecoder(DecoderPointer state, uint32_t sample_rate_hz)
      : AudioDecoder(sample_rate_hz), state_(std::move(state)) {}

  size_t decode(Bytes payload, std::span<int16_t> out) override {
    if (payload.empty()) return 0;
    return run(payload, out.first(std::min(out.size(), kSamplesMax)), false);
  }
  size_t conceal(std::span<int16_t> out) override { return run({}, whole_steps(out), false); }
  size_t recover(Bytes next, std::span<int16_t> out) override {
    const size_t samples = next.empty() ? 0 : run(next, whole_steps(out), true);
    return samples > 0 ? samples : conceal(out);
  }
  void reset() override { opus_decoder_ctl(state_.get(), OPUS_RESET_STATE); }

 private:
  std::span<int16_t> whole_steps(std::span<int16_t> out) const {
    const size_t step = sample_rate_hz() / 400;  // 2.5 ms
    const size_t samples = std::min(out.size(), kSamplesMax);
    return out.first(samples - samples % step);
  }
  size_t run(Bytes payload, std::span<int16_t> out, bool from_spare_copy) {
    if (out.empty() || payload.size() > kPacketBytesMax) return 0;
    const auto* data = reinterpret_cast<const unsigned char*>(payload.data());
    return samples_of(opus_decode(state_.get(), payload.empty() ? nullptr : data,
                                  static_cast<opus_int32>(payload.size()), out.data(),
                                  static_cast<int>(out.size()), from_spare_copy ? 1 : 0));
  }

  DecoderPointer state_;
};

class OpusAudioEncoder : public AudioEncoder {
 public:
  OpusAudioEncoder(EncoderPointer state, uint32_t sample_rate_hz)
      : AudioEncoder(sample_rate_hz), state_(std::move(state)) {}

  size_t encode(std::span<const int16_t> samples, std::span<std::byte> out) override {
    const size_t per_10_ms = sample_rate_hz() / 100;
    const size_t tens = samples.size() / per_10_ms;
    const bool is_packet =
        samples.size() % per_10_ms == 0 && (tens == 1 || tens == 2 || tens == 4 || tens == 6);
    if (!is_packet || out.empty()) return 0;
    return samples_of(opus_encode(state_.get(), samples.data(), static_cast<int>(samples.size()),
                                  reinterpret_cast<unsigned char*>(out.data()),
                                  static_cast<opus_int32>(std::min(out.size(), kPacketBytesMax))));
  }
  void reset() override { opus_encoder_ctl(state_.get(), OPUS_RESET_STATE); }

 private:
  EncoderPointer state_;
};

tl::unexpected<Error> refused(std::string_view what, uint32_t sample_rate_hz, int error) {
  return fail(fmt::format("Opus {} at {} Hz: {}; expected 8000, 12000, 16000, 24000 or 48000 Hz",
                          what, sample_rate_hz, opus_strerror(error)));
}

}  // namespace

Result<std::unique_ptr<AudioDecoder>> make_opus_decoder(uint32_t sample_rate_hz) {
  int error = OPUS_OK;
  DecoderPointer state(opus_decoder_create(static_cast<opus_int32>(sample_rate_hz), 1, &error));
  if (state == nullptr) return refused("decoder", sample_rate_hz, error);
  return std::make_unique<OpusAudioDecoder>(std::move(state), sample_rate_hz);
}

Result<std::unique_ptr<AudioEncoder>> make_opus_encoder(uint32_t sample_rate_hz) {
  int error = OPUS_OK;
  EncoderPointer state(opus_encoder_create(static_cast<opus_int32>(sample_rate_hz), 1,
                                           OPUS_APPLICATION_VOIP, &error));
  if (state == nullptr) return refused("encoder", sample_rate_hz, error);
  opus_encoder_ctl(state.get(), OPUS_SET_BITRATE(kBitRate));
  opus_encoder_ctl(state.get(), OPUS_SET_COMPLEXITY(kComplexity));
  opus_encoder_ctl(state.get(), OPUS_SET_INBAND_FEC(1));
  opus_encoder_ctl(state.get(), OPUS_SET_PACKET_LOSS_PERC(kLossPercentExpected));
  return std::make_unique<OpusAudioEncoder>(std::move(state), sample_rate_hz);
}

}  // namespace relay
