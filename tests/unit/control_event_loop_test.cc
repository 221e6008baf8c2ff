#include <doctest/doctest.h>
#include <signal.h>

#include <thread>

#include "control_fixture.h"

namespace relay {

using namespace control_test;

TEST_CASE("tasks posted from other threads run on the loop's thread in their order") {
  auto loop = std::move(*EventLoop::create());
  std::vector<int> ran;
  const auto loop_thread = std::this_thread::get_id();
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) {
      loop->post([&, i] {
        CHECK(std::this_thread::get_id() == loop_thread);
        ran.push_back(i);
      });
    }
    loop->post([&] { loop->stop(); });
  });
  loop->run();
  other.join();
  REQUIRE(ran.size() == 1000);
  for (int i = 0; i < 1000; ++i) CHECK(ran[static_cast<size_t>(i)] == i);
}

TEST_CASE("a stop before run is not lost") {
  auto loop = std::move(*EventLoop::create());
  loop->stop();
  loop->run();
  loop->post([&] { loop->stop(); });
  loop->run();
}

TEST_CASE("a signal becomes a callback") {
  auto loop = std::move(*EventLoop::create());
  int seen = 0;
  REQUIRE(loop->add_signal(SIGUSR2, [&] { ++seen; }));
  ::raise(SIGUSR2);
  CHECK(run_until(*loop, [&] { return seen == 1; }));
  CHECK_FALSE(loop->add_signal(SIGKILL, [] {}));
}

TEST_CASE("timers fire once or again and again, until stopped") {
  auto loop = std::move(*EventLoop::create());
  int once = 0, repeated = 0, stopped = 0;
  Timer single(*loop, [&] { ++once; });
  Timer repeating(*loop, [&] { ++repeated; });
  Timer never(*loop, [&] { ++stopped; });
  never.start_once(Duration::zero());
  never.stop();
  single.start_once(std::chrono::milliseconds(1));
  repeating.start_repeating(std::chrono::milliseconds(2));
  CHECK(run_until(*loop, [&] { return repeated == 5; }));
  CHECK(once == 1);
  CHECK(stopped == 0);
}

TEST_CASE("a callback may destroy the event that called it") {
  auto loop = std::move(*EventLoop::create());
  const std::string outlives_the_event(64, 'x');
  std::string seen;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(*loop, [&timer, &seen, text = outlives_the_event] {
    timer.reset();
    seen = text;
  });
  timer->start_once(Duration::zero());
  CHECK(run_until(*loop, [&] { return !seen.empty(); }));
  CHECK(seen == outlives_the_event);
}

}  // namespace relay
