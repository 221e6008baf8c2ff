// What the daemon's allocator (jemalloc) says of its memory. Where it is not linked, with
// sanitizers for one, there are no figures.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/base/result.h"

namespace relay {

struct AllocatorMemory {
  uint64_t allocated = 0;  // bytes in use by the program
  uint64_t active = 0;     // in pages of which some of that is
  uint64_t resident = 0;   // in RAM, what may soon be needed again included
  uint64_t retained = 0;   // addresses kept, without RAM behind them
};

std::optional<AllocatorMemory> allocator_memory();

// From then on a thread of the allocator's gives unused pages back, not whoever frees the next
// object. To be called after the last fork(): the thread does not come along.
Result<void> start_allocator_thread();

}  // namespace relay
