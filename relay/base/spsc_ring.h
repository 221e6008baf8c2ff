// A bounded queue between exactly one producing and one consuming thread. Never blocks and never
// allocates after construction; a full ring refuses, and the caller counts what it drops.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include "relay/base/assert.h"

namespace relay {

template <typename T>
class SpscRing {
 public:
  // Requires: capacity is a power of two.
  explicit SpscRing(size_t capacity)
      : mask_(capacity - 1), slots_(std::make_unique<T[]>(capacity)) {
    RELAY_ASSERT(capacity > 0 && (capacity & mask_) == 0);
  }

  // Producer thread. False, and `value` untouched, when the ring is full.
  bool push(T&& value) {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) > mask_) return false;
    slots_[tail & mask_] = std::move(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // Consumer thread. False when the ring is empty.
  bool pop(T& value) {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return false;
    value = std::move(slots_[head & mask_]);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  bool empty() const {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }

 private:
  const size_t mask_;
  std::unique_ptr<T[]> slots_;
  alignas(64) std::atomic<size_t> head_{0};
  alignas(64) std::atomic<size_t> tail_{0};
};

}  // namespace relay
