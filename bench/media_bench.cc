// What touches payloads: 20 ms of audio through each codec, resampling, and the queue of what an AI
// endpoint says.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "relay/media/codec.h"
#include "relay/media/g711.h"
#include "relay/media/resampler.h"
#include "relay/voice/playout.h"

namespace relay {
namespace {

template <typename T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(1);
}

std::vector<int16_t> tone(size_t samples, uint32_t rate_hz) {
  std::vector<int16_t> made(samples);
  for (size_t i = 0; i < samples; ++i) {
    made[i] = static_cast<int16_t>(9000 * std::sin(static_cast<double>(i) * 2764.6 / rate_hz));
  }
  return made;
}

void bench_g711_tables(benchmark::State& state) {
  auto samples = tone(160, 8000);
  for (auto _ : state) {
    for (int16_t& sample : samples) sample = g711::mu_to_linear(g711::linear_to_mu(sample));
    benchmark::DoNotOptimize(samples.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(bench_g711_tables);

CodecSettings settings_of(AudioCodec codec) {
  return {codec == AudioCodec::l16 ? 16'000U : 0U, false};
}

void bench_encode(benchmark::State& state, AudioCodec codec) {
  const auto encoder = must(make_encoder(codec, settings_of(codec)));
  const auto samples = tone(encoder->sample_rate_hz() / 50, encoder->sample_rate_hz());
  std::array<std::byte, 4096> packet;
  for (auto _ : state) benchmark::DoNotOptimize(encoder->encode(samples, packet));
}

void bench_decode(benchmark::State& state, AudioCodec codec) {
  const auto encoder = must(make_encoder(codec, settings_of(codec)));
  const auto decoder = must(make_decoder(codec, settings_of(codec)));
  const auto samples = tone(encoder->sample_rate_hz() / 50, encoder->sample_rate_hz());
  std::array<std::byte, 4096> packet;
  const Bytes payload = std::span(packet).first(encoder->encode(samples, packet));
  std::array<int16_t, 5760> out;
  for (auto _ : state) benchmark::DoNotOptimize(decoder->decode(payload, out));
}

#define CODEC_BENCHMARKS(name)                             \
  BENCHMARK_CAPTURE(bench_encode, name, AudioCodec::name); \
  BENCHMARK_CAPTURE(bench_decode, name, AudioCodec::name)
CODEC_BENCHMARKS(pcmu);
CODEC_BENCHMARKS(pcma);
CODEC_BENCHMARKS(g722);
CODEC_BENCHMARKS(gsm);
CODEC_BENCHMARKS(opus);
CODEC_BENCHMARKS(l16);
#undef CODEC_BENCHMARKS

// 20 ms.
void bench_resample(benchmark::State& state) {
  const auto from_hz = static_cast<uint32_t>(state.range(0));
  const auto to_hz = static_cast<uint32_t>(state.range(1));
  Resampler resampler = must(Resampler::make(from_hz, to_hz));
  const auto in = tone(from_hz / 50, from_hz);
  std::vector<int16_t> out(to_hz / 50 + 8);
  for (auto _ : state) benchmark::DoNotOptimize(resampler.process(in, out));
}
BENCHMARK(bench_resample)->Args({8000, 16'000})->Args({16'000, 8000})->Args({24'000, 8000});

// A frame of the endpoint's audio in, and one out to the worker, which takes it at once.
void bench_playout_frame(benchmark::State& state) {
  using namespace std::chrono_literals;
  const auto path = std::make_shared<VoicePath>();
  Playout playout = must(Playout::make({}, path));
  const auto rate_hz = static_cast<int>(state.range(0));
  const auto audio = tone(static_cast<size_t>(rate_hz) / 50, static_cast<uint32_t>(rate_hz));
  Instant now = from_ns(1'000'000'000);
  SpokenFrame frame;
  for (auto _ : state) {
    playout.play_samples(audio, rate_hz);
    playout.pump(now, [](MarkId, MarkFate) {});
    while (path->spoken.pop(frame)) path->frames_taken.fetch_add(1);
    now += 20ms;
  }
}
BENCHMARK(bench_playout_frame)->Arg(8000)->Arg(24'000);

}  // namespace
}  // namespace relay

BENCHMARK_MAIN();
