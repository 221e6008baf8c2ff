// CPU per relayed packet of the slow path with real sockets on loopback, nothing else in the way:
//   worker_load [sessions=400] [packets_per_second=50] [seconds=5] [threads=1]
// Prints the worker threads' CPU time (user + system, from the scheduler) over packets forwarded.
// The parties' sockets filter everything out, so that no receiver wakes up; what a packet costs
// the sender on its way in is not in the figure, what it costs us on its way out is.
#include <dirent.h>
#include <fmt/core.h>
#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <charconv>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "relay/dataplane/worker_pool.h"
#include "tests/support/packet_builder.h"
#include "tests/support/udp_socket.h"

namespace relay {
namespace {

using testing::UdpSocket;

struct Call {
  struct Leg {
    UdpSocket party{Endpoint{*IpAddress::parse("127.0.0.1"), 0}};
    UdpSocket relay{Endpoint{*IpAddress::parse("127.0.0.1"), 0}};
  };
  std::array<Leg, 2> legs;
  FlowGroup group;

  bool install(WorkerPool& pool) {
    FlowGroupSpec spec;
    spec.complete = true;
    for (const LegId leg : kLegs) {
      const Leg& from = legs[index(leg)];
      if (!from.party.open() || !from.relay.open()) return false;
      LegSpec& leg_spec = spec.legs[index(leg)];
      leg_spec.sockets = {from.relay.fd(), -1};
      leg_spec.local = from.relay.local();
      leg_spec.signalled = from.party.local();
      leg_spec.signalled_count = 1;
      leg_spec.with_codecs = true;
      sock_filter refuse_all = BPF_STMT(BPF_RET | BPF_K, 0);
      const sock_fprog program{1, &refuse_all};
      ::setsockopt(from.party.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    }
    pool.install(group, spec);
    return true;
  }
};

// On-CPU nanoseconds of all worker threads.
uint64_t workers_cpu_ns() {
  uint64_t sum = 0;
  DIR* tasks = ::opendir("/proc/self/task");
  if (tasks == nullptr) return 0;
  while (const dirent* entry = ::readdir(tasks)) {
    const std::string base = std::string("/proc/self/task/") + entry->d_name;
    std::string name;
    std::getline(std::ifstream(base + "/comm"), name);
    if (!name.starts_with("relay/worker-")) continue;
    uint64_t on_cpu_ns = 0;
    std::ifstream(base + "/schedstat") >> on_cpu_ns;
    sum += on_cpu_ns;
  }
  ::closedir(tasks);
  return sum;
}

int argument(int argc, char** argv, int position, int fallback) {
  if (position >= argc) return fallback;
  const std::string_view text = argv[position];
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    fmt::print(stderr, "\"{}\": a positive number was expected\n", text);
    std::exit(2);
  }
  return value;
}

void sleep_until(Instant instant) {
  const int64_t ns = to_ns(instant);
  const timespec ts{ns / 1'000'000'000, ns % 1'000'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, nullptr);
}

// Every millisecond the share of the calls whose turn it is.
void send_for(std::vector<std::unique_ptr<Call>>& calls, int packets_per_second, int seconds,
              uint32_t& sequence) {
  const int ticks = 1000 / packets_per_second;
  Instant next = steady_now();
  for (int ms = 0; ms < seconds * 1000; ++ms) {
    const auto turn = static_cast<size_t>(ms % ticks);
    if (turn == 0) ++sequence;
    const auto packet = testing::rtp_packet(
        {.sequence = static_cast<uint16_t>(sequence), .timestamp = sequence * 160});
    for (size_t i = turn; i < calls.size(); i += static_cast<size_t>(ticks)) {
      for (const Call::Leg& leg : calls[i]->legs) leg.party.send(leg.relay.local(), packet);
    }
    next += std::chrono::milliseconds(1);
    sleep_until(next);
  }
}

int run(int sessions, int packets_per_second, int seconds, unsigned threads) {
  const rlimit files{65536, 65536};
  ::setrlimit(RLIMIT_NOFILE, &files);
  auto pool = WorkerPool::start(threads, kFullWorker);
  if (!pool) {
    fmt::print(stderr, "{}\n", pool.error().message);
    return 1;
  }
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < sessions; ++i) {
    calls.push_back(std::make_unique<Call>());
    if (!calls.back()->install(**pool)) {
      fmt::print(stderr, "session {}: no sockets: {}\n", i, std::strerror(errno));
      return 1;
    }
  }
  uint32_t sequence = 0;
  send_for(calls, packets_per_second, 1, sequence);
  const PlaneCounters before = (*pool)->counters();
  const uint64_t cpu_before = workers_cpu_ns();
  send_for(calls, packets_per_second, seconds, sequence);
  const PlaneCounters after = (*pool)->counters();
  const uint64_t cpu = workers_cpu_ns() - cpu_before;
  const uint64_t forwarded = after.forwarded - before.forwarded;
  const uint64_t expected = uint64_t{2} * static_cast<unsigned>(sessions * packets_per_second) *
                            static_cast<unsigned>(seconds);
  fmt::print("{:.3f} us/packet, {} forwarded of {} sent, {} dropped, {:.1f} % of a CPU\n",
             static_cast<double>(cpu) / 1000.0 / static_cast<double>(forwarded), forwarded,
             expected, after.dropped() - before.dropped(),
             static_cast<double>(cpu) / 1e7 / seconds);
  for (auto& call : calls) (*pool)->remove(call->group);
  (*pool)->stop();
  return 0;
}

}  // namespace
}  // namespace relay

int main(int argc, char** argv) {
  using relay::argument;
  return relay::run(argument(argc, argv, 1, 400), argument(argc, argv, 2, 50),
                    argument(argc, argv, 3, 5), static_cast<unsigned>(argument(argc, argv, 4, 1)));
}
