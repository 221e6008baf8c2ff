// Looks for the most calls that keep to the limits: doubling until they do not, then bisection.
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace relay::tools {

class KneeSearch {
 public:
  // Requires 1 <= first <= most.
  KneeSearch(uint32_t first, uint32_t most) : next_(first), most_(most) {}

  // How many to try; nothing once it is known within 5 %, or that `most` keep to the limits.
  std::optional<uint32_t> next() const {
    if (next_ == 0) return std::nullopt;
    return next_;
  }

  // Of the calls that next() named.
  void record(bool kept) {
    (kept ? kept_ : broken_) = next_;
    if (broken_ == 0) {
      next_ = kept_ == most_ ? 0 : std::min(most_, kept_ * 2);
    } else {
      const uint32_t gap = broken_ - kept_;
      next_ = gap <= std::max<uint32_t>(1, kept_ / 20) ? 0 : kept_ + gap / 2;
    }
  }

  // Zero while none have been found to.
  uint32_t most_kept() const { return kept_; }
  // That more were not tried because there is no room for them.
  bool ended_at_most() const { return kept_ == most_; }

 private:
  uint32_t next_;
  const uint32_t most_;
  uint32_t kept_ = 0;
  uint32_t broken_ = 0;  // zero: not yet
};

}  // namespace relay::tools
