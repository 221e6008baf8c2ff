#include "tools/rtpp-load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace relay::tools {

// Up to 127 each value has its bucket; above, an octave has 64.
size_t Histogram::bucket_of(uint64_t ns) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(ns)) - kSubBucketBits);
  return static_cast<size_t>(shift) * 64 + static_cast<size_t>(ns >> shift);
}

int64_t Histogram::largest_in(size_t bucket) {
  if (bucket < 128) return static_cast<int64_t>(bucket);
  const size_t shift = bucket / 64 - 1;
  return static_cast<int64_t>(((bucket - shift * 64 + 1) << shift) - 1);
}

void Histogram::record(int64_t ns) {
  ns = std::clamp<int64_t>(ns, 0, kLargestNs);
  ++buckets_[bucket_of(static_cast<uint64_t>(ns))];
  ++count_;
  min_ns_ = std::min(min_ns_, ns);
  max_ns_ = std::max(max_ns_, ns);
  sum_ns_ += static_cast<double>(ns);
}

void Histogram::merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  min_ns_ = std::min(min_ns_, other.min_ns_);
  max_ns_ = std::max(max_ns_, other.max_ns_);
  sum_ns_ += other.sum_ns_;
}

double Histogram::mean_ns() const {
  return count_ == 0 ? 0 : sum_ns_ / static_cast<double>(count_);
}

int64_t Histogram::quantile_ns(double fraction) const {
  const double rank = std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count_));
  const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(rank));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::min(largest_in(i), max_ns_);
  }
  return max_ns_;
}

}  // namespace relay::tools
