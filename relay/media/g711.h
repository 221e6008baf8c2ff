// ITU-T G.711 as tables, with the decisions of the ITU's own software (G.191): samples are
// left-justified, negative ones are taken by their one's complement. Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace relay::g711 {

// Table 2a/2b of G.711 by its segments: the middle of the interval that `code` stands for.
constexpr int16_t expand_mu(uint8_t code) {
  const uint32_t inverted = ~uint32_t{code} & 0xFF;
  const uint32_t segment = (inverted >> 4) & 7;
  const uint32_t step = inverted & 0x0F;
  const int magnitude = static_cast<int>((((step << 1) + 33) << segment) - 33) * 4;
  return static_cast<int16_t>((inverted & 0x80) != 0 ? -magnitude : magnitude);
}

// Table 1a/1b.
constexpr int16_t expand_a(uint8_t code) {
  const uint32_t even = uint32_t{code} ^ 0x55;
  const uint32_t segment = (even >> 4) & 7;
  const uint32_t step = even & 0x0F;
  uint32_t magnitude = (step << 4) + 8;
  if (segment > 0) magnitude = (magnitude + 0x100) << (segment - 1);
  const int linear = static_cast<int>(magnitude);
  return static_cast<int16_t>((even & 0x80) != 0 ? linear : -linear);
}

// `magnitude` has 13 bits.
constexpr uint8_t compress_mu_magnitude(uint32_t magnitude) {
  uint32_t biased = magnitude + 33;
  if (biased > 0x1FFF) biased = 0x1FFF;
  uint32_t segment = 0;
  while ((biased >> segment) > 0x3F) ++segment;
  return static_cast<uint8_t>((segment << 4) | ((biased >> (segment + 1)) & 0x0F));
}

// `magnitude` has 11 bits.
constexpr uint8_t compress_a_magnitude(uint32_t magnitude) {
  uint32_t segment = 0;
  while ((magnitude >> segment) > 0x1F) ++segment;
  if (magnitude > 0x0F) magnitude = ((segment + 1) << 4) | ((magnitude >> segment) & 0x0F);
  return static_cast<uint8_t>(magnitude);
}

struct Tables {
  std::array<int16_t, 256> mu_to_linear{}, a_to_linear{};
  std::array<uint8_t, 8192> mu_of_magnitude{};
  std::array<uint8_t, 2048> a_of_magnitude{};
};

constexpr Tables make_tables() {
  Tables tables;
  for (uint32_t code = 0; code < 256; ++code) {
    tables.mu_to_linear[code] = expand_mu(static_cast<uint8_t>(code));
    tables.a_to_linear[code] = expand_a(static_cast<uint8_t>(code));
  }
  for (uint32_t m = 0; m < tables.mu_of_magnitude.size(); ++m) {
    tables.mu_of_magnitude[m] = compress_mu_magnitude(m);
  }
  for (uint32_t m = 0; m < tables.a_of_magnitude.size(); ++m) {
    tables.a_of_magnitude[m] = compress_a_magnitude(m);
  }
  return tables;
}

inline constexpr Tables kTables = make_tables();

constexpr int16_t mu_to_linear(uint8_t code) {
  return kTables.mu_to_linear[code];
}
constexpr int16_t a_to_linear(uint8_t code) {
  return kTables.a_to_linear[code];
}
constexpr uint8_t linear_to_mu(int16_t sample) {
  const size_t magnitude = static_cast<size_t>(sample < 0 ? ~sample : sample) >> 2;
  const uint32_t sign_bit = sample < 0 ? 0x80 : 0;
  return static_cast<uint8_t>(~(kTables.mu_of_magnitude[magnitude] | sign_bit) & 0xFF);
}
constexpr uint8_t linear_to_a(int16_t sample) {
  const size_t magnitude = static_cast<size_t>(sample < 0 ? ~sample : sample) >> 4;
  const uint32_t sign_bit = sample < 0 ? 0 : 0x80;
  return static_cast<uint8_t>((kTables.a_of_magnitude[magnitude] | sign_bit) ^ 0x55);
}

}  // namespace relay::g711
