// A bounded queue of byte strings of any length between exactly one producing and one consuming
// thread. Never blocks and never allocates after construction; a full ring refuses, and the caller
// counts what it drops. Each string lies in one piece.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "relay/base/assert.h"

namespace relay {

class ByteRing {
 public:
  // Requires: `capacity` is a power of two, at least 64. Memory is touched when it is first used.
  explicit ByteRing(size_t capacity)
      : capacity_(capacity), bytes_(std::make_unique_for_overwrite<std::byte[]>(capacity)) {
    RELAY_ASSERT(capacity >= 64 && std::has_single_bit(capacity));
  }

  // Producer thread. Room for one string, visible to the consumer after commit(); empty when the
  // ring is full. Requires: size > 0.
  std::span<std::byte> claim(size_t size) {
    const uint64_t needed = kHeaderBytes + rounded(size);
    uint64_t at = written_.load(std::memory_order_relaxed);
    const uint64_t to_end = capacity_ - (at & (capacity_ - 1));
    const uint64_t skipped = needed > to_end ? to_end : 0;
    if (needed > capacity_ || at + skipped + needed - read_seen_ > capacity_) {
      read_seen_ = read_.load(std::memory_order_acquire);
      if (needed > capacity_ || at + skipped + needed - read_seen_ > capacity_) return {};
    }
    if (skipped != 0) {
      put_header(at, kSkip);
      at += skipped;
    }
    put_header(at, size);
    claimed_end_ = at + needed;
    return {place(at) + kHeaderBytes, size};
  }
  void commit() { written_.store(claimed_end_, std::memory_order_release); }

  // Any thread. All strings committed so far have been popped once read() has come this far.
  uint64_t written() const { return written_.load(std::memory_order_acquire); }

  // Consumer thread.
  uint64_t read() const { return read_.load(std::memory_order_relaxed); }
  // The oldest string, valid until pop(). Requires: read() < written().
  std::span<const std::byte> front() {
    uint64_t at = read_.load(std::memory_order_relaxed);
    uint64_t size = header(at);
    if (size == kSkip) {
      at += capacity_ - (at & (capacity_ - 1));
      size = header(at);
    }
    front_end_ = at + kHeaderBytes + rounded(size);
    return {place(at) + kHeaderBytes, size};
  }
  void pop() { read_.store(front_end_, std::memory_order_release); }

 private:
  static constexpr size_t kHeaderBytes = sizeof(uint64_t);
  static constexpr uint64_t kSkip = ~uint64_t{0};  // nothing more up to the end of the memory

  static uint64_t rounded(uint64_t size) { return (size + 7) & ~uint64_t{7}; }
  std::byte* place(uint64_t position) const { return bytes_.get() + (position & (capacity_ - 1)); }
  void put_header(uint64_t position, uint64_t value) {
    std::memcpy(place(position), &value, sizeof value);
  }
  uint64_t header(uint64_t position) const {
    uint64_t value = 0;
    std::memcpy(&value, place(position), sizeof value);
    return value;
  }

  const uint64_t capacity_;
  const std::unique_ptr<std::byte[]> bytes_;
  // Positions only grow.
  alignas(64) std::atomic<uint64_t> written_{0};
  uint64_t read_seen_ = 0, claimed_end_ = 0;  // the producer's
  alignas(64) std::atomic<uint64_t> read_{0};
  uint64_t front_end_ = 0;  // the consumer's
};

}  // namespace relay
