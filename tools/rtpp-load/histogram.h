// Times in nanoseconds, counted in logarithmic buckets 1.6 % wide: as good for 10 us as for 10 s,
// and small enough for each thread to have its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace relay::tools {

class Histogram {
 public:
  // Below zero counts as zero; above an hour as an hour.
  void record(int64_t ns);
  void merge(const Histogram& other);

  uint64_t count() const { return count_; }
  // All zero while nothing is recorded.
  int64_t min_ns() const { return count_ == 0 ? 0 : min_ns_; }
  int64_t max_ns() const { return max_ns_; }
  double mean_ns() const;
  // The smallest time that `fraction` (0 to 1) of the records do not exceed, at most 1.6 % too
  // large and never above the maximum.
  int64_t quantile_ns(double fraction) const;

 private:
  static constexpr int kSubBucketBits = 7;
  static constexpr int64_t kLargestNs = 3'600'000'000'000;
  static constexpr size_t kBuckets = 64 * (42 - kSubBucketBits) + 128;

  static size_t bucket_of(uint64_t ns);
  static int64_t largest_in(size_t bucket);

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  int64_t min_ns_ = kLargestNs;
  int64_t max_ns_ = 0;
  double sum_ns_ = 0;
};

}  // namespace relay::tools
