#include "relay/media/g729_codec.h"

// The library's headers have no C++ guard.
extern "C" {
#include <bcg729/decoder.h>
#include <bcg729/encoder.h>
}

#include <algorithm>
#include <array>

namespace relay {
namespace {

constexpr uint32_t kRateHz = 8000;
constexpr size_t kFrameSamples = 80;
constexpr size_t kFrameBytes = 10;
constexpr size_t kSidBytes = 2;  // the last frame of a packet may be a comfort noise one

struct DecoderDeleter {
  void operator()(bcg729DecoderChannelContextStruct* state) const {
    closeBcg729DecoderChannel(state);
  }
};
struct EncoderDeleter {
  void operator()(bcg729EncoderChannelContextStruct* state) const {
    closeBcg729EncoderChannel(state);
  }
};
using DecoderPointer = std::unique_ptr<bcg729DecoderChannelContextStruct, DecoderDeleter>;
using EncoderPointer = std::unique_ptr<bcg729EncoderChannelContextStruct, EncoderDeleter>;

class G729Decoder : public AudioDecoder {
 public:
  explicit G729Decoder(DecoderPointer state) : AudioDecoder(kRateHz), state_(std::move(state)) {}

  size_t decode(Bytes payload, std::span<int16_t> out) override {
    size_t samples = 0;
    while (out.size() - samples >= kFrameSamples && payload.size() >= kSidBytes) {
      const bool is_sid = payload.size() < kFrameBytes;
      if (is_sid && payload.size() != kSidBytes) break;
      const size_t bytes = is_sid ? kSidBytes : kFrameBytes;
      bcg729Decoder(state_.get(), reinterpret_cast<const uint8_t*>(payload.data()),
                    static_cast<uint8_t>(bytes), 0, is_sid ? 1 : 0, 0, out.data() + samples);
      payload = payload.subspan(bytes);
      samples += kFrameSamples;
    }
    return samples;
  }
  size_t conceal(std::span<int16_t> out) override {
    size_t samples = 0;
    for (; out.size() - samples >= kFrameSamples; samples += kFrameSamples) {
      bcg729Decoder(state_.get(), nullptr, 0, 1, 0, 0, out.data() + samples);
    }
    return samples;
  }
  void reset() override { state_.reset(initBcg729DecoderChannel()); }

 private:
  DecoderPointer state_;
};

class G729Encoder : public AudioEncoder {
 public:
  G729Encoder(EncoderPointer state, bool voice_activity)
      : AudioEncoder(kRateHz), state_(std::move(state)), voice_activity_(voice_activity) {}

  size_t encode(std::span<const int16_t> samples, std::span<std::byte> out) override {
    size_t bytes = 0;
    while (samples.size() >= kFrameSamples && out.size() - bytes >= kFrameBytes) {
      uint8_t frame_bytes = 0;
      bcg729Encoder(state_.get(), samples.data(), reinterpret_cast<uint8_t*>(out.data() + bytes),
                    &frame_bytes);
      samples = samples.subspan(kFrameSamples);
      bytes += frame_bytes;
    }
    return bytes;
  }
  void reset() override { state_.reset(initBcg729EncoderChannel(voice_activity_ ? 1 : 0)); }

 private:
  EncoderPointer state_;
  bool voice_activity_;
};

}  // namespace

bool has_g729() {
  return true;
}

Result<std::unique_ptr<AudioDecoder>> make_g729_decoder() {
  DecoderPointer state(initBcg729DecoderChannel());
  if (state == nullptr) return fail("G.729 decoder: out of memory");
  return std::make_unique<G729Decoder>(std::move(state));
}

Result<std::unique_ptr<AudioEncoder>> make_g729_encoder(bool voice_activity) {
  EncoderPointer state(initBcg729EncoderChannel(voice_activity ? 1 : 0));
  if (state == nullptr) return fail("G.729 encoder: out of memory");
  return std::make_unique<G729Encoder>(std::move(state), voice_activity);
}

}  // namespace relay
