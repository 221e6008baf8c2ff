#include "relay/base/byte_ring.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <thread>

namespace relay {
namespace {

bool put(ByteRing& ring, const std::string& text) {
  const auto room = ring.claim(text.size());
  if (room.empty()) return false;
  std::transform(text.begin(), text.end(), room.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  ring.commit();
  return true;
}

std::string take(ByteRing& ring) {
  const auto bytes = ring.front();
  std::string text;
  for (const std::byte byte : bytes) text += static_cast<char>(byte);
  ring.pop();
  return text;
}

TEST_CASE("a ring gives back what was put in, in order, whole") {
  ByteRing ring(64);
  // Lengths that end up anywhere, and meet the end of the memory in every way.
  for (size_t i = 0; i < 500; ++i) {
    const std::string first(1 + i % 23, static_cast<char>('a' + i % 26));
    const std::string second(1 + i % 7, 'z');
    REQUIRE(put(ring, first));
    const bool fits = put(ring, second);
    CHECK(take(ring) == first);
    if (fits) CHECK(take(ring) == second);
    CHECK(ring.read() == ring.written());
  }
}

TEST_CASE("a full ring refuses, and takes on once there is room") {
  ByteRing ring(64);
  CHECK(put(ring, std::string(24, 'a')));
  CHECK(put(ring, std::string(24, 'b')));
  CHECK_FALSE(put(ring, "c"));
  CHECK(take(ring) == std::string(24, 'a'));
  CHECK(put(ring, "c"));
  CHECK(take(ring) == std::string(24, 'b'));
  CHECK(take(ring) == "c");
  CHECK_FALSE(put(ring, std::string(57, 'x')));  // never fits
  CHECK(put(ring, std::string(24, 'y')));
}

TEST_CASE("one thread puts in, another takes out") {
  ByteRing ring(1024);
  constexpr uint64_t kStrings = 200'000;
  std::thread producer([&] {
    for (uint64_t i = 0; i < kStrings;) {
      const std::string text = std::to_string(i) + std::string(i % 40, '.');
      if (put(ring, text)) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < kStrings; ++i) {
    while (ring.read() == ring.written()) std::this_thread::yield();
    wrong += take(ring) != std::to_string(i) + std::string(i % 40, '.') ? 1 : 0;
  }
  producer.join();
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace relay
