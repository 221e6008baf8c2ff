// What the kernel program costs a packet, by BPF_PROG_TEST_RUN: the program alone, without the
// driver, the redirect and the way out. Needs root.
//   fastpath_bench [runs [packets a run]]
#include <fmt/core.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bench/program.h"
#include "relay/fastpath/bpf_program.h"
#include "relay/fastpath/flow_table.h"
#include "relay/fastpath/test_frame.h"
#include "tests/support/packet_builder.h"

namespace {

using namespace relay;

template <typename T>
T must(Result<T> result) {
  if (!result) stop(result.error().message);
  return std::move(*result);
}

// An Ethernet interface that is not lo, in a network namespace of our own.
struct Ingress {
  uint32_t ifindex = 0;
  std::vector<std::byte> mac;
};

Ingress make_ingress() {
  if (::unshare(CLONE_NEWNET) != 0)
    stop(std::string("unshare(CLONE_NEWNET): ") + std::strerror(errno));
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (::ioctl(socket.get(), SIOCBRADDBR, "br0") != 0) stop("cannot make a bridge");
  Ingress ingress;
  for (const char* name : {"lo", "br0"}) {
    ifreq request{};
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_UP;
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) stop("cannot bring an interface up");
    if (::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0) stop("an interface has no address");
    const auto* mac = reinterpret_cast<const std::byte*>(request.ifr_hwaddr.sa_data);
    ingress.mac.assign(mac, mac + 6);
    ingress.ifindex = ::if_nametoindex(name);
  }
  return ingress;
}

Endpoint at(const char* address, uint16_t port) {
  return {*IpAddress::parse(address), port};
}

// One that leaves a packet as it was: the program meets the same packet run after run.
KernelFlowSpec mirror(const char* source, const char* local, uint16_t port) {
  KernelFlowSpec spec;
  spec.source = spec.egress = at(source, port);
  spec.local = spec.destination = at(local, port);
  return spec;
}

class Bench {
 public:
  Bench(int runs, uint32_t packets)
      : runs_(runs),
        packets_(packets),
        ingress_(make_ingress()),
        program_(must(BpfProgram::load(65536, nullptr))),
        routes_(must(Routes::open())),
        flows_(must(FlowTable::open(program_, routes_))) {}

  void fill(uint16_t flows) {
    for (uint16_t port = 1; port <= flows; ++port) {
      must(flows_.install(mirror("127.0.2.1", "127.0.3.1", port), {}, steady_now()));
    }
  }

  // Each packet is another flow's than the one before, of those that fill() has made, so little of
  // what it needs is in cache. The kernel's clock is in the figure, about 20 ns.
  void measure_in_turn(const char* what, uint16_t flows) {
    std::vector<uint32_t> ns;
    int verdict = 0;
    for (uint16_t turn = 0; turn < 5; ++turn) {
      const auto payload = testing::rtp_packet({.sequence = turn});
      for (uint16_t i = 0; i < flows; ++i) {
        const auto port =
            static_cast<uint16_t>(i * 7919U % flows + 1);  // a prime: all, in disorder
        auto frame = build_frame({at("127.0.2.1", port), at("127.0.3.1", port), payload});
        std::copy(ingress_.mac.begin(), ingress_.mac.end(), frame.begin());
        const BpfTestRun run = must(program_.test_run(frame, ingress_.ifindex, 0, 1));
        if (turn > 0) ns.push_back(run.duration_ns);
        verdict = run.verdict;
      }
    }
    show(what, verdict, std::move(ns));
  }

  void measure(const char* what, const KernelFlowSpec& spec, const Endpoint& source,
               const Endpoint& local, const testing::Packet& payload) {
    const KernelFlowId id = must(flows_.install(spec, {}, steady_now()));
    auto frame = build_frame({source, local, payload});
    std::copy(ingress_.mac.begin(), ingress_.mac.end(), frame.begin());
    std::vector<uint32_t> ns;
    int verdict = 0;
    for (int i = 0; i < runs_; ++i) {
      const BpfTestRun run = must(program_.test_run(frame, ingress_.ifindex, 0, packets_));
      ns.push_back(run.duration_ns);
      verdict = run.verdict;
    }
    show(what, verdict, std::move(ns));
    flows_.remove(id, steady_now());
  }

 private:
  static void show(const char* what, int verdict, std::vector<uint32_t> ns) {
    std::sort(ns.begin(), ns.end());
    fmt::print("{:<44} verdict {:>2}  best {:>4} ns  median {:>4} ns\n", what, verdict, ns.front(),
               ns[ns.size() / 2]);
  }

  int runs_;
  uint32_t packets_;
  Ingress ingress_;
  BpfProgram program_;
  Routes routes_;
  FlowTable flows_;
};

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 21;
  const auto packets = static_cast<uint32_t>(argc > 2 ? std::atoi(argv[2]) : 20000);
  if (runs < 1 || packets < 1) stop("usage: fastpath_bench [runs [packets a run]]");
  Bench bench(runs, packets);
  const auto rtp = testing::rtp_packet({}), rtcp = testing::rtcp_packet();
  const KernelFlowSpec ipv4 = mirror("127.0.0.2", "127.0.0.1", 35000);
  const KernelFlowSpec ipv6 = mirror("::1", "::1", 35000);
  KernelFlowSpec of_rtcp = ipv4;
  of_rtcp.component = Component::rtcp;
  Endpoint stranger = ipv4.source, elsewhere = ipv4.local;
  stranger.port = elsewhere.port = 7;
  bench.measure("RTP, IPv4: relayed", ipv4, ipv4.source, ipv4.local, rtp);
  bench.measure("RTP, IPv6: relayed", ipv6, ipv6.source, ipv6.local, rtp);
  bench.measure("RTCP, IPv4: relayed", of_rtcp, ipv4.source, ipv4.local, rtcp);
  bench.measure("a stranger's RTP: refused", ipv4, stranger, ipv4.local, rtp);
  bench.measure("UDP of no flow: left alone", ipv4, ipv4.source, elsewhere, rtp);
  bench.fill(40000);
  bench.measure("RTP, IPv4: relayed, beside 40,000 flows", ipv4, ipv4.source, ipv4.local, rtp);
  bench.measure_in_turn("RTP, IPv4: relayed, 4000 flows in turn", 4000);
  return 0;
}
