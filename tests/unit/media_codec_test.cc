#include "relay/media/codec.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/alloc_counter.h"
#include "tests/support/audio_signals.h"

namespace relay {
namespace {

using testing::Samples;
using testing::snr_db;

constexpr size_t kRoom = 5760;  // samples of 120 ms at 48 kHz

struct Codec {
  std::string description;
  AudioCodec codec;
  uint32_t rate_hz;
  double snr_min_db;  // of a voice, after encoding and decoding
  size_t delay_max;   // samples a codec may hold back
};

std::vector<Codec> codecs() {
  std::vector<Codec> all = {
      {"PCMU", AudioCodec::pcmu, 8000, 35, 0},
      {"PCMA", AudioCodec::pcma, 8000, 35, 0},
      {"G.722", AudioCodec::g722, 16000, 30, 40},
      {"G.722's lower band", AudioCodec::g722, 8000, 30, 40},
      {"GSM", AudioCodec::gsm, 8000, 14, 0},
      {"Opus at 8 kHz", AudioCodec::opus, 8000, 8, 120},
      {"Opus at 16 kHz", AudioCodec::opus, 16000, 8, 240},
      {"L16 at 8 kHz", AudioCodec::l16, 8000, 300, 0},
      {"L16 at 16 kHz", AudioCodec::l16, 16000, 300, 0},
  };
  if (can_transcode(AudioCodec::g729)) all.push_back({"G.729", AudioCodec::g729, 8000, 2, 80});
  return all;
}

std::unique_ptr<AudioDecoder> decoder_of(const Codec& codec) {
  auto decoder = make_decoder(codec.codec, {.sample_rate_hz = codec.rate_hz});
  REQUIRE(decoder);
  CHECK((*decoder)->sample_rate_hz() == codec.rate_hz);
  return std::move(*decoder);
}

std::unique_ptr<AudioEncoder> encoder_of(const Codec& codec) {
  auto encoder = make_encoder(codec.codec, {.sample_rate_hz = codec.rate_hz});
  REQUIRE(encoder);
  CHECK((*encoder)->sample_rate_hz() == codec.rate_hz);
  return std::move(*encoder);
}

using Payload = std::vector<std::byte>;

// Packets of 20 ms.
std::vector<Payload> encode(AudioEncoder& encoder, std::span<const int16_t> signal) {
  const size_t samples = encoder.sample_rate_hz() / 50;
  std::vector<Payload> packets;
  for (; signal.size() >= samples; signal = signal.subspan(samples)) {
    Payload payload(4000);
    payload.resize(encoder.encode(signal.first(samples), payload));
    packets.push_back(std::move(payload));
  }
  return packets;
}

Samples decode(AudioDecoder& decoder, const std::vector<Payload>& packets) {
  Samples signal, room(kRoom);
  for (const Payload& payload : packets) {
    const size_t samples = decoder.decode(payload, room);
    signal.insert(signal.end(), room.begin(), room.begin() + static_cast<ptrdiff_t>(samples));
  }
  return signal;
}

}  // namespace

TEST_CASE("static payload types and what is in their packets") {
  struct Case {
    std::string description;
    uint8_t payload_type;
    std::optional<AudioCodec> codec;
    std::string name;
    uint32_t sample_rate_hz, clock_rate_hz, unit_ms;
    size_t unit_bytes;
  };
  const std::vector<Case> cases = {
      {"PCMU", 0, AudioCodec::pcmu, "PCMU", 8000, 8000, 1, 8},
      {"GSM", 3, AudioCodec::gsm, "GSM", 8000, 8000, 20, 33},
      {"G.723.1", 4, AudioCodec::g723, "G723", 8000, 8000, 30, 24},
      {"PCMA", 8, AudioCodec::pcma, "PCMA", 8000, 8000, 1, 8},
      {"G.722 has a clock of half its rate", 9, AudioCodec::g722, "G722", 16000, 8000, 1, 8},
      {"G.729", 18, AudioCodec::g729, "G729", 8000, 8000, 10, 10},
      {"L16 at 44.1 kHz is not spoken", 10, std::nullopt, "", 0, 0, 0, 0},
      {"nor on one channel", 11, std::nullopt, "", 0, 0, 0, 0},
      {"comfort noise is no codec", 13, std::nullopt, "", 0, 0, 0, 0},
      {"a dynamic type", 96, std::nullopt, "", 0, 0, 0, 0},
      {"255", 255, std::nullopt, "", 0, 0, 0, 0},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto codec = codec_of_payload_type(c.payload_type);
    CHECK(codec == c.codec);
    if (!codec) continue;
    const CodecTraits& traits = traits_of(*codec);
    CHECK(traits.name == c.name);
    CHECK(traits.payload_type == c.payload_type);
    CHECK(traits.sample_rate_hz == c.sample_rate_hz);
    CHECK(traits.clock_rate_hz == c.clock_rate_hz);
    CHECK(traits.unit_ms == c.unit_ms);
    CHECK(traits.unit_bytes == c.unit_bytes);
  }
  CHECK(traits_of(AudioCodec::opus).clock_rate_hz == 48000);
  CHECK(traits_of(AudioCodec::l16).name == "L16");
}

TEST_CASE("a silent byte is silent") {
  for (const AudioCodec codec : {AudioCodec::pcmu, AudioCodec::pcma, AudioCodec::l16}) {
    CAPTURE(traits_of(codec).name);
    const auto silence = traits_of(codec).silence;
    REQUIRE(silence);
    const auto decoder = make_decoder(codec, {.sample_rate_hz = 8000});
    REQUIRE(decoder);
    const Payload payload(160, std::byte{*silence});
    for (const int16_t sample : decode(**decoder, {payload})) CHECK(std::abs(sample) <= 8);
  }
}

TEST_CASE("rates and codecs that do not exist are refused by name") {
  struct Case {
    std::string description;
    AudioCodec codec;
    uint32_t rate_hz;
    std::string expected;  // part of the message
  };
  std::vector<Case> cases = {
      {"PCMU at 16 kHz", AudioCodec::pcmu, 16000, "PCMU at 16000 Hz: expected 8000 Hz"},
      {"G.722 at 24 kHz", AudioCodec::g722, 24000, "G722 at 24000 Hz: expected 8000 or 16000"},
      {"L16 without a rate", AudioCodec::l16, 0, "L16 at 0 Hz: expected 8000 to 48000 Hz"},
      {"Opus at 11025 Hz", AudioCodec::opus, 11025, "at 11025 Hz"},
      {"Opus at more than 31 bits", AudioCodec::opus, 0xFFFFFFFF, "Opus"},
      {"G.723.1", AudioCodec::g723, 0, "neither decoded nor encoded"},
  };
  if (!can_transcode(AudioCodec::g729)) {
    cases.push_back({"G.729", AudioCodec::g729, 0, "RELAY_WITH_BCG729"});
  }
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto decoder = make_decoder(c.codec, {.sample_rate_hz = c.rate_hz});
    REQUIRE_FALSE(decoder);
    CHECK(decoder.error().message.find(c.expected) != std::string::npos);
    const auto encoder = make_encoder(c.codec, {.sample_rate_hz = c.rate_hz});
    REQUIRE_FALSE(encoder);
    CHECK(encoder.error().message.find(c.expected) != std::string::npos);
  }
}

TEST_CASE("a voice comes back from every codec") {
  for (const Codec& codec : codecs()) {
    CAPTURE(codec.description);
    const Samples voice = testing::voice_like(codec.rate_hz, codec.rate_hz);
    const auto encoder = encoder_of(codec);
    const auto packets = encode(*encoder, voice);
    REQUIRE(packets.size() == 50);
    const size_t unit_bytes = traits_of(codec.codec).unit_bytes;
    if (unit_bytes > 0) {
      CHECK(packets[0].size() == 20 / traits_of(codec.codec).unit_ms * unit_bytes);
    }
    const auto decoder = decoder_of(codec);
    const Samples back = decode(*decoder, packets);
    CHECK(back.size() == voice.size());
    const double snr = testing::best_snr_db(voice, back, codec.delay_max);
    INFO("SNR ", snr, " dB");
    CHECK(snr >= codec.snr_min_db);
    // After a reset the same packets give the same samples.
    decoder->reset();
    CHECK(decode(*decoder, packets) == back);
    encoder->reset();
    CHECK(encode(*encoder, voice) == packets);
  }
}

TEST_CASE("a decoder never writes more than fits") {
  for (const Codec& codec : codecs()) {
    CAPTURE(codec.description);
    const auto encoder = encoder_of(codec);
    const auto packets = encode(*encoder, testing::voice_like(codec.rate_hz, codec.rate_hz / 5));
    for (const size_t room : {size_t{0}, size_t{1}, size_t{79}, size_t{161}, size_t{959}}) {
      CAPTURE(room);
      const auto decoder = decoder_of(codec);
      constexpr int16_t kCanary = 0x5A5A;
      Samples out(room + 2000, kCanary);
      const size_t samples = decoder->decode(packets[0], std::span(out).first(room));
      CHECK(samples <= room);
      for (size_t i = room; i < out.size(); ++i) REQUIRE(out[i] == kCanary);
    }
  }
}

TEST_CASE("empty, odd, huge and meaningless payloads do no harm") {
  struct Case {
    std::string description;
    size_t bytes;
    unsigned seed;  // 0: zeros
  };
  const std::vector<Case> cases = {
      {"empty", 0, 0},
      {"one byte", 1, 7},
      {"three bytes", 3, 8},
      {"32 bytes", 32, 9},
      {"34 bytes", 34, 10},
      {"101 bytes", 101, 11},
      {"1499 bytes", 1499, 12},
      {"65507 zero bytes", 65507, 0},
      {"65507 bytes", 65507, 13},
  };
  for (const Codec& codec : codecs()) {
    CAPTURE(codec.description);
    const auto decoder = decoder_of(codec);
    Samples room(kRoom);
    for (const Case& c : cases) {
      CAPTURE(c.description);
      Payload payload(c.bytes);
      unsigned state = c.seed;
      for (std::byte& byte : payload) {
        state = state == 0 ? 0 : state * 1103515245 + 12345;
        byte = static_cast<std::byte>((state >> 16) & 0xFF);
      }
      const size_t samples = decoder->decode(payload, room);
      CHECK(samples <= room.size());
      if (c.bytes == 0) CHECK(samples == 0);
      CHECK(decoder->recover(payload, std::span(room).first(160)) <= 160);
    }
  }
}

TEST_CASE("an encoder takes whole units and never writes more than fits") {
  struct Case {
    std::string description;
    AudioCodec codec;
    uint32_t rate_hz;
    size_t samples, room, bytes;
  };
  const std::vector<Case> cases = {
      {"PCMU", AudioCodec::pcmu, 8000, 160, 4000, 160},
      {"PCMA with little room", AudioCodec::pcma, 8000, 160, 100, 100},
      {"G.722 at 8 kHz", AudioCodec::g722, 8000, 160, 4000, 160},
      {"an odd sample of G.722 waits", AudioCodec::g722, 16000, 321, 4000, 160},
      {"G.722 with little room", AudioCodec::g722, 16000, 320, 7, 7},
      {"half a GSM frame waits", AudioCodec::gsm, 8000, 240, 4000, 33},
      {"GSM without room", AudioCodec::gsm, 8000, 160, 32, 0},
      {"L16 with an odd byte of room", AudioCodec::l16, 8000, 160, 11, 10},
      {"Opus takes no 15 ms", AudioCodec::opus, 16000, 240, 4000, 0},
      {"Opus takes no 100 ms", AudioCodec::opus, 16000, 1600, 4000, 0},
      {"Opus without room", AudioCodec::opus, 16000, 320, 0, 0},
      {"nothing", AudioCodec::gsm, 8000, 0, 4000, 0},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto encoder = make_encoder(c.codec, {.sample_rate_hz = c.rate_hz});
    REQUIRE(encoder);
    Payload room(c.room + 8, std::byte{0x5A});
    const Samples signal = testing::tone(c.rate_hz, 440, c.samples);
    CHECK((*encoder)->encode(signal, std::span(room).first(c.room)) == c.bytes);
    for (size_t i = c.room; i < room.size(); ++i) CHECK(room[i] == std::byte{0x5A});
  }
}

TEST_CASE("a lost packet is filled with what went before and fades") {
  for (const Codec& codec : codecs()) {
    CAPTURE(codec.description);
    const size_t samples = codec.rate_hz / 50;
    const auto decoder = decoder_of(codec);
    decode(*decoder, encode(*encoder_of(codec), testing::voice_like(codec.rate_hz, 20 * samples)));
    Samples lost(samples);
    REQUIRE(decoder->conceal(lost) == samples);
    const double first = testing::energy(lost);
    CHECK(first > 1e6 * static_cast<double>(samples));
    // A long loss does not go on sounding: after half a second little is left.
    for (int i = 0; i < 25; ++i) REQUIRE(decoder->conceal(lost) == samples);
    CHECK(testing::energy(lost) < first / 20);
  }
}

TEST_CASE("without a loss concealment changes no sample") {
  const auto decoder = make_decoder(AudioCodec::l16, {.sample_rate_hz = 8000});
  const auto encoder = make_encoder(AudioCodec::l16, {.sample_rate_hz = 8000});
  REQUIRE(decoder);
  REQUIRE(encoder);
  const Samples voice = testing::voice_like(8000, 1600);
  CHECK(decode(**decoder, encode(**encoder, voice)) == voice);
}

TEST_CASE("Opus recovers a lost packet from the next one") {
  const auto encoder = make_encoder(AudioCodec::opus, {.sample_rate_hz = 16000});
  REQUIRE(encoder);
  // Speech that changes, so that going on with what was before is a poor guess.
  const Samples voice = testing::voice_like(16000, 16000);
  const auto packets = encode(**encoder, voice);
  double concealed = 0, recovered = 0;
  for (const bool use_next : {false, true}) {
    const auto decoder = make_decoder(AudioCodec::opus, {.sample_rate_hz = 16000});
    const auto reference = make_decoder(AudioCodec::opus, {.sample_rate_hz = 16000});
    REQUIRE(decoder);
    REQUIRE(reference);
    Samples all, expected, room(kRoom);
    for (size_t i = 0; i < packets.size(); ++i) {
      const bool lost = i >= 10 && i % 5 == 0;
      const size_t truth = (*reference)->decode(packets[i], room);
      if (lost) expected.insert(expected.end(), room.begin(), room.begin() + 320);
      REQUIRE(truth == 320);
      if (!lost) {
        REQUIRE((*decoder)->decode(packets[i], room) == 320);
        continue;
      }
      const auto out = std::span(room).first(320);
      const bool has_next = i + 1 < packets.size();
      REQUIRE((use_next && has_next ? (*decoder)->recover(packets[i + 1], out)
                                    : (*decoder)->conceal(out)) == 320);
      all.insert(all.end(), out.begin(), out.end());
    }
    (use_next ? recovered : concealed) = snr_db(expected, all);
  }
  INFO("concealed ", concealed, " dB, recovered ", recovered, " dB");
  CHECK(recovered > concealed + 3);
}

TEST_CASE("decoding and encoding allocate nothing") {
  if (!testing::AllocationsElsewhere::works()) return;
  for (const Codec& codec : codecs()) {
    CAPTURE(codec.description);
    const auto encoder = encoder_of(codec);
    const auto decoder = decoder_of(codec);
    const Samples voice = testing::voice_like(codec.rate_hz, codec.rate_hz / 50);
    Samples out(kRoom);
    Payload payload(4000);
    const testing::AllocationsElsewhere counter;
    std::atomic<int> step{0};
    std::thread other([&] {
      step = 1;
      while (step != 2) std::this_thread::yield();
      for (int i = 0; i < 100; ++i) {
        const size_t bytes = encoder->encode(voice, payload);
        decoder->decode(Bytes(payload).first(bytes), out);
        decoder->conceal(std::span(out).first(voice.size()));
      }
      step = 3;
    });
    while (step != 1) std::this_thread::yield();
    const uint64_t before = counter.count();
    step = 2;
    while (step != 3) std::this_thread::yield();
    CHECK(counter.count() == before);
    other.join();
  }
}

}  // namespace relay
