// What a network can do to a packet: fragments, options, tags, lengths that lie, random damage.
// Relayed whole or left alone, never relayed damaged.
#include <algorithm>
#include <random>

#include "tests/fastpath/loaded_program.h"

namespace relay::testing {
namespace {

using Frame = std::vector<std::byte>;

constexpr size_t kIp = 14, kUdp4 = 34, kUdp6 = 54;

const Packet kRtp = rtp_packet({});

void put(Frame& frame, size_t at, std::initializer_list<int> values) {
  for (const int value : values) frame[at++] = static_cast<std::byte>(value);
}

// Makes the IPv4 header's checksum right again.
void seal(Frame& frame) {
  put(frame, kIp + 10, {0, 0});
  uint32_t sum = 0;
  for (size_t i = 0; i < 20; i += 2) {
    sum += static_cast<uint32_t>(frame[kIp + i]) << 8 | static_cast<uint32_t>(frame[kIp + i + 1]);
  }
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  put(frame, kIp + 10, {static_cast<int>(~sum >> 8 & 0xFF), static_cast<int>(~sum & 0xFF)});
}

enum class Fate { relayed, punted, not_ours };

struct Odd {
  std::string description;
  bool ipv6;
  void (*damage)(Frame&);
  Fate fate;
};

const std::vector<Odd>& odd_packets() {
  static const std::vector<Odd> table = {
      {"the first fragment", false,
       [](Frame& f) {
         put(f, kIp + 6, {0x20, 0});
       },
       Fate::not_ours},
      {"a later fragment", false,
       [](Frame& f) {
         put(f, kIp + 6, {0, 8});
       },
       Fate::not_ours},
      {"don't fragment", false,
       [](Frame& f) {
         put(f, kIp + 6, {0x40, 0});
       },
       Fate::relayed},
      {"IP options", false,
       [](Frame& f) {
         put(f, kIp, {0x46});
         f.insert(f.begin() + kUdp4, 4, std::byte{1});
         const size_t total = f.size() - kIp;
         put(f, kIp + 2, {static_cast<int>(total >> 8), static_cast<int>(total & 0xFF)});
       },
       Fate::not_ours},
      {"TCP", false, [](Frame& f) { put(f, kIp + 9, {6}); }, Fate::not_ours},
      {"version 6 in an IPv4 frame", false, [](Frame& f) { put(f, kIp, {0x65}); }, Fate::not_ours},
      {"ARP", false,
       [](Frame& f) {
         put(f, 12, {0x08, 0x06});
       },
       Fate::not_ours},
      {"an 802.1Q tag in the frame", false,
       [](Frame& f) {
         f.insert(f.begin() + 12, 4, std::byte{0});
         put(f, 12, {0x81, 0x00, 0, 10});
       },
       Fate::not_ours},
      {"for another host's MAC address", false,
       [](Frame& f) {
         put(f, 0, {2, 0, 0, 0, 0, 1});
       },
       Fate::not_ours},
      {"a broadcast frame", false,
       [](Frame& f) {
         put(f, 0, {255, 255, 255, 255, 255, 255});
       },
       Fate::not_ours},
      {"no UDP checksum", false,
       [](Frame& f) {
         put(f, kUdp4 + 6, {0, 0});
       },
       Fate::relayed},
      {"padding behind the datagram", false, [](Frame& f) { f.resize(f.size() + 18); },
       Fate::relayed},
      {"an IP length beyond the frame", false, [](Frame& f) { f.pop_back(); }, Fate::punted},
      {"an IP length below its header", false,
       [](Frame& f) {
         put(f, kIp + 2, {0, 19});
       },
       Fate::punted},
      {"a UDP length above the IP length", false,
       [](Frame& f) {
         put(f, kUdp4 + 4, {1, 0});
       },
       Fate::punted},
      {"a UDP length below the IP length", false,
       [](Frame& f) {
         put(f, kUdp4 + 4, {0, 100});
       },
       Fate::punted},
      {"a UDP length below its header", false,
       [](Frame& f) {
         put(f, kUdp4 + 4, {0, 7});
       },
       Fate::punted},
      {"a frame that ends in the UDP header", false, [](Frame& f) { f.resize(kUdp4 + 4); },
       Fate::not_ours},
      {"IPv6 without a UDP checksum", true,
       [](Frame& f) {
         put(f, kUdp6 + 6, {0, 0});
       },
       Fate::punted},
      {"an IPv6 fragment header", true, [](Frame& f) { put(f, kIp + 6, {44}); }, Fate::not_ours},
      {"IPv6 hop-by-hop options", true, [](Frame& f) { put(f, kIp + 6, {0}); }, Fate::not_ours},
      {"an IPv6 length beyond the frame", true, [](Frame& f) { f.pop_back(); }, Fate::punted},
      {"an IPv6 jumbogram's length of 0", true,
       [](Frame& f) {
         put(f, kIp + 4, {0, 0});
       },
       Fate::punted},
      {"an IPv6 flow label", true,
       [](Frame& f) {
         put(f, kIp + 1, {5, 6, 7});
       },
       Fate::relayed},
  };
  return table;
}

bool has_ip_options(const Frame& frame) {
  return frame.size() > kIp && frame[kIp] == std::byte{0x46};
}

}  // namespace

TEST_CASE("odd packets are relayed whole or left alone") {
  LoadedProgram loaded;
  for (const Odd& c : odd_packets()) {
    CAPTURE(c.description);
    const KernelFlowSpec spec = c.ipv6 ? flow_v6() : flow_v4();
    const KernelFlowId id = loaded.install(spec);
    Frame frame = build_frame({spec.source, spec.local, kRtp});
    c.damage(frame);
    // Damage to addresses and lengths must not be found by a wrong header checksum alone.
    if (!c.ipv6 && frame.size() >= kUdp4 && !has_ip_options(frame)) seal(frame);
    const auto result = loaded.program().test_run(frame);
    REQUIRE(result.has_value());
    const KernelFlowReport report = loaded.flows().remove(id, steady_now());
    CHECK(balanced(report.stats));
    if (c.fate == Fate::relayed) {
      CHECK(result->verdict == kRedirect);
      CHECK(result->frame.size() == frame.size());
      const auto relayed = read_frame(result->frame);
      REQUIRE(relayed.has_value());
      CHECK(relayed->destination == spec.destination);
      CHECK(relayed->payload == kRtp);
      CHECK(relayed->udp_checksum == (c.description != "no UDP checksum"));
    } else {
      CHECK(result->verdict == kNext);
      CHECK(result->frame == frame);
      CHECK(report.stats.received == (c.fate == Fate::punted ? 1 : 0));
      CHECK(report.stats.punts[kernel_punt_odd_shape] == (c.fate == Fate::punted ? 1 : 0));
    }
  }
}

TEST_CASE("a packet larger than the way out takes is for the socket") {
  LoadedProgram loaded;
  const KernelFlowSpec spec = flow_v4();
  const KernelFlowId id = loaded.install(spec);
  CHECK(loaded.run(spec, rtp_packet({.payload_bytes = 3000})).verdict == kRedirect);
  loaded.limit_mtu(1500);
  CHECK(loaded.run(spec, rtp_packet({.payload_bytes = 1460})).verdict == kRedirect);
  CHECK(loaded.run(spec, rtp_packet({.payload_bytes = 1461})).verdict == kNext);
  loaded.limit_mtu(65536);
  CHECK(loaded.flows().remove(id, steady_now()).stats.punts[kernel_punt_too_big] == 1);
}

TEST_CASE("every checksum there is comes out right") {
  LoadedProgram loaded(1024);
  std::mt19937 random(1071);
  for (const KernelFlowSpec& base : {flow_v4(), flow_v6()}) {
    for (int i = 0; i < 500; ++i) {
      KernelFlowSpec spec = base;
      spec.source.port = static_cast<uint16_t>(random() % 65535 + 1);
      spec.destination.port = static_cast<uint16_t>(random() % 65535 + 1);
      spec.tos = static_cast<int>(random() % 256);
      const KernelFlowId id = loaded.install(spec);
      Packet payload = rtp_packet({.payload_bytes = random() % 50});
      for (size_t byte = 2; byte < payload.size(); ++byte) {
        payload[byte] = static_cast<std::byte>(random());
      }
      const BpfTestRun run = loaded.run(spec, payload);
      CHECK(run.verdict == kRedirect);
      const auto relayed = read_frame(run.frame);
      REQUIRE(relayed.has_value());
      CHECK(relayed->payload == payload);
      CHECK(relayed->udp_checksum);
      CHECK(loaded.flows().remove(id, steady_now()).stats.forwarded == 1);
    }
  }
}

TEST_CASE("random damage is never relayed as something else, and never repaired") {
  LoadedProgram loaded;
  std::mt19937 random(20260101);
  int relayed_count = 0, left_count = 0, whole_count = 0;
  for (const KernelFlowSpec& spec : {flow_v4(), flow_v6()}) {
    const size_t header_bytes = spec.local.address.is_ipv6() ? kUdp6 + 8 : kUdp4 + 8;
    const size_t ttl_at = spec.local.address.is_ipv6() ? kIp + 7 : kIp + 8;
    const KernelFlowId id = loaded.install(spec);
    for (int i = 0; i < 5000; ++i) {
      Frame frame = build_frame({spec.source, spec.local, rtp_packet({.payload_bytes = 20})});
      const size_t reach = random() % 2 == 0 ? header_bytes : frame.size();
      for (unsigned n = random() % 4; n > 0; --n) {
        frame[random() % reach] ^= static_cast<std::byte>(1U << random() % 8);
      }
      if (random() % 8 == 0) frame.resize(14 + random() % (frame.size() + 40));
      const auto result = loaded.program().test_run(frame);
      if (!result) continue;           // the kernel takes no frame of that kind at all
      if (result->verdict == kDrop) {  // on lo a TTL of 1 is the end
        REQUIRE(frame[ttl_at] <= std::byte{1});
        continue;
      }
      REQUIRE((result->verdict == kNext || result->verdict == kRedirect));
      if (result->verdict == kNext) {
        ++left_count;
        REQUIRE(result->frame == frame);
        continue;
      }
      ++relayed_count;
      REQUIRE(result->frame.size() == frame.size());
      REQUIRE(std::equal(frame.begin() + static_cast<long>(header_bytes), frame.end(),
                         result->frame.begin() + static_cast<long>(header_bytes)));
      const auto before = read_frame(frame), after = read_frame(result->frame);
      REQUIRE(before.has_value() == after.has_value());
      if (!after) continue;
      ++whole_count;
      REQUIRE(before->source == spec.source);
      REQUIRE(after->source == spec.egress);
      REQUIRE(after->destination == spec.destination);
      REQUIRE(after->payload == before->payload);
    }
    CHECK(balanced(loaded.flows().remove(id, steady_now()).stats));
  }
  CHECK(relayed_count > 1000);
  CHECK(whole_count > 1000);
  CHECK(left_count > 1000);
}

}  // namespace relay::testing
