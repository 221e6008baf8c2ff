#include <doctest/doctest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/alloc_counter.h"
#include "tests/support/worker_call.h"

namespace relay {
namespace {

using namespace testing;

// Of this process, by the beginning of their name.
std::vector<pid_t> worker_threads(const std::string& beginning = "relay/") {
  std::vector<pid_t> threads;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (name.starts_with(beginning)) threads.push_back(std::stoi(task.path().filename()));
  }
  return threads;
}

TEST_CASE("an allocation of another thread is seen") {
  if (!testing::AllocationsElsewhere::works()) return;
  const testing::AllocationsElsewhere counter;
  std::atomic<bool> go{false};
  std::thread other([&] {
    while (!go.load()) std::this_thread::yield();
    const auto memory = std::make_unique<Packet>(1000);
    go.store(memory->empty());
  });
  const uint64_t before = counter.count();
  go.store(true);
  other.join();
  CHECK(counter.count() >= before + 2);
}

TEST_CASE("10000 packets cost the worker no allocation") {
  if (!testing::AllocationsElsewhere::works()) return;
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({.sequence = 1})));
  uint64_t allocations = 0;
  {
    const testing::AllocationsElsewhere counter;
    for (uint16_t i = 0; i < 10000; ++i) {
      const LegId leg = i % 2 == 0 ? LegId::caller : LegId::callee;
      const bool report = i % 100 == 99;
      REQUIRE(call.pass(leg, report ? kRtcp : kRtp,
                        report ? rtcp_packet() : rtp_packet({.sequence = i})));
    }
    REQUIRE(pool->update(*call.group, call.spec).sequence == 2);
    REQUIRE(eventually([&] { return pool->settled({0, 2}); }));
    allocations = counter.count();
  }
  CHECK(allocations == 0);
  CHECK(pool->counters().forwarded == 10001);
  remove_and_settle(*pool, call);
}

TEST_CASE("one thread a CPU unless told otherwise, and few calls share one of them") {
  auto pool = WorkerPool::start(0);
  REQUIRE(pool);
  CHECK((*pool)->threads() == available_cpus());
  std::array<Call, 3> calls;
  for (Call& call : calls) {
    (*pool)->install(*call.group, call.spec);
    CHECK(call.group->plane_index == 0);
  }
  for (Call& call : calls) remove_and_settle(**pool, call);
}

TEST_CASE("workers run before what has no realtime priority, if the kernel lets them") {
  auto pool = start_pool(2);
  const auto refused = pool->set_realtime_priority(100);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("realtime priority 100 of worker thread 0") == 0);
  if (!pool->set_realtime_priority(1)) {
    MESSAGE("not let: without CAP_SYS_NICE the rest is not tried");
    return;
  }
  for (const pid_t thread : worker_threads()) CHECK(::sched_getscheduler(thread) == SCHED_RR);
  CHECK(::sched_getscheduler(0) == SCHED_OTHER);
}

// This thread runs there; afterwards where it might before.
class OnCpu {
 public:
  explicit OnCpu(int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::sched_getaffinity(0, sizeof before_, &before_);
    ::sched_setaffinity(0, sizeof one, &one);
  }
  ~OnCpu() { ::sched_setaffinity(0, sizeof before_, &before_); }
  OnCpu(const OnCpu&) = delete;
  OnCpu& operator=(const OnCpu&) = delete;

 private:
  cpu_set_t before_{};
};

std::vector<int> cpus_of(pid_t thread) {
  std::vector<int> cpus;
  cpu_set_t set;
  if (::sched_getaffinity(thread, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

TEST_CASE("a realtime worker keeps off the CPU on which its packets come in") {
  const std::vector<int> all = cpus_of(0);
  for (const bool realtime : {true, false}) {
    auto pool = start_pool(1);
    if (all.size() < 2 || (realtime && !pool->set_realtime_priority(1))) {
      MESSAGE("SKIPPED: it needs two CPUs and CAP_SYS_NICE");
      return;
    }
    const pid_t worker = worker_threads("relay/worker-0").at(0);
    Call call;
    pool->install(*call.group, call.spec);
    uint16_t sequence = 0;
    for (const int cpu : {all.front(), all.back(), all.front()}) {
      const OnCpu sender(cpu);
      // On loopback a packet comes in where it was sent. Decided after 64 samples of one in 64.
      for (int i = 0; i < 2 * 64 * 64; ++i) {
        REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({.sequence = ++sequence})));
      }
      std::vector<int> others = all;
      if (realtime) std::erase(others, cpu);
      CHECK(cpus_of(worker) == others);
    }
    remove_and_settle(*pool, call);
  }
}

TEST_CASE("calls are dealt out where each fills a worker") {
  auto pool = start_pool(3);
  std::vector<std::unique_ptr<Call>> calls;
  std::array<int, 3> owned{};
  for (int i = 0; i < 9; ++i) {
    calls.push_back(std::make_unique<Call>());
    pool->install(*calls.back()->group, calls.back()->spec);
    ++owned[calls.back()->group->plane_index];
  }
  CHECK(owned == std::array<int, 3>{3, 3, 3});
  remove_and_settle(*pool, *calls[4]);
  const uint32_t relieved = calls[4]->group->plane_index;
  pool->install(*calls[4]->group, calls[4]->spec);
  CHECK(calls[4]->group->plane_index == relieved);
  for (auto& call : calls) REQUIRE(call->pass(LegId::caller, kRtp, rtp_packet({})));
  for (auto& call : calls) remove_and_settle(*pool, *call);
  CHECK(pool->counters().forwarded == 9);
}

TEST_CASE("workers can be told apart by their thread names") {
  auto pool = start_pool(2);
  CHECK(worker_threads("relay/worker-0").size() == 1);
  CHECK(worker_threads("relay/worker-1").size() == 1);
  CHECK(worker_threads().size() == 2);
}

TEST_CASE("after a stop the control side still gets its tickets settled") {
  auto pool = start_pool(2);
  Call call;
  pool->install(*call.group, call.spec);
  REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({})));
  pool->stop();
  CHECK(pool->settled(pool->update(*call.group, call.spec)));
  CHECK(pool->settled(pool->remove(*call.group)));
  CHECK(pool->counters().forwarded == 1);
}

}  // namespace
}  // namespace relay
