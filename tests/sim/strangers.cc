#include "tests/sim/strangers.h"

#include "tests/sim/sim_phone.h"

namespace relay::testing {
namespace {

using namespace std::chrono_literals;

const IpAddress kRelay = *IpAddress::parse("192.0.2.1");
const IpAddress kWalker = *IpAddress::parse("203.0.113.66");
const IpAddress kGuesser = *IpAddress::parse("203.0.113.67");
const IpAddress kReplayer = *IpAddress::parse("203.0.113.68");

constexpr size_t kRecordedPackets = 64;
// Fewer than a consistent run, and with a pause between: a run from a strange host may win a leg
// whose party moves at that moment and is silent, and latch.h says so.
constexpr int kReplayPackets = 4;
constexpr Duration kReplayPause = 2s;

}  // namespace

Strangers::Strangers(SimNetwork& network, SimQueue& queue, SimRandom& random, uint16_t port_min,
                     uint16_t port_max)
    : network_(network),
      queue_(queue),
      random_(random),
      port_min_(port_min),
      port_max_(port_max),
      next_port_(port_min) {}

bool Strangers::is_stranger(const Endpoint& source) {
  return source.address == kWalker || source.address == kGuesser || source.address == kReplayer;
}

void Strangers::start(Instant end, std::function<void(const Endpoint& source)> on_leak) {
  end_ = end;
  for (const IpAddress& host : {kWalker, kGuesser, kReplayer}) {
    network_.attach(host, [on_leak](const Endpoint& source, const Endpoint&, const Packet&) {
      on_leak(source);
    });
  }
  walk();
  guess();
  replay();
}

void Strangers::record(const Endpoint& destination, const Packet& packet) {
  Recording& recording = recordings_[destination.port];
  if (recording.packets.empty()) recorded_ports_.push_back(destination.port);
  recording.packets.push_back(packet);
  if (recording.packets.size() > kRecordedPackets) recording.packets.pop_front();
}

void Strangers::walk() {
  if (queue_.now() >= end_) return;
  send({kWalker, 7000}, next_port_, marked_rtp({}, 0x66666666, ++sequence_));
  next_port_ = next_port_ < port_max_ ? static_cast<uint16_t>(next_port_ + 1) : port_min_;
  queue_.after(2ms, [this] { walk(); });
}

void Strangers::guess() {
  if (queue_.now() >= end_) return;
  const Endpoint source{kGuesser, static_cast<uint16_t>(1024 + random_.below(60'000))};
  const auto port =
      static_cast<uint16_t>(port_min_ + random_.below(uint64_t{port_max_} - port_min_ + 1u));
  const auto ssrc = static_cast<uint32_t>(random_.below(UINT32_MAX));
  const auto sequence = static_cast<uint16_t>(random_.below(65'536));
  switch (random_.below(3)) {
    case 0:
      send(source, port, rtcp_packet(ssrc));
      break;
    case 1:
      send(source, port, Packet(40, std::byte{0x16}));
      break;  // DTLS by its first byte
    default:
      send(source, port, marked_rtp({}, ssrc, sequence));
      break;
  }
  queue_.after(3ms, [this] { guess(); });
}

// Only what is a second old: who forwards packets faster than the party's own arrive is on the
// path, and that is SRTP's to solve.
void Strangers::replay() {
  if (queue_.now() >= end_) return;
  queue_.after(50ms, [this] { replay(); });
  if (recorded_ports_.empty()) return;
  const uint16_t port = recorded_ports_[random_.below(recorded_ports_.size())];
  Recording& recording = recordings_[port];
  if (recording.packets.size() < kRecordedPackets ||
      queue_.now() - recording.replayed < kReplayPause) {
    return;
  }
  recording.replayed = queue_.now();
  ++replays_;
  for (int i = 0; i < kReplayPackets; ++i) {
    const Packet packet = recording.packets[static_cast<size_t>(i)];
    queue_.after(20ms * i, [this, port, packet] { send({kReplayer, 9000}, port, packet); });
  }
}

void Strangers::send(const Endpoint& source, uint16_t port, const Packet& packet) {
  ++packets_;
  network_.send(source, {kRelay, port}, packet);
}

}  // namespace relay::testing
