#include "relay/media/recorder.h"

#include <doctest/doctest.h>

#include <sys/mount.h>
#include <sys/resource.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/packet_builder.h"
#include "tests/support/record_reader.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/worker_call.h"

namespace relay {
namespace {

using namespace testing;
namespace fs = std::filesystem;

const RecordingFiles kFiles{"call.o.rtp", "call.o.rtcp"};

class Fixture {
 public:
  explicit Fixture(RecorderSettings settings = {}) {
    if (settings.directory.empty()) settings.directory = directory.file("");
    auto started = Recorder::start(settings);
    REQUIRE(started);
    recorder = std::move(*started);
  }
  std::unique_ptr<RecordingTap> tap(const RecordingFiles& files = kFiles) {
    auto begun = recorder->begin(files);
    REQUIRE(begun);
    return std::make_unique<RecordingTap>(*begun);
  }
  uint64_t count(RecordCounter counter) const {
    return recorder->figures()[static_cast<size_t>(counter)];
  }
  void wait_until_ended(uint64_t recordings) {
    REQUIRE(eventually([&] { return count(RecordCounter::ended) == recordings; }));
  }

  TemporaryDirectory directory;
  std::unique_ptr<Recorder> recorder;
};

TappedPacket tapped(const Packet& bytes, Component component = kRtp) {
  TappedPacket packet;
  packet.leg = LegId::caller;
  packet.component = component;
  packet.kind = demux(bytes);
  packet.source = {address("192.0.2.1"), static_cast<uint16_t>(component == kRtp ? 4000 : 4001)};
  packet.local = {address("192.0.2.9"), static_cast<uint16_t>(component == kRtp ? 30000 : 30001)};
  packet.bytes = bytes;
  packet.arrival = steady_now();
  return packet;
}

void offer(RecordingTap& tap, const Packet& bytes, Component component = kRtp) {
  CHECK(tap.offer(tapped(bytes, component)) == TapAnswer::relay);
}

TEST_CASE("what is offered is in the file, RTCP in its own") {
  Fixture f;
  auto tap = f.tap();
  CHECK(fs::exists(f.directory.file("call.o.rtp")));
  CHECK(fs::exists(f.directory.file("call.o.rtcp")));
  const auto before = std::chrono::system_clock::now().time_since_epoch();
  std::vector<Packet> sent;
  for (uint16_t i = 0; i < 200; ++i) {
    sent.push_back(rtp_packet({.sequence = i}));
    offer(*tap, sent.back());
  }
  offer(*tap, rtcp_packet(), kRtcp);
  offer(*tap, rtcp_packet(), kRtp);       // RTCP on the RTP port: rtcp-mux
  offer(*tap, {std::byte{0xFF}}, kRtcp);  // no RTCP, but sent as such
  offer(*tap, {std::byte{0xFF}});
  TappedPacket replaced = tapped(rtp_packet({}));
  replaced.replaced = true;
  CHECK(tap->offer(replaced) == TapAnswer::relay);
  REQUIRE(eventually([&] { return tap->recording().packets() == 204; }));
  CHECK(tap->recording().missing() == 0);
  CHECK(tap->recording().state() == Recording::State::running);
  tap.reset();
  f.wait_until_ended(1);

  const AdhocFile rtp = read_adhoc(f.directory.file("call.o.rtp"));
  REQUIRE(rtp.records.size() == 201);
  CHECK(rtp.trailing_bytes == 0);
  for (size_t i = 0; i < sent.size(); ++i) CHECK(rtp.records[i].payload == sent[i]);
  CHECK(rtp.records[0].source_port == 4000);
  CHECK(rtp.records[0].arrival_s > std::chrono::duration<double>(before).count() - 1.0);
  CHECK(rtp.records[0].arrival_s < std::chrono::duration<double>(before).count() + 60.0);
  CHECK(rtp.records[1].arrival_s >= rtp.records[0].arrival_s);
  CHECK(read_adhoc(f.directory.file("call.o.rtcp")).records.size() == 3);
  CHECK(f.count(RecordCounter::started) == 1);
  CHECK(f.count(RecordCounter::packets) == 204);
  CHECK(f.count(RecordCounter::incomplete) == 0);
}

TEST_CASE("RTCP is left out where it is not wanted") {
  Fixture f;
  auto tap = f.tap({"call.o.rtp", ""});
  CHECK_FALSE(tap->wants(PacketKind::rtcp));
  CHECK(tap->wants(PacketKind::rtp));
  CHECK(tap->wants(PacketKind::other));
  offer(*tap, rtcp_packet(), kRtcp);
  offer(*tap, rtp_packet({}));
  tap.reset();
  f.wait_until_ended(1);
  CHECK(read_adhoc(f.directory.file("call.o.rtp")).records.size() == 1);
  CHECK(std::distance(fs::directory_iterator(f.directory.file("")), {}) == 1);
}

TEST_CASE("two legs share a recording, which ends with the second") {
  Fixture f;
  auto first = f.tap({"both", "both"});
  auto second = std::make_unique<RecordingTap>(first->shared());
  offer(*first, rtp_packet({}));
  first.reset();
  offer(*second, rtp_packet({}));
  offer(*second, rtcp_packet(), kRtcp);
  REQUIRE(eventually([&] { return second->recording().packets() == 3; }));
  CHECK(f.count(RecordCounter::ended) == 0);
  second.reset();
  f.wait_until_ended(1);
  CHECK(read_adhoc(f.directory.file("both")).records.size() == 3);
}

TEST_CASE("what a recording has is in the file after a second or two, not only at its end") {
  Fixture f;
  auto tap = f.tap();
  offer(*tap, rtp_packet({}));
  CHECK(eventually([&] { return fs::file_size(f.directory.file("call.o.rtp")) == 30 + 172; }));
}

TEST_CASE("a full queue drops its own copy, and counts it") {
  RecorderSettings settings;
  SUBCASE("nothing fits") {
    settings.ring_bytes = 128;
    Fixture f(settings);
    auto tap = f.tap();
    for (int i = 0; i < 10; ++i) offer(*tap, rtp_packet({}));
    CHECK(tap->recording().missing() == 10);
    tap.reset();
    f.wait_until_ended(1);
    CHECK(f.count(RecordCounter::queue_full) == 10);
    CHECK(f.count(RecordCounter::incomplete) == 1);
    CHECK(f.count(RecordCounter::packets) == 0);
  }
  SUBCASE("more at once than fits") {
    settings.ring_bytes = 4096;
    Fixture f(settings);
    auto tap = f.tap();
    for (uint16_t i = 0; i < 20000; ++i) offer(*tap, rtp_packet({.sequence = i}));
    tap.reset();
    f.wait_until_ended(1);
    const auto records = read_adhoc(f.directory.file("call.o.rtp"));
    CHECK(records.trailing_bytes == 0);
    CHECK(records.records.size() == f.count(RecordCounter::packets));
    CHECK(f.count(RecordCounter::packets) + f.count(RecordCounter::queue_full) == 20000);
  }
}

TEST_CASE("a recording that cannot be started is said so") {
  Fixture f;
  SUBCASE("a directory is in the way") {
    fs::create_directory(f.directory.file("call.o.rtcp"));
  }
  SUBCASE("the directory is gone") {
    fs::remove_all(f.directory.file(""));
  }
  const auto begun = f.recorder->begin(kFiles);
  REQUIRE_FALSE(begun);
  CHECK(begun.error().message.find("call.o.rt") != std::string::npos);
  CHECK(f.count(RecordCounter::not_started) == 1);
  CHECK(f.count(RecordCounter::started) == 0);
  // Nothing half-made is left.
  CHECK_FALSE(fs::exists(f.directory.file("call.o.rtp")));
}

TEST_CASE("spooled files move when the recording ends") {
  const TemporaryDirectory target, spool;
  RecorderSettings settings;
  settings.directory = target.file("");
  settings.spool_directory = spool.file("");
  Fixture f(settings);
  CHECK(f.recorder->try_out());
  CHECK(fs::is_empty(target.file("")));
  CHECK(fs::is_empty(spool.file("")));
  auto tap = f.tap();
  offer(*tap, rtp_packet({}));
  CHECK(fs::exists(spool.file("call.o.rtp")));
  CHECK_FALSE(fs::exists(target.file("call.o.rtp")));
  SUBCASE("once") {
    tap.reset();
    f.wait_until_ended(1);
    CHECK(fs::is_empty(spool.file("")));
    CHECK(read_adhoc(target.file("call.o.rtp")).records.size() == 1);
    CHECK(fs::exists(target.file("call.o.rtcp")));
  }
  SUBCASE("begun anew under the same name while the old one still ends: the new one stays") {
    auto anew = f.tap();
    offer(*anew, rtp_packet({}));
    offer(*anew, rtp_packet({}));
    offer(*tap, rtp_packet({}));
    tap.reset();
    f.wait_until_ended(1);
    CHECK_FALSE(fs::exists(target.file("call.o.rtp")));
    anew.reset();
    f.wait_until_ended(2);
    CHECK(read_adhoc(target.file("call.o.rtp")).records.size() == 2);
    CHECK(fs::is_empty(spool.file("")));
  }
  SUBCASE("the target has gone: they stay where they are") {
    fs::remove_all(target.file(""));
    tap.reset();
    f.wait_until_ended(1);
    CHECK(f.count(RecordCounter::not_moved) == 2);
    CHECK(read_adhoc(spool.file("call.o.rtp")).records.size() == 1);
  }
}

TEST_CASE("directories that cannot do are refused at the start") {
  const TemporaryDirectory directory;
  struct Case {
    std::string description, directory, spool, expected;
  };
  const std::vector<Case> cases = {
      {"no directory", directory.file("missing"), "", "missing"},
      {"no spool directory", directory.file(""), directory.file("missing"), "missing"},
      {"another file system", directory.file(""), "/proc", "must be on one file system"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    RecorderSettings settings;
    settings.directory = c.directory;
    settings.spool_directory = c.spool;
    const auto started = Recorder::start(settings);
    REQUIRE_FALSE(started);
    CHECK(started.error().message.find(c.expected) != std::string::npos);
  }
}

// Writes until the file system has had enough, then makes room with `relieve`.
template <typename Relieve>
void check_breaking_off(Fixture& f, const std::string& directory, Relieve relieve) {
  auto tap = f.tap();
  uint64_t offered = 0;
  REQUIRE(eventually([&] {
    offer(*tap, rtp_packet({}));
    ++offered;
    return tap->recording().state() == Recording::State::broken_off;
  }));
  for (int i = 0; i < 10; ++i) offer(*tap, rtp_packet({}));
  offered += 10;
  CHECK(tap->recording().why_broken_off().starts_with("write: "));
  REQUIRE(eventually(
      [&] { return tap->recording().packets() + tap->recording().missing() == offered; }));
  CHECK(f.count(RecordCounter::broken_off) == 1);
  CHECK(f.count(RecordCounter::after_failure) >= 10);
  const AdhocFile file = read_adhoc(directory + "call.o.rtp");
  CHECK(file.records.size() > 100);
  CHECK(file.trailing_bytes == 0);
  CHECK(file.records.size() == tap->recording().packets());

  relieve();
  auto next = f.tap({"next.rtp", ""});
  offer(*next, rtp_packet({}));
  next.reset();
  f.wait_until_ended(1);
  CHECK(read_adhoc(directory + "next.rtp").records.size() == 1);
}

TEST_CASE("a file that may not grow breaks a recording off, after its last whole record") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit small = before;
  small.rlim_cur = 100'000;
  Fixture f;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  check_breaking_off(f, f.directory.file(""), [&] { ::setrlimit(RLIMIT_FSIZE, &before); });
  ::setrlimit(RLIMIT_FSIZE, &before);
}

TEST_CASE("a full disk breaks a recording off, and a later one may go well") {
  const TemporaryDirectory mount_point;
  const std::string disk = mount_point.file("");
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k") != 0) {
    MESSAGE("left out: a small file system cannot be mounted here");
    return;
  }
  const std::shared_ptr<void> mounted(nullptr, [&](void*) { ::umount2(disk.c_str(), MNT_DETACH); });
  {
    RecorderSettings settings;
    settings.directory = disk;
    Fixture f(settings);
    check_breaking_off(f, disk, [&] { fs::resize_file(disk + "call.o.rtp", 0); });
  }
  REQUIRE(::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=256k") == 0);
  {
    RecorderSettings settings;
    settings.directory = disk;
    Fixture f(settings);
    const auto tried = f.recorder->try_out();
    REQUIRE_FALSE(tried);
    CHECK(tried.error().message.find("Read-only file system") != std::string::npos);
    CHECK_FALSE(f.recorder->begin(kFiles));
  }
}

// As the control thread does it: the tap is named to the plane, taken back, and destroyed once the
// plane has let go, while packets keep coming.
TEST_CASE("a recording ends with the last packet its tap was offered, under load") {
  RecorderSettings settings;
  settings.threads = 2;
  Fixture f(settings);
  auto pool = start_pool(2);
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(std::make_unique<Call>());
    pool->install(*calls.back()->group, calls.back()->spec);
  }
  std::atomic<bool> stop{false};
  std::thread parties([&] {
    for (uint16_t i = 0; !stop; ++i) {
      for (const auto& call : calls) {
        for (const LegId leg : kLegs) call->send(leg, kRtp, rtp_packet({.sequence = i}));
      }
    }
  });
  uint64_t recorded = 0;
  for (int round = 0; round < 50; ++round) {
    Call& call = *calls[static_cast<size_t>(round) % calls.size()];
    LegSpec& leg = call.spec.legs[index(LegId::caller)];
    const std::string name = "round" + std::to_string(round);
    auto tap = f.tap({name, ""});
    leg.taps[0] = tap.get();
    pool->update(*call.group, call.spec);
    REQUIRE(eventually([&] { return tap->recording().packets() >= 20; }));
    leg.taps[0] = nullptr;
    const PlaneTicket ticket = pool->update(*call.group, call.spec);
    REQUIRE(eventually([&] { return pool->settled(ticket); }));
    tap.reset();
    recorded += static_cast<uint64_t>(round >= 0);
  }
  stop = true;
  parties.join();
  f.wait_until_ended(recorded);
  uint64_t in_files = 0;
  for (int round = 0; round < 50; ++round) {
    const AdhocFile file = read_adhoc(f.directory.file("round" + std::to_string(round)));
    CHECK(file.records.size() >= 20);
    CHECK(file.trailing_bytes == 0);
    in_files += file.records.size();
    // In the order in which they came: no packet of one file is in another.
    uint64_t gaps = 0;
    for (size_t i = 1; i < file.records.size(); ++i) {
      const auto step = static_cast<uint16_t>(read_be16(file.records[i].payload, 2) -
                                              read_be16(file.records[i - 1].payload, 2));
      gaps += step == 0 || step > 1000 ? 1 : 0;
    }
    CHECK(gaps == 0);
  }
  CHECK(in_files == f.count(RecordCounter::packets));
  CHECK(f.count(RecordCounter::queue_full) == 0);
  CHECK(f.count(RecordCounter::after_failure) == 0);
  for (const auto& call : calls) remove_and_settle(*pool, *call);
}

TEST_CASE("what is still in the queues when the recorder ends is written") {
  Fixture f;
  auto tap = f.tap();
  for (uint16_t i = 0; i < 1000; ++i) offer(*tap, rtp_packet({.sequence = i}));
  tap.reset();
  f.recorder.reset();
  CHECK(read_adhoc(f.directory.file("call.o.rtp")).records.size() == 1000);
}

}  // namespace
}  // namespace relay
