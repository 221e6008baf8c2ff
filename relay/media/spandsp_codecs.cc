#include "relay/media/spandsp_codecs.h"

#include <algorithm>
#include <new>

#include "relay/media/concealing_decoder.h"

namespace relay {
namespace {

constexpr uint32_t kG722NarrowRateHz = 8000;
constexpr int kG722BitRate = 64000;
constexpr uint32_t kGsmRateHz = 8000;
constexpr size_t kGsmFrameBytes = 33;
constexpr size_t kGsmFrameSamples = 160;

// The library allocates a state once and initialises it again in place.
template <typename State, int (*release)(State*)>
struct StateDeleter {
  void operator()(State* state) const { release(state); }
};
template <typename State, int (*release)(State*)>
using StatePointer = std::unique_ptr<State, StateDeleter<State, release>>;

template <typename State>
State* checked(State* state) {
  if (state == nullptr) throw std::bad_alloc();
  return state;
}

// At 8 kHz the upper of G.722's two bands is neither read nor made.
int g722_options(uint32_t sample_rate_hz) {
  return sample_rate_hz == kG722NarrowRateHz ? G722_SAMPLE_RATE_8000 : 0;
}

class G722Decoder : public ConcealingDecoder {
 public:
  explicit G722Decoder(uint32_t sample_rate_hz)
      : ConcealingDecoder(sample_rate_hz),
        samples_per_byte_(sample_rate_hz / kG722NarrowRateHz),
        state_(checked(g722_decode_init(nullptr, kG722BitRate, g722_options(sample_rate_hz)))) {}

 private:
  size_t decode_units(Bytes payload, std::span<int16_t> out) override {
    const size_t bytes = std::min(payload.size(), out.size() / samples_per_byte_);
    if (bytes == 0) return 0;
    const auto* data = reinterpret_cast<const uint8_t*>(payload.data());
    return static_cast<size_t>(
        g722_decode(state_.get(), out.data(), data, static_cast<int>(bytes)));
  }
  void reset_codec() override {
    g722_decode_init(state_.get(), kG722BitRate, g722_options(sample_rate_hz()));
  }

  size_t samples_per_byte_;
  StatePointer<g722_decode_state_t, g722_decode_free> state_;
};

class G722Encoder : public AudioEncoder {
 public:
  explicit G722Encoder(uint32_t sample_rate_hz)
      : AudioEncoder(sample_rate_hz),
        samples_per_byte_(sample_rate_hz / kG722NarrowRateHz),
        state_(checked(g722_encode_init(nullptr, kG722BitRate, g722_options(sample_rate_hz)))) {}
  size_t encode(std::span<const int16_t> samples, std::span<std::byte> out) override {
    const size_t bytes = std::min(samples.size() / samples_per_byte_, out.size());
    if (bytes == 0) return 0;
    return static_cast<size_t>(g722_encode(state_.get(), reinterpret_cast<uint8_t*>(out.data()),
                                           samples.data(),
                                           static_cast<int>(samples_per_byte_ * bytes)));
  }
  void reset() override {
    g722_encode_init(state_.get(), kG722BitRate, g722_options(sample_rate_hz()));
  }

 private:
  size_t samples_per_byte_;
  StatePointer<g722_encode_state_t, g722_encode_free> state_;
};

class GsmDecoder : public ConcealingDecoder {
 public:
  GsmDecoder()
      : ConcealingDecoder(kGsmRateHz),
        state_(checked(gsm0610_init(nullptr, GSM0610_PACKING_VOIP))) {}

 private:
  size_t decode_units(Bytes payload, std::span<int16_t> out) override {
    const size_t frames = std::min(payload.size() / kGsmFrameBytes, out.size() / kGsmFrameSamples);
    if (frames == 0) return 0;
    const auto* data = reinterpret_cast<const uint8_t*>(payload.data());
    return static_cast<size_t>(
        gsm0610_decode(state_.get(), out.data(), data, static_cast<int>(frames * kGsmFrameBytes)));
  }
  void reset_codec() override { gsm0610_init(state_.get(), GSM0610_PACKING_VOIP); }

  StatePointer<gsm0610_state_t, gsm0610_free> state_;
};

class GsmEncoder : public AudioEncoder {
 public:
  GsmEncoder()
      : AudioEncoder(kGsmRateHz), state_(checked(gsm0610_init(nullptr, GSM0610_PACKING_VOIP))) {}
  size_t encode(std::span<const int16_t> samples, std::span<std::byte> out) override {
    const size_t frames = std::min(samples.size() / kGsmFrameSamples, out.size() / kGsmFrameBytes);
    if (frames == 0) return 0;
    return static_cast<size_t>(gsm0610_encode(state_.get(), reinterpret_cast<uint8_t*>(out.data()),
                                              samples.data(),
                                              static_cast<int>(frames * kGsmFrameSamples)));
  }
  void reset() override { gsm0610_init(state_.get(), GSM0610_PACKING_VOIP); }

 private:
  StatePointer<gsm0610_state_t, gsm0610_free> state_;
};

}  // namespace

std::unique_ptr<AudioDecoder> make_g722_decoder(uint32_t sample_rate_hz) {
  return std::make_unique<G722Decoder>(sample_rate_hz);
}
std::unique_ptr<AudioDecoder> make_gsm_decoder() {
  return std::make_unique<GsmDecoder>();
}
std::unique_ptr<AudioEncoder> make_g722_encoder(uint32_t sample_rate_hz) {
  return std::make_unique<G722Encoder>(sample_rate_hz);
}
std::unique_ptr<AudioEncoder> make_gsm_encoder() {
  return std::make_unique<GsmEncoder>();
}

}  // namespace relay
