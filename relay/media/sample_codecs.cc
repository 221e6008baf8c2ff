#include "relay/media/sample_codecs.h"

#include <algorithm>

#include "relay/media/concealing_decoder.h"
#include "relay/media/g711.h"

namespace relay {
namespace {

constexpr uint32_t kG711RateHz = 8000;

template <int16_t (*to_linear)(uint8_t)>
class G711Decoder : public ConcealingDecoder {
 public:
  G711Decoder() : ConcealingDecoder(kG711RateHz) {}

 private:
  size_t decode_units(Bytes payload, std::span<int16_t> out) override {
    const size_t samples = std::min(payload.size(), out.size());
    for (size_t i = 0; i < samples; ++i) out[i] = to_linear(byte_at(payload, i));
    return samples;
  }
  void reset_codec() override {}
};

template <uint8_t (*from_linear)(int16_t)>
class G711Encoder : public AudioEncoder {
 public:
  G711Encoder() : AudioEncoder(kG711RateHz) {}
  size_t encode(std::span<const int16_t> samples, std::span<std::byte> out) override {
    const size_t bytes = std::min(samples.size(), out.size());
    for (size_t i = 0; i < bytes; ++i) out[i] = std::byte{from_linear(samples[i])};
    return bytes;
  }
  void reset() override {}
};

// Big-endian on the wire, RFC 3551 §4.5.11.
class L16Decoder : public ConcealingDecoder {
 public:
  explicit L16Decoder(uint32_t sample_rate_hz) : ConcealingDecoder(sample_rate_hz) {}

 private:
  size_t decode_units(Bytes payload, std::span<int16_t> out) override {
    const size_t samples = std::min(payload.size() / 2, out.size());
    for (size_t i = 0; i < samples; ++i) out[i] = static_cast<int16_t>(read_be16(payload, 2 * i));
    return samples;
  }
  void reset_codec() override {}
};

class L16Encoder : public AudioEncoder {
 public:
  explicit L16Encoder(uint32_t sample_rate_hz) : AudioEncoder(sample_rate_hz) {}
  size_t encode(std::span<const int16_t> samples, std::span<std::byte> out) override {
    const size_t encoded = std::min(samples.size(), out.size() / 2);
    for (size_t i = 0; i < encoded; ++i) {
      const auto bits = static_cast<uint16_t>(samples[i]);
      out[2 * i] = static_cast<std::byte>(bits >> 8);
      out[2 * i + 1] = static_cast<std::byte>(bits & 0xFF);
    }
    return 2 * encoded;
  }
  void reset() override {}
};

}  // namespace

std::unique_ptr<AudioDecoder> make_pcmu_decoder() {
  return std::make_unique<G711Decoder<g711::mu_to_linear>>();
}
std::unique_ptr<AudioDecoder> make_pcma_decoder() {
  return std::make_unique<G711Decoder<g711::a_to_linear>>();
}
std::unique_ptr<AudioDecoder> make_l16_decoder(uint32_t sample_rate_hz) {
  return std::make_unique<L16Decoder>(sample_rate_hz);
}
std::unique_ptr<AudioEncoder> make_pcmu_encoder() {
  return std::make_unique<G711Encoder<g711::linear_to_mu>>();
}
std::unique_ptr<AudioEncoder> make_pcma_encoder() {
  return std::make_unique<G711Encoder<g711::linear_to_a>>();
}
std::unique_ptr<AudioEncoder> make_l16_encoder(uint32_t sample_rate_hz) {
  return std::make_unique<L16Encoder>(sample_rate_hz);
}

}  // namespace relay
