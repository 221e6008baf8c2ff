// Prompts on real worker threads and sockets.
#include <doctest/doctest.h>

#include <vector>

#include "tests/support/alloc_counter.h"
#include "tests/support/prompt_support.h"
#include "tests/support/worker_call.h"

namespace relay {
namespace {

using testing::Call;
using testing::eventually;
using testing::kRtcp;
using testing::kRtp;
using testing::Packet;
using testing::rtp_packet;
using namespace std::chrono_literals;

constexpr LegId kListener = LegId::callee;
constexpr LegId kSpeaker = LegId::caller;

// A prompt to the callee of a call on a worker of its own.
struct PromptCall {
  Call call;
  std::unique_ptr<WorkerPool> pool = testing::start_pool(1);
  std::vector<Packet> heard;

  PromptCall() { pool->install(*call.group, call.spec); }

  void attach(Source* source) {
    FlowGroupSpec spec = call.spec;
    spec.legs[index(kListener)].source = source;
    const PlaneTicket ticket = pool->update(*call.group, spec);
    REQUIRE(eventually([&] { return pool->settled(ticket); }));
  }
  void speak(uint16_t sequence) {
    call.send(kSpeaker, kRtp, rtp_packet({.sequence = sequence, .timestamp = sequence * 160U}));
  }
  // The next packet the listener gets.
  RtpView hear() {
    auto datagram = call.party(kListener, kRtp).receive();
    REQUIRE(datagram);
    heard.emplace_back(datagram->bytes.begin(), datagram->bytes.end());
    const auto view = RtpView::parse(heard.back());
    REQUIRE(view);
    return *view;
  }
  uint64_t replaced() {
    const auto& drops = call.group->stats_of(kSpeaker, kRtp).drops;
    return drops[static_cast<size_t>(DropReason::replaced)].get();
  }
};

TEST_CASE("the listener hears one stream: party, prompt, party") {
  constexpr size_t kPackets = 12;
  PromptCall test;
  const auto audio = testing::prompt_audio(AudioCodec::pcmu, kPackets * 80);
  Prompt prompt({"hello", audio, 1, 10});
  uint16_t spoken = 65530;
  for (int i = 0; i < 4; ++i) {
    test.speak(spoken++);
    test.hear();
  }
  test.attach(&prompt);
  for (size_t i = 0; i < kPackets; ++i) {
    const RtpView view = test.hear();
    const Bytes file = audio->payload;
    const Bytes expected = file.subspan(i * 80, 80);
    CHECK(
        std::equal(view.payload().begin(), view.payload().end(), expected.begin(), expected.end()));
    if (i % 2 != 0 || i + 2 >= kPackets) continue;
    const uint64_t before = test.replaced();
    test.speak(spoken++);
    REQUIRE(eventually([&] { return test.replaced() == before + 1; }));
  }
  REQUIRE(eventually([&] { return prompt.is_over(steady_now()); }));
  test.speak(spoken++);
  test.hear();
  test.attach(nullptr);
  test.speak(spoken++);
  test.hear();

  const auto first = *RtpView::parse(test.heard[0]);
  for (size_t i = 0; i < test.heard.size(); ++i) {
    const auto view = *RtpView::parse(test.heard[i]);
    CHECK(view.ssrc() == first.ssrc());
    CHECK(view.sequence() == static_cast<uint16_t>(first.sequence() + i));
  }
  // Its sender report now counts what has left.
  Packet report(28);
  report[0] = std::byte{0x80};
  report[1] = std::byte{200};
  report[3] = std::byte{6};
  for (size_t i = 4; i < 8; ++i) report[i] = std::byte{0x11};
  report[23] = static_cast<std::byte>(spoken - 65530);
  const auto reported = test.call.pass(kSpeaker, kRtcp, report);
  REQUIRE(reported);
  CHECK(read_be32(reported->bytes, 20) == test.heard.size());
  testing::remove_and_settle(*test.pool, test.call);
  CHECK(test.pool->counters().played == kPackets);
  testing::check_balanced(test.pool->counters());
}

TEST_CASE("prompts that take each other's place in mid-word are one stream") {
  for (const bool party_was_heard : {false, true}) {
    CAPTURE(party_was_heard);
    PromptCall test;
    const auto audio = testing::prompt_audio(AudioCodec::pcma, 800);
    std::vector<std::unique_ptr<Prompt>> prompts;
    if (party_was_heard) test.speak(65530);
    if (party_was_heard) test.hear();
    for (int i = 0; i < 20; ++i) {
      prompts.push_back(std::make_unique<Prompt>(Prompt::Settings{"again", audio, -1, 10}));
      test.attach(prompts.back().get());
      REQUIRE(eventually([&] { return prompts.back()->progress().packets >= 2; }));
    }
    test.attach(nullptr);
    testing::remove_and_settle(*test.pool, test.call);
    uint64_t played = 0;
    for (const auto& prompt : prompts) played += prompt->progress().packets;
    for (uint64_t i = 0; i < played; ++i) test.hear();
    const auto first = *RtpView::parse(test.heard[0]);
    for (size_t i = 0; i < test.heard.size(); ++i) {
      const auto view = *RtpView::parse(test.heard[i]);
      CHECK(view.ssrc() == first.ssrc());
      CHECK(view.sequence() == static_cast<uint16_t>(first.sequence() + i));
    }
    CHECK(test.pool->counters().played == played);
    testing::check_balanced(test.pool->counters());
  }
}

TEST_CASE("a prompt allocates nothing while it plays and replaces") {
  if (!testing::AllocationsElsewhere::works()) return;
  PromptCall test;
  const auto audio = testing::prompt_audio(AudioCodec::pcmu, 8000);
  Prompt prompt({"hello", audio, -1, 1});
  test.speak(1);
  test.hear();
  test.attach(&prompt);
  test.hear();
  const testing::AllocationsElsewhere allocations;
  for (uint16_t i = 2; i < 52; ++i) {
    test.speak(i);
    REQUIRE(eventually([&] { return test.replaced() == i - 1U; }));
    REQUIRE(test.call.party(kListener, kRtp).receive());
  }
  CHECK(prompt.progress().packets >= 50);
  CHECK(allocations.count() == 0);
  testing::remove_and_settle(*test.pool, test.call);
}

}  // namespace
}  // namespace relay
