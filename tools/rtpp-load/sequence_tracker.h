// Which of a stream's packets came, came twice or came late. A window of 1024 packets is exact (20
// s at 20 ms); what is older counts as late, never as a duplicate.
#pragma once

#include <bitset>
#include <cstdint>

namespace relay::tools {

class SequenceTracker {
 public:
  enum class Arrival : uint8_t { in_order, reordered, duplicate };

  Arrival record(uint32_t sequence) {
    if (!any_ || sequence > highest_) {
      const uint32_t first_new = any_ ? highest_ + 1 : sequence;
      const uint32_t cleared = sequence - first_new;
      if (cleared >= kWindow) {
        seen_.reset();
      } else {
        for (uint32_t s = first_new; s != sequence; ++s) seen_.reset(s % kWindow);
      }
      any_ = true;
      highest_ = sequence;
      seen_.set(sequence % kWindow);
      return Arrival::in_order;
    }
    if (highest_ - sequence < kWindow) {
      if (seen_.test(sequence % kWindow)) return Arrival::duplicate;
      seen_.set(sequence % kWindow);
    }
    return Arrival::reordered;
  }

 private:
  static constexpr uint32_t kWindow = 1024;
  std::bitset<kWindow> seen_;
  uint32_t highest_ = 0;
  bool any_ = false;
};

}  // namespace relay::tools
