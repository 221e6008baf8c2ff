// RTCP from a tap to collectors of both kinds, over loopback.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "relay/acct/hep_exporter.h"
#include "tests/support/packet_builder.h"
#include "tests/support/udp_socket.h"

namespace relay {
namespace {

using testing::Packet;
using testing::UdpSocket;

const Endpoint kLoopback{*IpAddress::parse("127.0.0.1"), 0};

TappedPacket tapped(const Packet& packet) {
  TappedPacket result;
  result.component = Component::rtcp;
  result.kind = PacketKind::rtcp;
  result.source = {*IpAddress::parse("192.0.2.1"), 4001};
  result.local = {*IpAddress::parse("192.0.2.10"), 30001};
  result.bytes = packet;
  result.arrival = steady_now();
  return result;
}

Packet report_of(uint32_t ssrc) {
  return testing::report_packet({.ssrc = ssrc, .blocks = {}});
}

std::string text_of(const Packet& packet) {
  return {reinterpret_cast<const char*>(packet.data()), packet.size()};
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

// Bounds a failing test; a passing one does not get near it.
bool eventually(const std::function<bool()>& holds) {
  const Instant give_up = steady_now() + std::chrono::seconds(20);
  while (!holds()) {
    if (steady_now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// A collector that takes streams.
class StreamCollector {
 public:
  StreamCollector() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const SocketAddress address = to_socket_address(kLoopback);
    REQUIRE(::bind(listener_.get(), address.get(), address.length) == 0);
    REQUIRE(::listen(listener_.get(), 4) == 0);
  }
  Endpoint local() const {
    SocketAddress address;
    ::getsockname(listener_.get(), address.get(), &address.length);
    return to_endpoint(address);
  }
  void accept() { stream_ = UniqueFd(::accept(listener_.get(), nullptr, nullptr)); }
  void hang_up() { stream_.reset(); }
  // The next HEP packet, by the length it says of itself.
  std::string packet() {
    std::string text(6, '\0');
    read_all(text.data(), 6);
    const size_t length =
        (size_t{static_cast<uint8_t>(text[4])} << 8) | static_cast<uint8_t>(text[5]);
    REQUIRE(length >= 6);
    text.resize(length);
    read_all(text.data() + 6, length - 6);
    return text;
  }

 private:
  void read_all(char* to, size_t bytes) {
    REQUIRE(::recv(stream_.get(), to, bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes));
  }
  UniqueFd listener_, stream_;
};

struct Export {
  explicit Export(const std::vector<HepCollectorSettings>& collectors) {
    auto started = HepExporter::start(collectors, 1, counters);
    REQUIRE(started);
    exporter = std::move(*started);
    tap = exporter->tap(std::make_shared<const std::string>("call-7"));
  }
  const std::shared_ptr<AcctCounters> counters = std::make_shared<AcctCounters>();
  std::unique_ptr<HepExporter> exporter;
  std::unique_ptr<Tap> tap;
};

}  // namespace

TEST_CASE("a tap wants RTCP and keeps none of it") {
  const Export hep({});
  CHECK(hep.tap->wants(PacketKind::rtcp));
  for (const PacketKind kind : {PacketKind::rtp, PacketKind::stun, PacketKind::dtls}) {
    CHECK_FALSE(hep.tap->wants(kind));
  }
  CHECK_FALSE(hep.tap->may_consume());
  CHECK(hep.tap->offer(tapped(report_of(1))) == TapAnswer::relay);
}

TEST_CASE("reports as datagrams, to each collector with its capture id") {
  const UdpSocket one(kLoopback), two(kLoopback);
  Export hep({{false, one.local(), 0x01020304}, {false, two.local(), 5}});
  hep.tap->offer(tapped(testing::cname_packet(1)));  // no report: not sent
  hep.tap->offer(tapped(report_of(77)));
  const auto at_one = one.receive();
  const auto at_two = two.receive();
  REQUIRE(at_one);
  REQUIRE(at_two);
  const std::string text = text_of(at_one->bytes);
  CHECK(text.starts_with("HEP3"));
  CHECK(contains(text, "\"ssrc\": 77,"));
  CHECK(contains(text, "call-7"));
  CHECK(contains(text, std::string_view("\0\x0c\0\x0a\1\2\3\4", 8)));
  CHECK(contains(text_of(at_two->bytes), std::string_view("\0\x0c\0\x0a\0\0\0\5", 8)));
  CHECK(eventually([&] { return hep.counters->reports_sent.get() == 2; }));
}

TEST_CASE("nobody there to take a datagram") {
  Endpoint closed;
  { closed = UdpSocket(kLoopback).local(); }
  Export hep({{false, closed, 0}});
  hep.tap->offer(tapped(report_of(1)));
  REQUIRE(eventually([&] { return hep.counters->reports_sent.get() == 1; }));
  // Its ICMP error has come; the next one is tried a second time, and goes.
  hep.tap->offer(tapped(report_of(2)));
  CHECK(eventually([&] { return hep.counters->reports_sent.get() == 2; }));
  CHECK(hep.counters->reports_failed.get() == 0);
}

TEST_CASE("a stream that the collector hangs up on is opened again") {
  StreamCollector collector;
  Export hep({{true, collector.local(), 9}});
  hep.tap->offer(tapped(report_of(1)));
  hep.tap->offer(tapped(report_of(2)));
  collector.accept();
  CHECK(contains(collector.packet(), "\"ssrc\": 1,"));
  CHECK(contains(collector.packet(), "\"ssrc\": 2,"));
  collector.hang_up();
  collector.accept();
  hep.tap->offer(tapped(report_of(3)));
  CHECK(contains(collector.packet(), "\"ssrc\": 3,"));
  hep.tap->offer(tapped(report_of(4)));
  hep.exporter.reset();  // sends what waits
  CHECK(contains(collector.packet(), "\"ssrc\": 4,"));
  CHECK(hep.counters->reports_failed.get() == 0);
}

TEST_CASE("a collector that takes nothing loses what does not fit, and nothing else") {
  // Listens and never reads: its window fills, then what waits here does.
  StreamCollector deaf;
  const UdpSocket good(kLoopback);
  Export hep({{true, deaf.local(), 0}, {false, good.local(), 0}});
  const std::vector<uint32_t> block = {1, 2, 3, 4, 5, 6, 7};
  const Packet large = testing::report_packet({.ssrc = 1, .blocks = std::vector(31, block)});
  uint64_t offered = 0;
  const auto lost = [&] { return hep.counters->reports_failed.get() > 0; };
  const auto handled = [&] {
    const AcctCounters& c = *hep.counters;
    return c.reports_sent.get() + c.reports_failed.get() + 2 * c.reports_overrun.get();
  };
  while (!lost() && offered < 20'000) {
    for (int i = 0; i < 100; ++i, ++offered) hep.tap->offer(tapped(large));
    REQUIRE(eventually([&] { return handled() == 2 * offered; }));
    while (good.readable(std::chrono::milliseconds(0))) good.receive();
  }
  CHECK(lost());
  hep.tap->offer(tapped(report_of(99)));
  const auto last = good.receive();
  REQUIRE(last);
  CHECK(contains(text_of(last->bytes), "\"ssrc\": 99,"));
}

TEST_CASE("what a ring has no room for is counted") {
  RtcpQueue queue(2);
  const auto call_id = std::make_shared<const std::string>("c");
  for (int i = 0; i < 512; ++i) queue.offer(0, call_id, tapped(report_of(1)));
  CHECK(queue.overrun() == 0);
  queue.offer(0, call_id, tapped(report_of(1)));
  CHECK(queue.overrun() == 1);
  queue.offer(1, call_id, tapped(report_of(2)));
  queue.offer(1, call_id, tapped(Packet(CapturedRtcp::kBytesMax + 1)));
  CHECK(queue.overrun() == 2);
  CapturedRtcp captured;
  int taken = 0;
  while (queue.take(captured)) ++taken;
  CHECK(taken == 513);
  captured = {};
  CHECK(call_id.use_count() == 1);
}

}  // namespace relay
