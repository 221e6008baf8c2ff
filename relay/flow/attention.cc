#include "relay/flow/attention.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace relay {

AttentionBoard::AttentionBoard() : wake_up_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void AttentionBoard::raise(const Flag& flag) {
  if (!flag.valid() || flag.raised_->exchange(1, std::memory_order_acq_rel) != 0) return;
  wake();
}

void AttentionBoard::wake() {
  if (any_raised_.exchange(true, std::memory_order_acq_rel)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_up_.get(), &one, sizeof one);
}

const std::vector<uint32_t>& AttentionBoard::collect() {
  collected_.clear();
  // In any case: whoever raised a flag may write after we have seen the flag.
  uint64_t wakes = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_up_.get(), &wakes, sizeof wakes);
  // Before the flags are read: what is raised from then on wakes once more.
  if (!any_raised_.exchange(false, std::memory_order_acq_rel)) return collected_;
  for (uint32_t number = 0; number < taken_at_most_; ++number) {
    std::atomic<uint8_t>& raised = (*chunks_[number / kChunkFlags])[number % kChunkFlags];
    if (raised.load(std::memory_order_relaxed) == 0) continue;
    raised.exchange(0, std::memory_order_acq_rel);
    collected_.push_back(number);
  }
  return collected_;
}

AttentionBoard::Flag AttentionBoard::take() {
  if (free_.empty()) {
    if (taken_at_most_ == chunks_.size() * kChunkFlags) {
      chunks_.push_back(std::make_unique<Chunk>());
    }
    Flag flag;
    flag.raised_ = &(*chunks_.back())[taken_at_most_ % kChunkFlags];
    flag.number_ = taken_at_most_++;
    return flag;
  }
  const Flag flag = free_.back();
  free_.pop_back();
  return flag;
}

void AttentionBoard::give_back(const Flag& flag) {
  free_.push_back(flag);
}

}  // namespace relay
