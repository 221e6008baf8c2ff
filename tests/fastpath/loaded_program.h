// A loaded kernel program with its flow table, and packets for it.
#pragma once

#include <doctest/doctest.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "relay/fastpath/abi.h"
#include "relay/fastpath/bpf_program.h"
#include "relay/fastpath/flow_table.h"
#include "relay/fastpath/test_frame.h"
#include "tests/support/packet_builder.h"

namespace relay::testing {

using namespace std::chrono_literals;

inline constexpr int kNext = -1, kDrop = 2, kRedirect = 7;

inline Endpoint at(const char* address, uint16_t port) {
  return {*IpAddress::parse(address), port};
}

// All in loopback networks, so that each has a way out in an empty network namespace.
inline KernelFlowSpec flow_v4() {
  KernelFlowSpec spec;
  spec.local = at("192.0.2.1", 35000);
  spec.source = at("192.0.2.10", 40000);
  spec.egress = at("127.0.0.1", 35002);
  spec.destination = at("127.0.0.7", 50000);
  return spec;
}

inline KernelFlowSpec flow_v6() {
  KernelFlowSpec spec;
  spec.local = at("2001:db8::1", 35000);
  spec.source = at("2001:db8::10", 40000);
  spec.egress = at("::1", 35002);
  spec.destination = at("::1", 50000);
  return spec;
}

inline Packet bytes(std::initializer_list<int> values, size_t size) {
  Packet result(size);
  size_t i = 0;
  for (const int value : values) result[i++] = static_cast<std::byte>(value);
  return result;
}

template <typename T>
T must(Result<T> result) {
  if (!result) FAIL(result.error().message);
  return std::move(*result);
}

class LoadedProgram {
 public:
  explicit LoadedProgram(uint32_t flows_max = 64)
      : program_(must(BpfProgram::load(flows_max, nullptr))),
        routes_(must(Routes::open())),
        flows_(must(FlowTable::open(program_, routes_))) {}

  BpfProgram& program() { return program_; }
  FlowTable& flows() { return flows_; }

  // Sets what the loader would set; without it refused sources are punted without a rate.
  void configure(const FastpathConfig& config) { REQUIRE(program_.write_config(config)); }
  // Of lo, where all flows here leave through.
  void limit_mtu(int bytes) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
    request.ifr_mtu = bytes;
    REQUIRE(::ioctl(socket.get(), SIOCSIFMTU, &request) == 0);
  }

  KernelFlowId install(const KernelFlowSpec& spec, const RtpStreamState& stream = {}) {
    return must(flows_.install(spec, stream, steady_now()));
  }
  BpfTestRun run(const std::vector<std::byte>& frame, uint32_t mark = 0) {
    return must(program_.test_run(frame, kLoopbackIndex, mark));
  }
  BpfTestRun run(const KernelFlowSpec& spec, const Packet& payload) {
    return run(build_frame({spec.source, spec.local, payload}));
  }

 private:
  BpfProgram program_;
  Routes routes_;
  FlowTable flows_;
};

inline uint64_t sum_of_drops(const KernelFlowStats& stats) {
  uint64_t sum = 0;
  for (const __u64 n : stats.drops) sum += n;
  return sum;
}
inline uint64_t sum_of_punts(const KernelFlowStats& stats) {
  uint64_t sum = 0;
  for (const __u64 n : stats.punts) sum += n;
  return sum;
}
inline bool balanced(const KernelFlowStats& stats) {
  return stats.received == stats.forwarded + sum_of_drops(stats) + sum_of_punts(stats);
}

}  // namespace relay::testing
