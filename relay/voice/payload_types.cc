#include "relay/voice/payload_types.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "relay/base/log.h"

namespace relay {
namespace {

constexpr uint8_t kPcmu = 0, kComfortNoise = 13;
constexpr uint8_t kUsualTelephoneEvent = 101, kUsualOpus = 111;
// 20 ms of L16 at more than that do not fit a SpokenFrame.
constexpr uint32_t kNarrowBandHz = 8000, kWideBandHz = 16000;
constexpr uint32_t kOpusClockHz = 48000;

constexpr AudioCodec kCodecs[] = {AudioCodec::pcmu, AudioCodec::pcma, AudioCodec::g722,
                                  AudioCodec::gsm,  AudioCodec::g729, AudioCodec::opus,
                                  AudioCodec::l16};

bool is_same_name(std::string_view one, std::string_view other) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

bool contains(std::string_view list, uint8_t payload_type) {
  return list.find(static_cast<char>(payload_type)) != std::string_view::npos;
}

struct Encoding {
  std::string_view name;
  uint32_t clock_rate_hz = 0;  // 0: not said
};

// The number of channels says nothing here: Opus always says 2 (RFC 7587 §7).
Result<Encoding> parse_encoding(std::string_view text) {
  Encoding encoding{text.substr(0, text.find('/'))};
  if (encoding.name.size() == text.size()) return encoding;
  const std::string_view rest = text.substr(encoding.name.size() + 1);
  const auto [end, failure] =
      std::from_chars(rest.data(), rest.data() + rest.size(), encoding.clock_rate_hz);
  const bool is_over = end == rest.data() + rest.size() || *end == '/';
  if (failure == std::errc{} && is_over && encoding.clock_rate_hz != 0) return encoding;
  return fail("expected a clock rate behind the /");
}

}  // namespace

PayloadTypes::PayloadTypes() {
  for (const AudioCodec codec : kCodecs) {
    const CodecTraits& traits = traits_of(codec);
    if (traits.payload_type < 0 || !can_transcode(codec)) continue;
    entries_[static_cast<size_t>(traits.payload_type)] = {Meaning::audio, codec,
                                                          traits.clock_rate_hz};
  }
  entries_[kComfortNoise].meaning = Meaning::comfort_noise;
  entries_[kUsualTelephoneEvent].meaning = Meaning::telephone_event;
  entries_[kUsualOpus] = {Meaning::audio, AudioCodec::opus, kOpusClockHz};
}

Result<void> PayloadTypes::set(uint8_t payload_type, std::string_view text) {
  const auto encoding = parse_encoding(text);
  if (!encoding) return tl::unexpected(encoding.error());
  const uint32_t clock_hz = encoding->clock_rate_hz;
  Entry& entry = entries_[payload_type & 0x7F];
  const auto become = [&](Entry wanted, bool has_such_a_clock) -> Result<void> {
    if (!has_such_a_clock) {
      return fail(fmt::format("{} does not go at {} Hz here", encoding->name, clock_hz));
    }
    entry = wanted;
    return {};
  };
  if (is_same_name(encoding->name, "none")) return become({}, clock_hz == 0);
  if (is_same_name(encoding->name, "CN")) {
    return become({Meaning::comfort_noise}, clock_hz == 0 || clock_hz == kNarrowBandHz);
  }
  if (is_same_name(encoding->name, "telephone-event")) {
    // RFC 4733 §2.1: the clock of the audio that it goes with.
    const uint32_t hz = clock_hz == 0 ? kNarrowBandHz : clock_hz;
    return become({Meaning::telephone_event, {}, hz}, hz % 1000 == 0 && hz <= kOpusClockHz);
  }
  std::string names;
  for (const AudioCodec codec : kCodecs) {
    const CodecTraits& traits = traits_of(codec);
    if (!can_transcode(codec)) continue;
    if (!is_same_name(encoding->name, traits.name)) {
      names += std::string(traits.name) + ", ";
    } else if (codec == AudioCodec::l16) {
      const uint32_t hz = clock_hz == 0 ? kNarrowBandHz : clock_hz;
      return become({Meaning::audio, codec, hz}, hz == kNarrowBandHz || hz == kWideBandHz);
    } else {
      return become({Meaning::audio, codec, traits.clock_rate_hz},
                    clock_hz == 0 || clock_hz == traits.clock_rate_hz);
    }
  }
  return fail(fmt::format("expected one of {}CN, telephone-event, none", names));
}

uint32_t PayloadTypes::sample_rate_hz(uint8_t payload_type, bool wide) const {
  const AudioCodec codec = codec_of(payload_type);
  if (codec == AudioCodec::opus) return wide ? kWideBandHz : kNarrowBandHz;
  return codec == AudioCodec::l16 ? clock_rate_hz(payload_type) : traits_of(codec).sample_rate_hz;
}

bool PayloadTypes::can_speak(std::string_view offered) const {
  return std::any_of(offered.begin(), offered.end(),
                     [&](char type) { return is_audio(static_cast<uint8_t>(type)); });
}

uint8_t PayloadTypes::choose(const Known& known) const {
  const auto is_wanted = [&](uint8_t type) {
    return contains(known.asked, type) && is_audio(type) &&
           (known.offered.empty() || contains(known.offered, type));
  };
  if (known.heard && is_wanted(*known.heard)) return *known.heard;
  for (const char each : known.asked) {
    if (is_wanted(static_cast<uint8_t>(each))) return static_cast<uint8_t>(each);
  }
  if (known.heard && is_audio(*known.heard)) return *known.heard;
  for (const char each : known.offered) {
    if (is_audio(static_cast<uint8_t>(each))) return static_cast<uint8_t>(each);
  }
  return kPcmu;
}

Result<PayloadTypes> make_payload_types(const VoiceConfig& config) {
  PayloadTypes types;
  for (const VoicePayloadType& row : config.payload_types) {
    if (auto set = types.set(row.number, row.encoding); !set) {
      return tl::unexpected(
          with_context(fmt::format("{}: {}", row.source, quoted(row.encoding)), set.error()));
    }
  }
  return types;
}

}  // namespace relay
