// Sends RTP-sized datagrams at an even pace, for benchmarks that measure what becomes of them.
// Reads commands, answers `run` with a line:
//   flow GROUP SOURCE/PORT DESTINATION/PORT
//   run GROUP PACKETS PACKETS-A-SECOND FLOWS      → "sent 10000 late_us 85"
// The packets of a group go round the first FLOWS of its flows in turn; each flow's sequence
// continues from run to run.
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "bench/program.h"
#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/base/unique_fd.h"
#include "tests/support/packet_builder.h"

namespace {

using namespace relay;

// Between two wake-ups: at 20,000 packets a second 20 of them, of as many flows.
constexpr Duration kPace = std::chrono::milliseconds(1);

struct Flow {
  UniqueFd fd;
  testing::RtpFields fields;
  testing::Packet packet;
};

struct Group {
  std::vector<Flow> flows;
  size_t next = 0;
};

Flow open_flow(const Endpoint& source, const Endpoint& destination, uint32_t ssrc) {
  const SocketAddress from = to_socket_address(source), to = to_socket_address(destination);
  Flow flow;
  flow.fd = UniqueFd(::socket(from.get()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!flow.fd || ::bind(flow.fd.get(), from.get(), from.length) != 0 ||
      ::connect(flow.fd.get(), to.get(), to.length) != 0) {
    stop(source.to_string() + " to " + destination.to_string() + ": " + std::strerror(errno));
  }
  flow.fields.ssrc = ssrc;
  flow.packet = testing::rtp_packet(flow.fields);
  return flow;
}

void send_next(Group& group, size_t flows) {
  Flow& flow = group.flows[group.next % flows];
  group.next = (group.next + 1) % flows;
  ++flow.fields.sequence;
  flow.fields.timestamp += 160;
  flow.packet[2] = static_cast<std::byte>(flow.fields.sequence >> 8);
  flow.packet[3] = static_cast<std::byte>(flow.fields.sequence & 0xFF);
  for (size_t i = 0; i < 4; ++i) {
    flow.packet[4 + i] = static_cast<std::byte>(flow.fields.timestamp >> (24 - 8 * i) & 0xFF);
  }
  // What an earlier datagram has met (ICMP) is none of this one's business.
  if (::send(flow.fd.get(), flow.packet.data(), flow.packet.size(), 0) < 0 &&
      ::send(flow.fd.get(), flow.packet.data(), flow.packet.size(), 0) < 0) {
    stop(std::string("send: ") + std::strerror(errno));
  }
}

void sleep_until(Instant instant) {
  const int64_t ns = to_ns(instant);
  const timespec ts{ns / 1'000'000'000, ns % 1'000'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, nullptr);
}

void run(Group& group, uint64_t packets, uint64_t packets_per_second, size_t flows) {
  const Instant start = steady_now();
  Duration late_at_most{};
  uint64_t sent = 0;
  for (Duration due{}; sent < packets; due += kPace) {
    sleep_until(start + due);
    late_at_most = std::max<Duration>(late_at_most, steady_now() - (start + due));
    const auto due_us = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(due + kPace).count());
    const uint64_t target = std::min(packets, packets_per_second * due_us / 1'000'000);
    for (; sent < target; ++sent) send_next(group, flows);
  }
  const auto late = std::chrono::duration_cast<std::chrono::microseconds>(late_at_most);
  fmt::print("sent {} late_us {}\n", sent, late.count());
  std::fflush(stdout);
}

}  // namespace

int main() {
  const rlimit files{20000, 20000};
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::map<std::string, Group> groups;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command, name, source, destination;
    words >> command >> name;
    Group& group = groups[name];
    if (command == "flow" && words >> source >> destination) {
      const auto ssrc = static_cast<uint32_t>(0x10000 + group.flows.size());
      group.flows.push_back(open_flow(to_endpoint(source), to_endpoint(destination), ssrc));
      continue;
    }
    uint64_t packets = 0, packets_per_second = 0, flows = 0;
    if (command != "run" || !(words >> packets >> packets_per_second >> flows) || flows == 0 ||
        flows > group.flows.size() || packets_per_second == 0) {
      stop("\"" + line + "\": expected \"flow …\", or \"run …\" of a group that has flows");
    }
    run(group, packets, packets_per_second, flows);
  }
  return 0;
}
