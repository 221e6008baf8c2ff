#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/control/reply_cache.h"

namespace relay {

namespace {

const Endpoint kPeer{*IpAddress::parse("192.0.2.1"), 5000};
const Instant kStart = from_ns(1'000'000'000);

ReplyCacheKey key(std::string_view cookie, std::string_view command = "V") {
  return {0, kPeer, 0, cookie, command};
}

}  // namespace

TEST_CASE("a reply is found only by everything that tells requests apart") {
  struct Case {
    std::string description;
    ReplyCacheKey asked;
    bool found;
  };
  const std::vector<Case> cases = {
      {"the same request", {1, kPeer, 0, "893_4", "V"}, true},
      {"another cookie", {1, kPeer, 0, "893_5", "V"}, false},
      {"a cookie that continues the stored one", {1, kPeer, 0, "893_41", "V"}, false},
      {"another command under the same cookie", {1, kPeer, 0, "893_4", "X"}, false},
      {"another local socket", {2, kPeer, 0, "893_4", "V"}, false},
      {"another peer port", {1, {kPeer.address, 5001}, 0, "893_4", "V"}, false},
      {"another peer address", {1, {*IpAddress::parse("192.0.2.2"), 5000}, 0, "893_4", "V"}, false},
      {"another interface of a link-local peer", {1, kPeer, 7, "893_4", "V"}, false},
  };
  ReplyCache cache(ReplyCacheLimits{});
  CHECK(cache.insert({1, kPeer, 0, "893_4", "V"}, "893_4 20040107\n", kStart) == 0);
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string* stored = cache.find(c.asked, kStart);
    CHECK((stored != nullptr) == c.found);
    if (stored != nullptr) CHECK(*stored == "893_4 20040107\n");
  }
}

TEST_CASE("a reply lives 35 s from its first time and is never refreshed") {
  ReplyCache cache(ReplyCacheLimits{});
  cache.insert(key("a"), "a 1\n", kStart);
  const Instant last = kStart + std::chrono::seconds(35) - Duration(1);
  cache.insert(key("a"), "a 2\n", last);
  REQUIRE(cache.find(key("a"), last) != nullptr);
  CHECK(*cache.find(key("a"), last) == "a 1\n");
  CHECK(cache.find(key("a"), last + Duration(1)) == nullptr);
  cache.expire(last + Duration(1));
  CHECK(cache.entries() == 0);
  CHECK(cache.bytes() == 0);
}

TEST_CASE("the cache throws out the oldest when it is full") {
  SUBCASE("of entries") {
    ReplyCacheLimits limits;
    limits.entries = 3;
    ReplyCache cache(limits);
    size_t evicted = 0;
    for (int i = 0; i < 5; ++i)
      evicted += cache.insert(key("cookie" + std::to_string(i)), "reply\n", kStart);
    CHECK(evicted == 2);
    CHECK(cache.entries() == 3);
    CHECK(cache.find(key("cookie1"), kStart) == nullptr);
    CHECK(cache.find(key("cookie2"), kStart) != nullptr);
    CHECK(cache.find(key("cookie4"), kStart) != nullptr);
  }
  SUBCASE("of bytes") {
    ReplyCacheLimits limits;
    limits.bytes = 10'000;
    ReplyCache cache(limits);
    size_t evicted = 0;
    for (int i = 0; i < 100; ++i)
      evicted += cache.insert(key("cookie" + std::to_string(i)), std::string(1000, 'x'), kStart);
    CHECK(cache.bytes() <= limits.bytes);
    CHECK(cache.entries() + evicted == 100);
    CHECK(cache.find(key("cookie99"), kStart) != nullptr);
  }
}

}  // namespace relay
