// The voice thread's own life.
#include "relay/voice/voice_thread.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "relay/base/log.h"
#include "relay/voice/voice_service.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

constexpr auto kLong = 20s;  // which no healthy run comes near

class Nobody final : public VoiceListener {
 public:
  void play_samples(Samples, int) override {}
  void play_g711(AudioFormat::Encoding, Octets) override {}
  void end_of_reply() override {}
  void mark(MarkId) override {}
  Duration clear() override { return {}; }
  void event(const VoiceEvent&) override {}
};

}  // namespace

TEST_CASE("the voice thread ends while a name server is silent") {
  // With the thread that looks the name up, which goes on.
  struct Server {
    std::promise<void> asked, answers;
    std::atomic<bool> has_answered{false};
  };
  const auto server = std::make_shared<Server>();
  const auto look_up = [server](const std::string&, uint16_t) -> Result<Resolver::Addresses> {
    server->asked.set_value();
    server->answers.get_future().wait_for(kLong);
    server->has_answered = true;
    return fail("no such name");
  };
  auto started = VoiceThread::start({}, look_up);
  REQUIRE(started);
  std::unique_ptr<VoiceThread> thread = std::move(*started);
  const auto profile = std::make_shared<VoiceProfile>();
  profile->name = "bot";
  profile->url = "ws://bot.example.com/";
  Nobody listener;
  std::unique_ptr<VoiceLink> link;
  REQUIRE(thread->post([&] { link = thread->open(profile, {}, listener); }));
  REQUIRE(server->asked.get_future().wait_for(kLong) == std::future_status::ready);
  REQUIRE(thread->post([&] { link.reset(); }));
  const auto before = std::chrono::steady_clock::now();
  thread.reset();
  CHECK_FALSE(server->has_answered);
  CHECK(std::chrono::steady_clock::now() - before < kLong / 2);
  server->answers.set_value();
}

TEST_CASE("what a voice session did not hear of its party is counted") {
  const auto look_up = [](const std::string&, uint16_t) -> Result<Resolver::Addresses> {
    return fail("no such name");
  };
  auto started = VoiceThread::start({}, look_up);
  REQUIRE(started);
  const std::unique_ptr<VoiceThread> thread = std::move(*started);
  VoiceStart start;
  start.id = 1;
  const auto profile = std::make_shared<VoiceProfile>();
  profile->name = "bot";
  profile->url = "ws://bot.example.com/";
  start.profile = profile;
  const auto path = start.media.near.path = std::make_shared<VoicePath>();
  for (const uint8_t payload_type : {uint8_t{0}, uint8_t{0}, uint8_t{96}}) {
    HeardPacket packet;
    packet.arrival_ns = to_ns(steady_now());
    packet.payload_bytes = 160;
    packet.payload_type = payload_type;
    REQUIRE(path->heard.push(std::move(packet)));
  }
  log_set_level(LogLevel::critical);
  {
    VoiceService service(*thread, [](const VoiceReport&) {});
    service.start(std::move(start));
    const VoiceCounters& counters = service.counters_of("bot");
    const auto give_up = std::chrono::steady_clock::now() + kLong;
    while (counters.heard_unreadable.get() == 0 && std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(1ms);
    }
    CHECK(counters.heard_unreadable.get() == 1);
    CHECK(counters.heard_late.get() == 1);
  }
  log_set_level(LogLevel::warning);
}

}  // namespace relay
