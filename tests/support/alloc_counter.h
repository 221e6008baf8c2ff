// Counts heap allocations of all threads but the one that created the counter, for proofs that a
// thread's hot path makes none. A program linking alloc_counter.cc has its malloc counted.
#pragma once

#include <cstdint>

namespace relay::testing {

class AllocationsElsewhere {
 public:
  AllocationsElsewhere();
  ~AllocationsElsewhere();
  AllocationsElsewhere(const AllocationsElsewhere&) = delete;
  AllocationsElsewhere& operator=(const AllocationsElsewhere&) = delete;
  // Since construction.
  uint64_t count() const;
  // False under sanitizers, which bring their own malloc.
  static bool works();
};

}  // namespace relay::testing
