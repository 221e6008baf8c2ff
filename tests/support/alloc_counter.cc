#include "tests/support/alloc_counter.h"

#include <atomic>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RELAY_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RELAY_COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef RELAY_COUNTS_ALLOCATIONS
#define RELAY_COUNTS_ALLOCATIONS 1
#endif

namespace {
std::atomic<uint64_t> allocations{0};
thread_local bool exempt = false;
}  // namespace

#if RELAY_COUNTS_ALLOCATIONS
namespace {
void note_allocation() {
  if (!exempt) allocations.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

// glibc's allocator under its second name; operator new ends here too.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* pointer, size_t size);
void* malloc(size_t size) {
  note_allocation();
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  note_allocation();
  return __libc_calloc(count, size);
}
void* realloc(void* pointer, size_t size) {
  note_allocation();
  return __libc_realloc(pointer, size);
}
}
#endif

namespace relay::testing {

AllocationsElsewhere::AllocationsElsewhere() {
  exempt = true;
  allocations.store(0);
}

AllocationsElsewhere::~AllocationsElsewhere() {
  exempt = false;
}

uint64_t AllocationsElsewhere::count() const {
  return allocations.load();
}

bool AllocationsElsewhere::works() {
  return RELAY_COUNTS_ALLOCATIONS != 0;
}

}  // namespace relay::testing
