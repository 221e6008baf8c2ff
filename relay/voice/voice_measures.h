// How long things took in the voice sessions of one profile since start. The voice thread writes,
// any thread reads.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "relay/base/clock.h"
#include "relay/base/published.h"

namespace relay {

// Four buckets an octave of microseconds: a percentile is at most a fifth too high.
class DelayHistogram {
 public:
  void add(Duration delay) {
    const auto us = static_cast<uint64_t>(delay.count() > 0 ? delay.count() / 1000 : 0);
    buckets_[bucket_of(us)].add();
    sum_us_.add(us);
  }

  uint64_t count() const {
    uint64_t sum = 0;
    for (const Counter& bucket : buckets_) sum += bucket.get();
    return sum;
  }
  Duration sum() const { return std::chrono::microseconds(sum_us_.get()); }
  // Those below 2^`exponent` microseconds, at least 2.
  uint64_t count_below(unsigned exponent) const {
    uint64_t sum = 0;
    const size_t end = bucket_of(uint64_t{1} << exponent);
    for (size_t i = 0; i < end; ++i) sum += buckets_[i].get();
    return sum;
  }
  // What `share` (0 to 1) of the delays did not exceed; zero when there are none.
  Duration percentile(double share) const {
    const auto wanted = static_cast<double>(count()) * share;
    uint64_t sum = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      sum += buckets_[i].get();
      if (sum > 0 && static_cast<double>(sum) >= wanted) return upper_bound(i);
    }
    return {};
  }

 private:
  static constexpr size_t kBuckets = 128;

  static size_t bucket_of(uint64_t us) {
    if (us < 4) return us;
    const auto octave = static_cast<size_t>(std::bit_width(us)) - 3;
    const size_t bucket = octave * 4 + static_cast<size_t>(us >> octave);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  static Duration upper_bound(size_t bucket) {
    if (bucket < 4) return std::chrono::microseconds(bucket + 1);
    const size_t octave = (bucket - 4) / 4;
    const size_t step = 4 + (bucket - 4) % 4;
    return std::chrono::microseconds((step + 1) << octave);
  }

  std::array<Counter, kBuckets> buckets_;
  Counter sum_us_;
};

struct VoiceMeasures {
  DelayHistogram turn;  // the caller's last voiced frame → the first frame of the answer sent
  DelayHistogram up;    // a packet's arrival → its frame handed to the connection
  DelayHistogram down;  // audio from the endpoint, with nothing queued → its first frame sent
};

}  // namespace relay
