// The audio codecs calls are made of: what their packets look like, and decoding and encoding them.
// Samples are 16-bit linear PCM, one channel. A decoder or encoder carries the state of one stream
// and belongs to one thread at a time; making one allocates, using it does not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "relay/base/result.h"
#include "relay/rtp/demux.h"

namespace relay {

enum class AudioCodec : uint8_t { pcmu, pcma, g722, gsm, g723, g729, opus, l16 };

// A unit is the shortest piece of payload that stands alone; a packet holds whole units.
struct CodecTraits {
  std::string_view name;        // as SDP spells it, RFC 3551 §6, RFC 7587
  int payload_type = -1;        // static, RFC 3551 §6; -1: signalling defines it
  uint32_t sample_rate_hz = 0;  // of the audio; 0: as asked for
  uint32_t clock_rate_hz = 0;   // of RTP timestamps; 0: the sample rate
  uint32_t unit_ms = 1;
  size_t unit_bytes = 0;           // 0: varies (Opus) or depends on the rate (L16)
  std::optional<uint8_t> silence;  // a payload of nothing but this is silent, where one is
};
const CodecTraits& traits_of(AudioCodec codec);

// Nothing for types that signalling defines and for those that are not spoken here, as L16 at
// 44.1 kHz (10, 11).
std::optional<AudioCodec> codec_of_payload_type(uint8_t payload_type);

class AudioDecoder {
 public:
  virtual ~AudioDecoder() = default;

  // The number of samples written to `out`. As many whole units of `payload` are decoded as fit;
  // an incomplete one at its end is left out. An Opus packet that does not fit or is no Opus packet
  // gives 0 samples: 120 ms always fit.
  virtual size_t decode(Bytes payload, std::span<int16_t> out) = 0;

  // What likely was in a packet that did not come: fills `out` going on from the last samples,
  // fading to silence within 50 ms (Opus, G.729: as the codec does it). Returns the samples
  // written: all that fit (Opus: whole 2.5 ms, G.729: whole 10 ms).
  virtual size_t conceal(std::span<int16_t> out) = 0;

  // As conceal(), for the packet right before `next`, which has come and still is to be decoded:
  // Opus may carry a spare copy in it (in-band FEC, RFC 6716 §2.1.7).
  virtual size_t recover(Bytes next, std::span<int16_t> out);

  // Forgets the stream, as for a new SSRC. G.729: allocates.
  virtual void reset() = 0;

  uint32_t sample_rate_hz() const { return sample_rate_hz_; }

 protected:
  explicit AudioDecoder(uint32_t sample_rate_hz) : sample_rate_hz_(sample_rate_hz) {}

 private:
  uint32_t sample_rate_hz_;
};

class AudioEncoder {
 public:
  virtual ~AudioEncoder() = default;

  // The number of bytes written to `out`: as many whole units of `samples` as fit; the rest is left
  // out. Opus: `samples` are one packet of 10, 20, 40 or 60 ms, anything else gives 0 bytes. G.729
  // with voice activity detection writes less for a pause, down to nothing.
  virtual size_t encode(std::span<const int16_t> samples, std::span<std::byte> out) = 0;

  virtual void reset() = 0;

  uint32_t sample_rate_hz() const { return sample_rate_hz_; }

 protected:
  explicit AudioEncoder(uint32_t sample_rate_hz) : sample_rate_hz_(sample_rate_hz) {}

 private:
  uint32_t sample_rate_hz_;
};

struct CodecSettings {
  // For Opus 8000, 12000, 16000, 24000 or 48000 (0: 48000); for G.722 16000 (0) or, without its
  // upper band, 8000; for L16 8000 to 48000, to be given. Other codecs have one rate; it or 0 is
  // accepted.
  uint32_t sample_rate_hz = 0;
  bool voice_activity = false;  // the G.729 encoder detects pauses (Annex B)
};

// Fails for G.723.1, for G.729 in a build without it, and for rates the codec does not have.
Result<std::unique_ptr<AudioDecoder>> make_decoder(AudioCodec codec, CodecSettings settings = {});
Result<std::unique_ptr<AudioEncoder>> make_encoder(AudioCodec codec, CodecSettings settings = {});

// Whether make_decoder() and make_encoder() know the codec in this build.
bool can_transcode(AudioCodec codec);

}  // namespace relay
