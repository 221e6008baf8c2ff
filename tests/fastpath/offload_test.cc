// The whole of it on the real kernel: two phones in network namespaces of their own, worker
// threads, the program, and the offloader between them, under live traffic.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <thread>

#include "relay/dataplane/worker_pool.h"
#include "relay/fastpath/fastpath.h"
#include "relay/flow/tap.h"
#include "relay/session/offloader.h"
#include "tests/fastpath/loaded_program.h"
#include "tests/support/udp_socket.h"

namespace relay {
namespace {

using namespace std::chrono_literals;
using testing::at;
using testing::UdpSocket;

void shell(const std::string& command) {
  CAPTURE(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

// A network namespace with one end of a veth pair, held by a thread that waits in it.
class PhoneHost {
 public:
  PhoneHost(const std::string& device, const std::string& ours, const std::string& theirs)
      : keeper_([this] { keep(); }) {
    while (thread_.load() == 0) std::this_thread::yield();
    const std::string there = fmt::format("/proc/{}/task/{}/ns/net", ::getpid(), thread_.load());
    shell(fmt::format("ip link add {} type veth peer name eth0 netns {}", device, thread_.load()));
    shell(fmt::format("ip addr add {}/24 dev {} && ip link set {} up", ours, device, device));
    shell(fmt::format("nsenter --net={} ip addr add {}/24 dev eth0", there, theirs));
    shell(fmt::format("nsenter --net={} ip link set eth0 up", there));
    device_ = device;
  }
  ~PhoneHost() {
    done_ = true;
    keeper_.join();
    shell("ip link del " + device_);
  }
  PhoneHost(const PhoneHost&) = delete;
  PhoneHost& operator=(const PhoneHost&) = delete;

  // A socket stays in the namespace it was made in.
  std::unique_ptr<UdpSocket> socket(const Endpoint& local) {
    std::unique_ptr<UdpSocket> made;
    std::thread([&] {
      const std::string path = fmt::format("/proc/{}/task/{}/ns/net", ::getpid(), thread_.load());
      const UniqueFd there(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
      if (there && ::setns(there.get(), CLONE_NEWNET) == 0)
        made = std::make_unique<UdpSocket>(local);
    }).join();
    REQUIRE(made);
    REQUIRE(made->open());
    return made;
  }

 private:
  void keep() {
    if (::unshare(CLONE_NEWNET) != 0) std::abort();
    thread_ = static_cast<int>(::syscall(SYS_gettid));
    while (!done_) std::this_thread::sleep_for(5ms);
  }

  std::atomic<int> thread_{0};
  std::atomic<bool> done_{false};
  std::string device_;
  std::thread keeper_;
};

uint16_t sequence_of(Bytes packet) {
  return read_be16(packet, 2);
}

// How often each sequence number came, and in what order.
struct Heard {
  std::map<uint16_t, int> times;
  uint16_t last = 0;
  int out_of_order = 0;
  void note(uint16_t sequence) {
    ++times[sequence];
    if (sequence < last) ++out_of_order;
    last = std::max(last, sequence);
  }
  int more_than_once() const {
    int n = 0;
    for (const auto& [sequence, count] : times) n += count > 1;
    return n;
  }
};

class HearingTap final : public Tap {
 public:
  TapAnswer offer(const TappedPacket& packet) override {
    heard.note(sequence_of(packet.bytes));
    offered.fetch_add(1);
    return TapAnswer::relay;
  }
  bool wants(PacketKind kind) const override { return kind == PacketKind::rtp; }
  const char* name() const override { return "hearing"; }
  Heard heard;  // the worker's until it has let go
  std::atomic<uint64_t> offered{0};
};

Result<std::unique_ptr<Fastpath>> open_fastpath() {
  FastpathOptions options;
  options.mode = FastpathMode::require;
  options.pin = false;
  options.listen = {*IpAddress::parse("198.51.100.1"), *IpAddress::parse("203.0.113.1")};
  return Fastpath::open(options);
}

class LiveCall {
 public:
  LiveCall()
      : a_host_("ra", "198.51.100.1", "198.51.100.2"), b_host_("rb", "203.0.113.1", "203.0.113.2") {
    auto pool = WorkerPool::start(1);
    REQUIRE(pool);
    workers_ = std::move(*pool);
    kernel_ = testing::must(open_fastpath());
    workers_->recognise_copies(kernel_->tee_mark());
    planes_ = std::make_unique<Offloader>(*workers_, *kernel_, clock_);
    a_ = a_host_.socket(at("198.51.100.2", 40000));
    b_ = b_host_.socket(at("203.0.113.2", 50000));
    spec.complete = true;
    describe(LegId::caller, relay_a_, *a_);
    describe(LegId::callee, relay_b_, *b_);
    planes_->install(group, spec);
  }
  ~LiveCall() {
    const PlaneTicket ticket = planes_->remove(group);
    while (!planes_->settled(ticket)) std::this_thread::sleep_for(1ms);
  }

  // A packet of a to b every millisecond, and one of b to a; the control thread's work as it comes.
  void talk(int packets) {
    Instant due = steady_now();
    for (int i = 0; i < packets; ++i) {
      REQUIRE(a_->send(relay_a_[0].local(), testing::rtp_packet({.sequence = ++sent, .ssrc = 1})));
      REQUIRE(b_->send(relay_b_[0].local(), testing::rtp_packet({.sequence = sent, .ssrc = 2})));
      due += 1ms;
      std::this_thread::sleep_for(std::max<Duration>(due - steady_now(), Duration(0)));
      if (i % 20 == 0) planes_->tick();
      listen();
    }
  }
  // Talks until both ways are in the kernel.
  void talk_until_in_kernel() {
    for (int i = 0; i < 100 && !in_kernel(); ++i) talk(20);
    REQUIRE(in_kernel());
  }
  bool in_kernel() const {
    return planes_->path_of(group, LegId::caller, Component::rtp).in_kernel &&
           planes_->path_of(group, LegId::callee, Component::rtp).in_kernel;
  }
  void attach(Tap& tap) {
    spec.legs[index(LegId::caller)].taps = {&tap};
    planes_->update(group, spec);
  }
  // The tap is the test's again.
  void detach() {
    spec.legs[index(LegId::caller)].taps = {};
    const PlaneTicket ticket = planes_->update(group, spec);
    while (!planes_->settled(ticket)) std::this_thread::sleep_for(1ms);
  }
  // Waits for what is under way.
  void finish() {
    for (int i = 0; i < 500 && heard.times.size() < sent; ++i) {
      std::this_thread::sleep_for(10ms);
      listen();
    }
  }
  // Copies that are under way.
  static void wait_for_copies(const HearingTap& tap, uint64_t copies) {
    for (int i = 0; i < 500 && tap.offered.load() < copies; ++i) {
      std::this_thread::sleep_for(10ms);
    }
  }
  uint64_t teed() const {
    const KernelShare& share = group.kernel_of(LegId::caller, Component::rtp);
    const KernelFlowStats* live = share.live.load();
    return (share.before ? share.before->teed : 0) +
           (live != nullptr ? read_kernel_counter(live->teed) : 0);
  }

  FlowGroup group;
  FlowGroupSpec spec;
  uint16_t sent = 0;
  Heard heard;  // by b

 private:
  void describe(LegId leg, const std::array<UdpSocket, 2>& ours, const UdpSocket& party) {
    LegSpec& of_leg = spec.legs[index(leg)];
    of_leg.sockets = {ours[0].fd(), ours[1].fd()};
    of_leg.local = ours[0].local();
    of_leg.signalled = party.local();
    of_leg.signalled_count = 1;
    of_leg.with_codecs = true;
  }
  void listen() {
    while (const auto packet = b_->receive(0ms)) heard.note(sequence_of(packet->bytes));
    while (a_->receive(0ms)) {
    }
  }

  PhoneHost a_host_, b_host_;
  std::array<UdpSocket, 2> relay_a_{UdpSocket(at("198.51.100.1", 35000)),
                                    UdpSocket(at("198.51.100.1", 35001))};
  std::array<UdpSocket, 2> relay_b_{UdpSocket(at("203.0.113.1", 35002)),
                                    UdpSocket(at("203.0.113.1", 35003))};
  std::unique_ptr<UdpSocket> a_, b_;
  SteadyClock clock_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<Fastpath> kernel_;
  std::unique_ptr<Offloader> planes_;
};

}  // namespace

TEST_CASE("taps come and go under live traffic, and nobody loses a packet or hears one twice") {
  LiveCall call;
  call.talk_until_in_kernel();
  call.finish();
  const int overtaken = call.heard.out_of_order;  // by the kernel, on a machine this busy
  for (int round = 0; round < 5; ++round) {
    CAPTURE(round);
    HearingTap tap;
    const uint64_t teed_before = call.teed();
    call.attach(tap);
    const uint16_t from = call.sent;
    for (int i = 0; i < 100 && call.teed() == teed_before; ++i) call.talk(20);
    call.talk(100);
    const uint16_t to = call.sent;
    REQUIRE(call.in_kernel());
    CHECK(call.teed() > teed_before);
    call.finish();
    LiveCall::wait_for_copies(tap, call.teed() - teed_before);
    call.detach();
    // From the tick that followed the attachment on every packet has come, once.
    REQUIRE_FALSE(tap.heard.times.empty());
    const uint16_t first = tap.heard.times.begin()->first;
    CHECK(first > from);
    CHECK(tap.heard.times.size() == static_cast<size_t>(to - first + 1));
    CHECK(tap.heard.more_than_once() == 0);
    CHECK(tap.heard.out_of_order == 0);
    call.talk(100);
    REQUIRE(call.in_kernel());
  }
  call.finish();
  CHECK(call.heard.times.size() == call.sent);
  CHECK(call.heard.more_than_once() == 0);
  CHECK(call.heard.out_of_order == overtaken);
  MESSAGE(call.sent, " packets, 5 taps attached and detached, ", call.teed(), " copies");
  const FlowFigures figures = figures_of(call.group, LegId::caller, Component::rtp);
  CHECK(figures.received == call.sent);
  CHECK(figures.analysis.lost() == 0);
  CHECK(figures.analysis.duplicates == 0);
}

}  // namespace relay
