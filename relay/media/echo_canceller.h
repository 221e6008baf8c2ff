// Takes the echo of what a party hears out of what it says (speexdsp). One thread at a time; using
// it does not allocate.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "relay/base/result.h"

struct SpeexEchoState_;

namespace relay {

class EchoCanceller {
 public:
  static constexpr std::chrono::milliseconds kFrame{20};

  // Of an echo that comes up to `tail` after what was said.
  static Result<EchoCanceller> make(uint32_t rate_hz, std::chrono::milliseconds tail);

  // Both of one frame: what the party was told, and what came from it, which is changed in place.
  void cancel(std::span<const int16_t> told, std::span<int16_t> heard);

 private:
  struct Deleter {
    void operator()(SpeexEchoState_* state) const;
  };
  using State = std::unique_ptr<SpeexEchoState_, Deleter>;
  EchoCanceller(State state, size_t frame_samples)
      : state_(std::move(state)), clean_(frame_samples) {}

  State state_;
  std::vector<int16_t> clean_;
};

}  // namespace relay
