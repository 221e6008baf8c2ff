#include "relay/base/allocator.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

// Weak, so that programs without jemalloc link.
extern "C" int mallctl(const char* name, void* old_value, size_t* old_bytes, void* new_value,
                       size_t new_bytes) __attribute__((weak));

namespace relay {
namespace {

bool read_bytes(const char* name, uint64_t& to) {
  size_t value = 0;
  size_t bytes = sizeof value;
  if (mallctl(name, &value, &bytes, nullptr, 0) != 0) return false;
  to = value;
  return true;
}

}  // namespace

std::optional<AllocatorMemory> allocator_memory() {
  if (mallctl == nullptr) return std::nullopt;
  // The figures are of when the epoch was last written.
  uint64_t epoch = 1;
  if (mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch) != 0) return std::nullopt;
  AllocatorMemory memory;
  if (!read_bytes("stats.allocated", memory.allocated) ||
      !read_bytes("stats.active", memory.active) ||
      !read_bytes("stats.resident", memory.resident) ||
      !read_bytes("stats.retained", memory.retained)) {
    return std::nullopt;
  }
  return memory;
}

Result<void> start_allocator_thread() {
  if (mallctl == nullptr) return {};
  bool on = true;
  const int error = mallctl("background_thread", nullptr, nullptr, &on, sizeof on);
  if (error == 0) return {};
  return fail(std::string("the allocator starts no thread: ") + std::strerror(error));
}

}  // namespace relay
