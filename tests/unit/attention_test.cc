// How a session's flows call for a look.
#include "relay/flow/attention.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <set>
#include <thread>
#include <vector>

namespace relay {
namespace {

bool is_readable(const AttentionBoard& board) {
  pollfd poll{board.descriptor(), POLLIN, 0};
  return ::poll(&poll, 1, 0) == 1;
}

}  // namespace

TEST_CASE("a raised flag is collected once") {
  AttentionBoard board;
  REQUIRE(board.descriptor() >= 0);
  std::vector<AttentionBoard::Flag> flags;
  for (int i = 0; i < 5000; ++i) flags.push_back(board.take());  // more than a chunk
  CHECK_FALSE(is_readable(board));
  CHECK(board.collect().empty());
  board.raise(flags[4999]);
  board.raise(flags[7]);
  board.raise(flags[7]);
  board.raise({});
  CHECK(is_readable(board));
  CHECK(board.collect() == std::vector<uint32_t>{flags[7].number(), flags[4999].number()});
  CHECK_FALSE(is_readable(board));
  CHECK(board.collect().empty());
  board.raise(flags[7]);
  CHECK(board.collect() == std::vector<uint32_t>{flags[7].number()});
  board.wake();
  CHECK(is_readable(board));
  CHECK(board.collect().empty());
  CHECK_FALSE(is_readable(board));
}

TEST_CASE("flags are used again, and their numbers stay small") {
  AttentionBoard board;
  std::set<uint32_t> numbers;
  for (int round = 0; round < 100; ++round) {
    const AttentionBoard::Flag one = board.take(), two = board.take();
    CHECK(one.number() != two.number());
    numbers.insert({one.number(), two.number()});
    board.give_back(one);
    board.give_back(two);
  }
  CHECK(numbers == std::set<uint32_t>{0, 1});
}

TEST_CASE("no flag raised by another thread is overlooked") {
  AttentionBoard board;
  std::vector<AttentionBoard::Flag> flags;
  for (int i = 0; i < 64; ++i) flags.push_back(board.take());
  for (int round = 0; round < 20; ++round) {
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = t; i < flags.size(); i += 2) board.raise(flags[i]);
      });
    }
    std::set<uint32_t> seen;
    // As the control thread does: asleep until the descriptor is readable.
    while (seen.size() < flags.size()) {
      pollfd poll{board.descriptor(), POLLIN, 0};
      REQUIRE(::poll(&poll, 1, 5000) == 1);
      for (const uint32_t number : board.collect()) CHECK(seen.insert(number).second);
    }
    for (std::thread& thread : threads) thread.join();
    board.collect();
  }
}

}  // namespace relay
