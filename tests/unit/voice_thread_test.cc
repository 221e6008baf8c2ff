// The voice thread's own life.
#include "relay/voice/voice_thread.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>

#include "relay/base/log.h"

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

}  // namespace relay
