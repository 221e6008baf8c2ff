#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <utility>
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
    const auto stored = cache.find(c.asked, kStart);
    CHECK(stored.has_value() == c.found);
    if (stored) CHECK(*stored == "893_4 20040107\n");
  }
}

TEST_CASE("a reply lives 35 s from its first time and is never refreshed") {
  ReplyCache cache(ReplyCacheLimits{});
  cache.insert(key("a"), "a 1\n", kStart);
  const Instant last = kStart + std::chrono::seconds(35) - Duration(1);
  cache.insert(key("a"), "a 2\n", last);
  REQUIRE(cache.find(key("a"), last));
  CHECK(*cache.find(key("a"), last) == "a 1\n");
  CHECK_FALSE(cache.find(key("a"), last + Duration(1)));
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
    CHECK_FALSE(cache.find(key("cookie1"), kStart));
    CHECK(cache.find(key("cookie2"), kStart));
    CHECK(cache.find(key("cookie4"), kStart));
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
    CHECK(cache.find(key("cookie99"), kStart));
  }
  SUBCASE("of bytes, by one reply that does not fit at all") {
    ReplyCacheLimits limits;
    limits.bytes = 1000;
    ReplyCache cache(limits);
    cache.insert(key("a"), "reply\n", kStart);
    CHECK(cache.insert(key("b"), std::string(1000, 'x'), kStart) == 2);
    CHECK(cache.bytes() == 0);
    CHECK(cache.allocated_bytes() == 0);
  }
}

TEST_CASE("the longest replies and cookies are stored whole") {
  ReplyCache cache(ReplyCacheLimits{});
  std::vector<std::pair<std::string, std::string>> stored;
  for (const char letter : std::string("abcdefghij")) {
    stored.emplace_back(std::string(8189, letter), std::string(65'507, letter));
    cache.insert(key(stored.back().first), stored.back().second, kStart);
    stored.emplace_back(std::string(1, letter), "");
    cache.insert(key(stored.back().first), "", kStart);
  }
  // More than the cache allocates at a time.
  stored.emplace_back("huge", std::string(1'000'000, 'h'));
  cache.insert(key("huge"), stored.back().second, kStart);
  for (const auto& [cookie, reply] : stored) CHECK(cache.find(key(cookie), kStart) == reply);
}

TEST_CASE("memory follows what is stored, up and down") {
  const auto one_second = std::chrono::seconds(1);
  ReplyCache cache(ReplyCacheLimits{});
  Instant now = kStart;
  // 2000 commands a second: as many stored replies at any time once the lifetime is over.
  size_t most = 0;
  for (int second = 0; second < 120; ++second, now += one_second) {
    for (int i = 0; i < 2000; ++i) {
      cache.insert(key(std::to_string(second * 2000 + i)), "30000 192.0.2.1\n", now);
    }
    CHECK(cache.entries() <= 70'000);
    CHECK(cache.bytes() / cache.entries() < 160);
    most = std::max(most, cache.allocated_bytes());
  }
  CHECK(cache.entries() == 70'000);
  CHECK(most < 70'000 * 160);
  for (int second = 0; second < 35; ++second, now += one_second) {
    cache.insert(key("slow" + std::to_string(second)), "30000 192.0.2.1\n", now);
  }
  CHECK(cache.entries() == 35);
  CHECK(cache.allocated_bytes() < 1'000'000);
  cache.expire(now + std::chrono::seconds(35));
  CHECK(cache.allocated_bytes() == 0);
}

TEST_CASE("whatever comes and goes, the cache knows what a map of the last replies knows") {
  struct Stored {
    std::string cookie, reply;
    Instant until;
  };
  for (const size_t entries_max : {1U, 50U, 700U, 5000U}) {
    CAPTURE(entries_max);
    ReplyCacheLimits limits;
    limits.entries = entries_max;
    limits.bytes = entries_max == 700 ? 300'000 : 2'000'000;
    ReplyCache cache(limits);
    std::deque<Stored> order;
    std::map<std::string, std::string> model;
    std::mt19937 random(static_cast<unsigned>(entries_max));
    const auto up_to = [&](size_t most) {
      return std::uniform_int_distribution<size_t>(0, most)(random);
    };
    const auto forget_oldest = [&] {
      model.erase(order.front().cookie);
      order.pop_front();
    };
    Instant now = kStart;
    for (int step = 0; step < 60'000; ++step) {
      // Rushes and lulls, in which most of it expires.
      now += std::chrono::milliseconds(step / 10'000 % 2 == 0 ? up_to(2) : up_to(200));
      const std::string cookie = std::to_string(up_to(8000));
      const std::string reply(up_to(up_to(99) == 0 ? 3000 : 60),
                              static_cast<char>('a' + step % 26));
      const bool is_new = !model.contains(cookie);
      const size_t evicted = cache.insert(key(cookie), reply, now);
      while (!order.empty() && order.front().until <= now) forget_oldest();
      if (is_new || !model.contains(cookie)) {
        order.push_back({cookie, reply, now + limits.lifetime});
        model[cookie] = reply;
      }
      for (size_t i = 0; i < evicted; ++i) forget_oldest();
      REQUIRE(cache.entries() == model.size());
      REQUIRE(cache.entries() <= limits.entries);
      REQUIRE(cache.bytes() <= limits.bytes);
      const std::string asked = std::to_string(up_to(8000));
      const auto found = cache.find(key(asked), now);
      REQUIRE(found.has_value() == model.contains(asked));
      if (found) REQUIRE(*found == model[asked]);
    }
    for (const Stored& stored : order) REQUIRE(cache.find(key(stored.cookie), now) == stored.reply);
  }
}

}  // namespace relay
