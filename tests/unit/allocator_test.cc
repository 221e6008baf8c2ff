#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "relay/base/allocator.h"

namespace relay {
namespace {

TEST_CASE("what is allocated is seen, and what is freed is seen to go") {
  const auto before = allocator_memory();
  if (!before) return;  // a build without jemalloc
  REQUIRE(start_allocator_thread());
  constexpr size_t kBytes = 64 << 20;
  auto block = std::make_unique<std::vector<char>>(kBytes, 'x');
  const auto during = allocator_memory();
  REQUIRE(during);
  CHECK(during->allocated >= before->allocated + kBytes);
  CHECK(during->active >= during->allocated);
  CHECK(during->resident >= during->active);
  block.reset();
  const auto after = allocator_memory();
  REQUIRE(after);
  CHECK(after->allocated < during->allocated - kBytes / 2);
}

}  // namespace
}  // namespace relay
