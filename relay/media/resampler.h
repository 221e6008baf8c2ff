// Changes the sample rate of one channel of a stream (speexdsp, quality 3: 3 ms of delay between 8
// and 16 or 24 kHz, aliases below -90 dB). One thread at a time; making one allocates, using it
// does not.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "relay/base/result.h"

struct SpeexResamplerState_;

namespace relay {

class Resampler {
 public:
  // Rates from 4000 to 192000 Hz. Between equal rates samples are copied, without delay.
  static Result<Resampler> make(uint32_t from_hz, uint32_t to_hz);

  struct Step {
    size_t consumed = 0, written = 0;
  };
  // Goes on until `in` is used up or `out` is full; call again with the rest.
  Step process(std::span<const int16_t> in, std::span<int16_t> out);

  // Forgets what it still holds, as for another stream.
  void reset();

  // For files: drops the delay from the start of the output. Before the first process() only; the
  // last samples come out once delay_samples() of silence have followed them.
  void skip_delay();
  size_t delay_samples() const;  // at `from_hz`

 private:
  struct Deleter {
    void operator()(SpeexResamplerState_* state) const;
  };
  using State = std::unique_ptr<SpeexResamplerState_, Deleter>;
  explicit Resampler(State state) : state_(std::move(state)) {}

  State state_;  // null: equal rates
};

}  // namespace relay
