// G.711 against tables built the way the recommendation prints them: segments of equal intervals.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/media/g711.h"

namespace relay {
namespace {

// One half (positive) of tables 1a and 2a of G.711: decision values x1 … xn+1 and the values in
// between, on the scale of 16-bit samples.
struct Half {
  std::vector<int> decisions;  // lower end of each interval, and the upper end of the last
  std::vector<int> values;     // what an interval decodes to
};

struct Segment {
  int intervals;
  int interval;
};

Half half_of(const std::vector<Segment>& segments, int scale, bool first_is_zero) {
  Half half;
  int decision = 0;
  for (const Segment& segment : segments) {
    for (int i = 0; i < segment.intervals; ++i) {
      half.decisions.push_back(decision * scale);
      const bool zero = first_is_zero && decision == 0;
      half.values.push_back(zero ? 0 : decision * scale + segment.interval * scale / 2);
      decision += segment.interval;
    }
  }
  half.decisions.push_back(decision * scale);
  return half;
}

// Table 1a: 13 bits. Table 2a: 14 bits.
const Half& a_half() {
  static const Half half =
      half_of({{32, 2}, {16, 4}, {16, 8}, {16, 16}, {16, 32}, {16, 64}, {16, 128}}, 8, false);
  return half;
}
const Half& mu_half() {
  static const Half half = half_of(
      {{1, 1}, {15, 2}, {16, 4}, {16, 8}, {16, 16}, {16, 32}, {16, 64}, {16, 128}, {16, 256}}, 4,
      true);
  return half;
}

// The interval a magnitude is in; beyond the last one clips into it. A negative sample is taken by
// its one's complement, so an interval's boundary belongs to the interval nearer to zero there.
size_t interval_of(const Half& half, int sample) {
  const int magnitude = sample < 0 ? -sample - 1 : sample;
  size_t interval = 0;
  while (interval + 1 < half.values.size() && half.decisions[interval + 1] <= magnitude) {
    ++interval;
  }
  return interval;
}

// Table 1a, column 6, with even bits inverted (note 2); table 2a, column 6.
uint8_t a_code(size_t interval, bool negative) {
  return static_cast<uint8_t>((interval | (negative ? 0U : 0x80U)) ^ 0x55U);
}
uint8_t mu_code(size_t interval, bool negative) {
  return static_cast<uint8_t>((~interval & 0x7FU) | (negative ? 0U : 0x80U));
}

}  // namespace

TEST_CASE("the tables of G.711 have 128 intervals a side and end where they should") {
  CHECK(a_half().values.size() == 128);
  CHECK(a_half().decisions.back() == 4096 * 8);
  CHECK(a_half().values.back() == 4032 * 8);
  CHECK(mu_half().values.size() == 128);
  CHECK(mu_half().decisions.back() == 8159 * 4);
  CHECK(mu_half().values.back() == 8031 * 4);
}

TEST_CASE("all 256 codes decode to the values of G.711") {
  for (size_t interval = 0; interval < 128; ++interval) {
    CAPTURE(interval);
    CHECK(g711::a_to_linear(a_code(interval, false)) == a_half().values[interval]);
    CHECK(g711::a_to_linear(a_code(interval, true)) == -a_half().values[interval]);
    CHECK(g711::mu_to_linear(mu_code(interval, false)) == mu_half().values[interval]);
    CHECK(g711::mu_to_linear(mu_code(interval, true)) == -mu_half().values[interval]);
  }
}

TEST_CASE("all 65536 samples encode to the interval they are in") {
  int wrong_a = 0, wrong_mu = 0;
  for (int sample = -32768; sample <= 32767; ++sample) {
    const auto linear = static_cast<int16_t>(sample);
    if (g711::linear_to_a(linear) != a_code(interval_of(a_half(), sample), sample < 0)) ++wrong_a;
    if (g711::linear_to_mu(linear) != mu_code(interval_of(mu_half(), sample), sample < 0)) {
      ++wrong_mu;
    }
  }
  CHECK(wrong_a == 0);
  CHECK(wrong_mu == 0);
}

TEST_CASE("a code survives decoding and encoding") {
  for (unsigned code = 0; code < 256; ++code) {
    CAPTURE(code);
    const auto byte = static_cast<uint8_t>(code);
    CHECK(g711::linear_to_a(g711::a_to_linear(byte)) == byte);
    // µ-law has two zeros; the positive one is sent.
    CHECK(g711::linear_to_mu(g711::mu_to_linear(byte)) == (code == 0x7F ? 0xFF : byte));
  }
}

TEST_CASE("well-known codes") {
  CHECK(g711::linear_to_mu(0) == 0xFF);
  CHECK(g711::linear_to_mu(32767) == 0x80);
  CHECK(g711::linear_to_mu(-32768) == 0x00);
  CHECK(g711::linear_to_a(0) == 0xD5);
  CHECK(g711::linear_to_a(32767) == 0xAA);
  CHECK(g711::linear_to_a(-32768) == 0x2A);
  CHECK(g711::mu_to_linear(0x00) == -32124);
  CHECK(g711::a_to_linear(0xAA) == 32256);
}

}  // namespace relay
