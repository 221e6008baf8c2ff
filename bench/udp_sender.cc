// Sends RTP-sized datagrams as fast as one core can and says what each cost in wall time. On veth
// the kernel carries a packet to its end within the sender's system call, so that is the cost of
// its whole way, as long as the machine has nothing else to do.
//   udp_sender SOURCE SOURCE-PORT DESTINATION DESTINATION-PORT FLOWS WINDOWS
// Flow i uses both ports plus i. One line: "best NS median NS" over the windows of 20,000 packets.
#include <fmt/core.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/base/unique_fd.h"
#include "tests/support/packet_builder.h"

namespace {

using namespace relay;

constexpr int kWindowPackets = 20000;

[[noreturn]] void stop(const char* why) {
  std::perror(why);
  std::exit(1);
}

UniqueFd open_flow(const Endpoint& source, const Endpoint& destination) {
  const SocketAddress from = to_socket_address(source), to = to_socket_address(destination);
  UniqueFd fd(::socket(from.get()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || ::bind(fd.get(), from.get(), from.length) != 0) stop("bind");
  if (::connect(fd.get(), to.get(), to.length) != 0) stop("connect");
  return fd;
}

double window_ns(const std::vector<UniqueFd>& flows, testing::RtpFields& fields) {
  testing::Packet packet;
  const Instant start = steady_now();
  for (int i = 0; i < kWindowPackets; ++i) {
    const size_t flow = static_cast<size_t>(i) % flows.size();
    if (flow == 0) {
      ++fields.sequence;
      packet = testing::rtp_packet(fields);
    }
    if (::send(flows[flow].get(), packet.data(), packet.size(), 0) < 0) stop("send");
  }
  return static_cast<double>((steady_now() - start).count()) / kWindowPackets;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    fmt::print(stderr,
               "usage: udp_sender SOURCE SOURCE-PORT DESTINATION DESTINATION-PORT FLOWS WINDOWS\n");
    return 2;
  }
  const auto source = IpAddress::parse(argv[1]), destination = IpAddress::parse(argv[3]);
  if (!source || !destination) stop("addresses are numeric");
  std::vector<UniqueFd> flows;
  for (int i = 0; i < std::atoi(argv[5]); ++i) {
    flows.push_back(open_flow({*source, static_cast<uint16_t>(std::atoi(argv[2]) + i)},
                              {*destination, static_cast<uint16_t>(std::atoi(argv[4]) + i)}));
  }
  testing::RtpFields fields;
  std::vector<double> windows;
  for (int i = 0; i < std::atoi(argv[6]); ++i) windows.push_back(window_ns(flows, fields));
  if (windows.empty() || flows.empty()) stop("no flows or no windows");
  std::sort(windows.begin(), windows.end());
  fmt::print("best {:.0f} median {:.0f}\n", windows.front(), windows[windows.size() / 2]);
  return 0;
}
