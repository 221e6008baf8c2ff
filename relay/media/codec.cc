#include "relay/media/codec.h"

#include <fmt/core.h>

#include <array>

#include "relay/base/assert.h"
#include "relay/media/g729_codec.h"
#include "relay/media/opus_codec.h"
#include "relay/media/sample_codecs.h"
#include "relay/media/spandsp_codecs.h"

namespace relay {
namespace {

constexpr uint32_t kOpusRateHz = 48000;
constexpr uint32_t kG722NarrowRateHz = 8000;
constexpr uint32_t kL16RateMinHz = 8000, kL16RateMaxHz = 48000;

// In the order of AudioCodec. G.722's clock is 8000 although its audio is not: RFC 3551 §4.5.2.
constexpr std::array<CodecTraits, 8> kTraits{{
    {"PCMU", 0, 8000, 8000, 1, 8, 0xFF},
    {"PCMA", 8, 8000, 8000, 1, 8, 0xD5},
    {"G722", 9, 16000, 8000, 1, 8, std::nullopt},
    {"GSM", 3, 8000, 8000, 20, 33, std::nullopt},
    {"G723", 4, 8000, 8000, 30, 24, std::nullopt},
    {"G729", 18, 8000, 8000, 10, 10, std::nullopt},
    {"opus", -1, 0, 48000, 20, 0, std::nullopt},
    {"L16", -1, 0, 0, 1, 0, 0x00},
}};

Result<uint32_t> rate_for(AudioCodec codec, uint32_t asked_hz) {
  const CodecTraits& traits = traits_of(codec);
  if (codec == AudioCodec::opus) return asked_hz == 0 ? kOpusRateHz : asked_hz;
  if (codec == AudioCodec::l16) {
    if (asked_hz >= kL16RateMinHz && asked_hz <= kL16RateMaxHz) return asked_hz;
    return fail(
        fmt::format("L16 at {} Hz: expected {} to {} Hz", asked_hz, kL16RateMinHz, kL16RateMaxHz));
  }
  if (asked_hz == 0 || asked_hz == traits.sample_rate_hz) return traits.sample_rate_hz;
  if (codec == AudioCodec::g722) {
    if (asked_hz == kG722NarrowRateHz) return asked_hz;
    return fail(fmt::format("G722 at {} Hz: expected 8000 or 16000 Hz", asked_hz));
  }
  return fail(
      fmt::format("{} at {} Hz: expected {} Hz", traits.name, asked_hz, traits.sample_rate_hz));
}

tl::unexpected<Error> only_relayed() {
  return fail("G.723.1 is relayed and played, but neither decoded nor encoded");
}

}  // namespace

const CodecTraits& traits_of(AudioCodec codec) {
  const auto index = static_cast<size_t>(codec);
  RELAY_ASSERT(index < kTraits.size());
  return kTraits[index];
}

std::optional<AudioCodec> codec_of_payload_type(uint8_t payload_type) {
  for (size_t i = 0; i < kTraits.size(); ++i) {
    if (kTraits[i].payload_type == payload_type) return static_cast<AudioCodec>(i);
  }
  return std::nullopt;
}

size_t AudioDecoder::recover(Bytes, std::span<int16_t> out) {
  return conceal(out);
}

Result<std::unique_ptr<AudioDecoder>> make_decoder(AudioCodec codec, CodecSettings settings) {
  const auto rate_hz = rate_for(codec, settings.sample_rate_hz);
  if (!rate_hz) return tl::unexpected(rate_hz.error());
  switch (codec) {
    case AudioCodec::pcmu:
      return make_pcmu_decoder();
    case AudioCodec::pcma:
      return make_pcma_decoder();
    case AudioCodec::g722:
      return make_g722_decoder(*rate_hz);
    case AudioCodec::gsm:
      return make_gsm_decoder();
    case AudioCodec::g723:
      return only_relayed();
    case AudioCodec::g729:
      return make_g729_decoder();
    case AudioCodec::opus:
      return make_opus_decoder(*rate_hz);
    case AudioCodec::l16:
      return make_l16_decoder(*rate_hz);
  }
  RELAY_ASSERT(false);
}

Result<std::unique_ptr<AudioEncoder>> make_encoder(AudioCodec codec, CodecSettings settings) {
  const auto rate_hz = rate_for(codec, settings.sample_rate_hz);
  if (!rate_hz) return tl::unexpected(rate_hz.error());
  switch (codec) {
    case AudioCodec::pcmu:
      return make_pcmu_encoder();
    case AudioCodec::pcma:
      return make_pcma_encoder();
    case AudioCodec::g722:
      return make_g722_encoder(*rate_hz);
    case AudioCodec::gsm:
      return make_gsm_encoder();
    case AudioCodec::g723:
      return only_relayed();
    case AudioCodec::g729:
      return make_g729_encoder(settings.voice_activity);
    case AudioCodec::opus:
      return make_opus_encoder(*rate_hz);
    case AudioCodec::l16:
      return make_l16_encoder(*rate_hz);
  }
  RELAY_ASSERT(false);
}

bool can_transcode(AudioCodec codec) {
  return codec != AudioCodec::g723 && (codec != AudioCodec::g729 || has_g729());
}

}  // namespace relay
