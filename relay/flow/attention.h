// How the threads that relay packets tell the control thread which sessions' flows want a look,
// without making it ask all of them: one flag a session, the flags packed side by side, and a
// descriptor that wakes whoever waits.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

namespace relay {

class AttentionBoard {
 public:
  // A session's place. A flag raised after it was given back is at worst a needless look at the
  // session that got it next.
  class Flag {
   public:
    bool valid() const { return raised_ != nullptr; }
    uint32_t number() const { return number_; }

   private:
    friend class AttentionBoard;
    std::atomic<uint8_t>* raised_ = nullptr;
    uint32_t number_ = 0;  // small, for tables
  };

  AttentionBoard();
  AttentionBoard(const AttentionBoard&) = delete;
  AttentionBoard& operator=(const AttentionBoard&) = delete;

  // Any thread; a system call only for the first since the last collect(). Without effect on a
  // flag that is not valid.
  void raise(const Flag& flag);
  // The same without a flag: whoever waits is woken.
  void wake();

  // Control thread. The numbers of the flags raised since, which are down again; the descriptor is
  // no longer readable. Valid until the next call.
  const std::vector<uint32_t>& collect();
  Flag take();
  void give_back(const Flag& flag);
  // Readable when something was raised; -1: it could not be had, ask now and then.
  int descriptor() const { return wake_up_.get(); }

 private:
  static constexpr uint32_t kChunkFlags = 4096;
  using Chunk = std::array<std::atomic<uint8_t>, kChunkFlags>;

  std::vector<std::unique_ptr<Chunk>> chunks_;  // a chunk stays where it is
  std::vector<Flag> free_;
  uint32_t taken_at_most_ = 0;
  std::vector<uint32_t> collected_;
  std::atomic<bool> any_raised_{false};
  UniqueFd wake_up_;
};

}  // namespace relay
