// Looking names up: what is told, to whom, and that nobody waits for those who do it.
#include "relay/base/resolver.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>

namespace relay {
namespace {

using namespace std::chrono_literals;

constexpr auto kLong = 20s;  // which no healthy run comes near

// Tasks for the test's own thread.
class Loop {
 public:
  Resolver::Post post() {
    return [this](std::function<void()> task) {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
      more_.notify_one();
    };
  }
  bool run_one(std::chrono::milliseconds limit = kLong) {
    std::unique_lock lock(mutex_);
    if (!more_.wait_for(lock, limit, [&] { return !tasks_.empty(); })) return false;
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::function<void()>> tasks_;
};

// Lookups that last until the test says so.
struct Gate {
  std::promise<void> opened;
  std::shared_future<void> is_open = opened.get_future().share();
  std::atomic<int> waiting{0}, left{0};

  Resolver::Lookup lookup() {
    return [this](const std::string&, uint16_t port) -> Result<Resolver::Addresses> {
      ++waiting;
      is_open.wait_for(kLong);
      ++left;
      return Resolver::Addresses{to_socket_address({*IpAddress::parse("192.0.2.1"), port})};
    };
  }
  void wait_for(const std::atomic<int>& count, int value) const {
    const auto end = std::chrono::steady_clock::now() + kLong;
    while (count < value && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    CHECK(count == value);
  }
};

std::string text_of(const Result<Resolver::Addresses>& found) {
  if (!found) return "failed: " + found.error().message;
  std::string text;
  for (const SocketAddress& address : *found) text += to_endpoint(address).to_string() + " ";
  return text;
}

}  // namespace

TEST_CASE("addresses are their own answer, names are looked up") {
  Loop loop;
  Resolver resolver(loop.post());
  std::string told;
  const auto done = [&](const auto& found) { told = text_of(found); };
  for (const auto& [host, expected] : std::vector<std::pair<std::string, std::string>>{
           {"192.0.2.7", "192.0.2.7:80 "},
           {"2001:db8::7", "[2001:db8::7]:80 "},
       }) {
    const auto request = resolver.look_up(host, 80, done);
    CHECK(told.empty());
    REQUIRE(loop.run_one());
    CHECK(told == expected);
    told.clear();
  }
  const auto local = resolver.look_up("localhost", 81, done);
  REQUIRE(loop.run_one());
  CHECK(told.find(":81 ") != std::string::npos);
  const auto nowhere = resolver.look_up("no such host", 81, done);
  REQUIRE(loop.run_one());
  CHECK(told.starts_with("failed: "));
}

TEST_CASE("a request that was let go is not told") {
  Loop loop;
  Gate gate;
  Resolver resolver(loop.post(), gate.lookup());
  int told = 0;
  auto gone = resolver.look_up("a.example.com", 1, [&](const auto&) { ++told; });
  const auto kept = resolver.look_up("b.example.com", 2, [&](const auto& found) {
    CHECK(text_of(found) == "192.0.2.1:2 ");
    ++told;
  });
  gone.reset();
  gate.opened.set_value();
  REQUIRE(loop.run_one());
  REQUIRE(loop.run_one());
  CHECK(told == 1);
}

TEST_CASE("a resolver ends while a lookup lasts, and tells nobody afterwards") {
  Loop loop;
  Gate gate;
  const auto before = std::chrono::steady_clock::now();
  {
    Resolver resolver(loop.post(), gate.lookup());
    const auto request = resolver.look_up("a.example.com", 1, [](const auto&) { FAIL("told"); });
    gate.wait_for(gate.waiting, 1);
  }
  CHECK(std::chrono::steady_clock::now() - before < kLong / 2);
  CHECK(gate.left == 0);
  gate.opened.set_value();
  gate.wait_for(gate.left, 1);
  CHECK_FALSE(loop.run_one(10ms));
}

TEST_CASE("the threads are bounded") {
  Loop loop;
  Gate gate;
  Resolver resolver(loop.post(), gate.lookup());
  const int most = Resolver::kUnderWayMax;
  std::vector<Resolver::Request> requests;
  std::vector<std::string> told;
  const auto ask = [&] {
    requests.push_back(resolver.look_up(
        "a.example.com", 1, [&](const auto& found) { told.push_back(text_of(found)); }));
  };
  for (int i = 0; i <= most; ++i) ask();
  REQUIRE(loop.run_one());
  CHECK(told == std::vector<std::string>{"failed: too many names are being looked up"});
  gate.opened.set_value();
  for (int i = 0; i < most; ++i) REQUIRE(loop.run_one());
  ask();
  REQUIRE(loop.run_one());
  CHECK(told.back() == "192.0.2.1:1 ");
  gate.wait_for(gate.left, most + 1);
}

}  // namespace relay
