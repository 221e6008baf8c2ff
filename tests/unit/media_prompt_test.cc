#include "relay/media/prompt.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/rtp/analyser.h"
#include "tests/support/manual_clock.h"
#include "tests/support/prompt_support.h"

namespace relay {
namespace {

using namespace std::chrono_literals;
using testing::Listener;
using testing::prompt_audio;
using testing::rtp_packet;
using testing::RtpFields;

constexpr uint32_t kHumanSsrc = 0x11111111;

Prompt make_prompt(size_t packets, int count = 1, uint16_t packet_ms = 10) {
  const size_t bytes = packets * packet_ms * 8;
  return Prompt({"hello", prompt_audio(AudioCodec::pcma, bytes), count, packet_ms});
}

// The other party of the call, as the relay has analysed it, and what the listener hears of it.
class Human {
 public:
  explicit Human(RtpFields first) : next_(first) {}

  // Speaks `packets` times, a packet each 20 ms, the first one now.
  void speak(ManualClock& clock, int packets) {
    for (int i = 0; i < packets; ++i) {
      if (i > 0) clock.advance(20ms);
      analyser_.on_packet(take(), clock.now());
    }
  }
  testing::Packet take() {
    const testing::Packet packet = rtp_packet(next_);
    last_ = next_;
    ++next_.sequence;
    next_.timestamp += 160;
    return packet;
  }
  void skip(int packets) {
    for (int i = 0; i < packets; ++i) take();
  }
  const RtpStreamState& heard() const { return analyser_.state(); }
  const RtpFields& last() const { return last_; }

  RtpFields next_;

 private:
  RtpFields last_;
  RtpAnalyser analyser_;
};

// Plays until the prompt wants no more, a call when it asks for one.
void play_all(Prompt& prompt, ManualClock& clock, Listener& listener) {
  for (Instant next = prompt.play(clock.now(), listener); next != Instant::max();
       next = prompt.play(clock.now(), listener)) {
    clock.set(next);
  }
}

Bytes let_through(Prompt& prompt, const testing::Packet& packet, Instant now,
                  PacketKind kind = PacketKind::rtp) {
  static std::array<std::byte, 2048> scratch;
  return prompt.instead_of(kind, packet, now, scratch);
}

TEST_CASE("how payload is cut into packets") {
  struct Case {
    std::string description;
    uint8_t payload_type;
    uint32_t asked_ms;
    size_t bytes;
    uint16_t ms;
  };
  const std::vector<Case> cases = {
      {"PCMU", 0, 10, 80, 10},
      {"PCMA, 20 ms", 8, 20, 160, 20},
      {"G.722 has 8 bytes a millisecond too", 9, 10, 80, 10},
      {"G.729, one frame", 18, 10, 10, 10},
      {"G.729, raised to whole frames", 18, 25, 30, 30},
      {"G.723, raised to its frame", 4, 10, 24, 30},
      {"G.723, two frames", 4, 31, 48, 60},
      {"GSM, raised to its frame", 3, 10, 33, 20},
      {"GSM, two frames", 3, 40, 66, 40},
      {"a single millisecond", 0, 1, 8, 1},
      {"nothing asked is a unit", 0, 0, 8, 1},
      {"no more than passes unfragmented", 8, 999, 1400, 175},
      {"nor with frames", 3, 999, 1386, 840},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto codec = prompt_codec(c.payload_type);
    REQUIRE(codec);
    const PromptPacket packet = prompt_packet(*codec, c.asked_ms);
    CHECK(packet.bytes == c.bytes);
    CHECK(packet.ms == c.ms);
  }
  for (const int type : {1, 5, 10, 11, 13, 31, 96, 101, 127}) {
    CAPTURE(type);
    CHECK_FALSE(prompt_codec(static_cast<uint8_t>(type)));
  }
}

TEST_CASE("a prompt plays whole packets, as often as asked") {
  struct Case {
    std::string description;
    AudioCodec codec;
    size_t file_bytes;
    int count;
    size_t packets;
    size_t packet_bytes;
    uint32_t timestamp_step;
  };
  const std::vector<Case> cases = {
      {"once", AudioCodec::pcmu, 800, 1, 10, 80, 80},
      {"what is no whole packet is dropped at the end", AudioCodec::pcmu, 879, 1, 10, 80, 80},
      {"and between two times", AudioCodec::pcma, 179, 3, 6, 80, 80},
      {"a single packet", AudioCodec::pcma, 80, 2, 2, 80, 80},
      {"G.722 has a clock of 8000 Hz", AudioCodec::g722, 240, 1, 3, 80, 80},
      {"G.729", AudioCodec::g729, 35, 2, 6, 10, 80},
      {"GSM", AudioCodec::gsm, 99, 1, 3, 33, 160},
      {"G.723", AudioCodec::g723, 48, 1, 2, 24, 240},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    ManualClock clock;
    Listener listener;
    SequenceShift shift;
    const auto audio = prompt_audio(c.codec, c.file_bytes);
    Prompt prompt({"hello", audio, c.count, 10});
    prompt.start(RtpStreamState{}, shift, clock.now());
    play_all(prompt, clock, listener);
    REQUIRE(listener.rtp.size() == c.packets);
    const size_t in_file = c.file_bytes / c.packet_bytes;
    const auto first = *RtpView::parse(listener.rtp[0]);
    for (size_t i = 0; i < c.packets; ++i) {
      const auto view = *RtpView::parse(listener.rtp[i]);
      const Bytes file = audio->payload;
      const Bytes expected = file.subspan(i % in_file * c.packet_bytes, c.packet_bytes);
      CHECK(std::equal(view.payload().begin(), view.payload().end(), expected.begin(),
                       expected.end()));
      CHECK(view.payload_type() == traits_of(c.codec).payload_type);
      CHECK(view.marker() == (i == 0));
      CHECK(view.ssrc() == first.ssrc());
      CHECK(view.sequence() == static_cast<uint16_t>(first.sequence() + i));
      CHECK(view.timestamp() == static_cast<uint32_t>(first.timestamp() + i * c.timestamp_step));
    }
    CHECK(prompt.progress().packets == c.packets);
    CHECK(prompt.progress().times_left == 0);
    CHECK_FALSE(prompt.is_over(clock.now()));
    CHECK(prompt.is_over(clock.now() + 1s));
  }
}

TEST_CASE("a prompt without end goes on") {
  ManualClock clock;
  Listener listener;
  SequenceShift shift;
  Prompt prompt = make_prompt(3, -1);
  prompt.start(RtpStreamState{}, shift, clock.now());
  for (int i = 0; i < 1000; ++i) clock.set(prompt.play(clock.now(), listener));
  CHECK(listener.rtp.size() == 1000);
  CHECK(prompt.progress().times_left == -1);
  CHECK(prompt.progress().position == 10ms);
  CHECK_FALSE(prompt.is_over(clock.now() + 24h));
}

TEST_CASE("packets leave by the clock, however late the prompt is called") {
  struct Case {
    std::string description;
    std::vector<Duration> called_at;
    std::vector<size_t> packets;  // after each call
    std::vector<int64_t> last_timestamp_ms;
  };
  const std::vector<Case> cases = {
      {"in time", {0ms, 10ms, 20ms}, {1, 2, 3}, {0, 10, 20}},
      {"too early changes nothing", {0ms, 9ms, 10ms}, {1, 1, 2}, {0, 0, 10}},
      {"a little late each time does not add up",
       {0ms, 11ms, 21ms, 31ms},
       {1, 2, 3, 4},
       {0, 10, 20, 30}},
      {"what was missed is made up for", {0ms, 35ms, 40ms}, {1, 4, 5}, {0, 30, 40}},
      {"up to 60 ms", {0ms, 70ms}, {1, 8}, {0, 70}},
      {"after more than that there is a pause and no burst",
       {0ms, 71ms, 80ms, 81ms},
       {1, 2, 2, 3},
       {0, 71, 71, 81}},
      {"a long stall", {0ms, 5s, 5010ms}, {1, 2, 3}, {0, 5000, 5010}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    ManualClock clock;
    const Instant begin = clock.now();
    Listener listener;
    SequenceShift shift;
    Prompt prompt = make_prompt(100);
    prompt.start(RtpStreamState{}, shift, begin);
    for (size_t i = 0; i < c.called_at.size(); ++i) {
      prompt.play(begin + c.called_at[i], listener);
      CHECK(listener.rtp.size() == c.packets[i]);
      const auto first = *RtpView::parse(listener.rtp.front());
      CHECK(listener.last().timestamp() - first.timestamp() == c.last_timestamp_ms[i] * 8);
      CHECK(listener.last().sequence() ==
            static_cast<uint16_t>(first.sequence() + c.packets[i] - 1));
    }
  }
}

TEST_CASE("a prompt goes on with the stream the listener has heard, and that stream after it") {
  struct Case {
    std::string description;
    RtpFields first;        // of the human, who then speaks for five packets
    SequenceShift before;   // an earlier prompt's
    Duration silence;       // between the human's last packet and the prompt
    Duration starts_after;  // the human's last packet
    int human_meanwhile;    // packets, while the prompt plays
    size_t prompt_packets;  // of 10 ms
  };
  const SequenceShift of_other{0x22222222, 700, 5, 5, {}};
  const std::vector<Case> cases = {
      {"right away, not into the last packet", {}, {}, 1ms, 20ms, 5, 10},
      {"after a pause", {}, {}, 500ms, 500ms, 5, 10},
      {"after ten hours", {}, {}, 10h, 10h, 0, 10},
      {"the human is silent meanwhile", {}, {}, 20ms, 20ms, 0, 20},
      {"the human sends more packets than the prompt", {}, {}, 20ms, 20ms, 30, 4},
      {"the sequence wraps in the prompt", {.sequence = 65529}, {}, 20ms, 20ms, 5, 10},
      {"the sequence has just wrapped", {.sequence = 65533}, {}, 20ms, 20ms, 5, 10},
      {"the human's wraps meanwhile", {.sequence = 65529}, {}, 20ms, 20ms, 8, 1},
      {"the timestamp wraps", {.timestamp = 0xFFFFFD00}, {}, 20ms, 20ms, 5, 10},
      {"an earlier prompt has shifted it", {}, {kHumanSsrc, 1234, 3, 3, {}}, 20ms, 20ms, 5, 10},
      {"an earlier prompt has shifted it backwards",
       {.sequence = 10},
       {kHumanSsrc, 65500, 3, 3, {}},
       20ms,
       20ms,
       5,
       10},
      {"an earlier prompt has shifted another stream", {}, of_other, 20ms, 20ms, 5, 10},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    ManualClock clock;
    Listener listener;
    Human human(c.first);
    human.speak(clock, 5);
    const uint32_t last_timestamp = human.last().timestamp;
    SequenceShift shift = c.before;
    const uint16_t offset_before = shift.ssrc == kHumanSsrc ? shift.offset : 0;
    const auto last_left = static_cast<uint16_t>(human.last().sequence + offset_before);
    const Instant last_arrival = clock.now();

    clock.advance(c.silence);
    Prompt prompt = make_prompt(c.prompt_packets);
    prompt.start(human.heard(), shift, clock.now());
    const Instant due = prompt.play(clock.now(), listener);
    if (listener.rtp.empty()) {
      CHECK(due == last_arrival + c.starts_after);
      clock.set(due);
      prompt.play(due, listener);
    }
    REQUIRE(listener.rtp.size() == 1);
    CHECK(listener.last().ssrc() == kHumanSsrc);
    CHECK(listener.last().marker());
    CHECK(listener.last().sequence() == static_cast<uint16_t>(last_left + 1));
    const auto waited_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(c.starts_after).count();
    CHECK(listener.last().timestamp() ==
          static_cast<uint32_t>(last_timestamp + static_cast<uint64_t>(waited_ms) * 8));

    for (int i = 0; i < c.human_meanwhile; ++i) {
      CHECK(let_through(prompt, human.take(), clock.now()).empty());
    }
    play_all(prompt, clock, listener);
    // The packets of the prompt, less those it replaced.
    const uint32_t counts = offset_before != 0 ? c.before.packets : 0;
    CHECK(shift.packets == static_cast<uint32_t>(counts + c.prompt_packets) -
                               static_cast<uint32_t>(c.human_meanwhile));
    clock.advance(100ms);
    const testing::Packet next = human.take();
    CHECK(let_through(prompt, next, clock.now()).size() == next.size());
    CHECK(static_cast<uint16_t>(human.last().sequence + shift.offset) ==
          static_cast<uint16_t>(listener.last().sequence() + 1));
  }
}

TEST_CASE("whatever becomes of the human's packets, the next one follows the prompt's last") {
  struct Case {
    std::string description;
    std::vector<uint16_t> sequences;  // swallowed; the last one heard before was 1004
    uint16_t next;
  };
  const std::vector<Case> cases = {
      {"in order", {1005, 1006, 1007}, 1008},
      {"lost before they came here", {1005, 1009}, 1010},
      {"out of order", {1006, 1005, 1007}, 1008},
      {"doubled", {1005, 1005, 1006}, 1007},
      {"a straggler from before the prompt", {1003, 1005}, 1006},
      {"the sender starts anew", {10, 11}, 12},
      {"the sender jumps ahead", {9000}, 9001},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    ManualClock clock;
    Listener listener;
    Human human({.sequence = 1000});
    human.speak(clock, 5);
    SequenceShift shift;
    Prompt prompt = make_prompt(50, -1);
    clock.advance(20ms);
    prompt.start(human.heard(), shift, clock.now());
    for (const uint16_t sequence : c.sequences) {
      clock.set(prompt.play(clock.now(), listener));
      CHECK(let_through(prompt, rtp_packet({.sequence = sequence}), clock.now()).empty());
      // Were the prompt taken off now, the stream would go on without a gap.
    }
    CHECK(static_cast<uint16_t>(c.next + shift.offset) ==
          static_cast<uint16_t>(listener.last().sequence() + 1));
  }
}

TEST_CASE("after the prompt's end nobody is heard into it") {
  ManualClock clock;
  Listener listener;
  Human human({});
  human.speak(clock, 5);
  SequenceShift shift;
  Prompt prompt = make_prompt(2);
  clock.advance(20ms);
  prompt.start(human.heard(), shift, clock.now());
  play_all(prompt, clock, listener);
  const uint32_t end = listener.last().timestamp() + 80;
  const auto at = [&](uint16_t sequence, uint32_t timestamp, Duration later) {
    return !let_through(prompt, rtp_packet({.sequence = sequence, .timestamp = timestamp}),
                        clock.now() + later)
                .empty();
  };
  CHECK_FALSE(at(6, end - 160, 0ms));  // the last packet is still playing
  CHECK_FALSE(at(7, end - 40, 15ms));  // late on its way
  CHECK(at(8, end, 20ms));
  CHECK(at(9, end - 8, 200ms));  // its clock is slow, but it has to speak some time
  CHECK(static_cast<uint16_t>(8 + shift.offset) ==
        static_cast<uint16_t>(listener.last().sequence() + 1));
}

TEST_CASE("what was on its way before the prompt began passes") {
  ManualClock clock;
  Prompt prompt = make_prompt(2);
  CHECK_FALSE(let_through(prompt, rtp_packet({}), clock.now()).empty());
}

TEST_CASE("where it cannot go on, a prompt speaks as a stream of its own") {
  struct Case {
    std::string description;
    int human_packets;
    uint8_t payload_type;
  };
  const std::vector<Case> cases = {
      {"nothing was heard", 0, 0},
      {"a type that signalling defines, as Opus", 5, 111},
      {"a clock of 16000 Hz", 5, 6},
      {"video", 5, 34},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    ManualClock clock;
    Listener listener;
    Human human({.payload_type = c.payload_type});
    human.speak(clock, c.human_packets);
    SequenceShift shift;
    Prompt first = make_prompt(3, -1);
    first.start(human.heard(), shift, clock.now());
    for (int i = 0; i < 7; ++i) clock.set(first.play(clock.now(), listener));
    const auto last = listener.rtp.back();
    const auto ended = *RtpView::parse(last);
    CHECK(ended.ssrc() != kHumanSsrc);

    // Whoever was heard before is heard again without a gap.
    for (int i = 0; i < 3; ++i) CHECK(let_through(first, human.take(), clock.now()).empty());
    if (c.human_packets > 0) {
      CHECK(shift.offset == static_cast<uint16_t>(-3));
      CHECK(shift.packets == static_cast<uint32_t>(-3));
    } else {
      CHECK_FALSE(shift.changes_anything());
    }

    // The next prompt is the same stream, half a second later.
    clock.advance(500ms);
    Prompt second = make_prompt(3);
    second.start(human.heard(), shift, clock.now());
    play_all(second, clock, listener);
    const auto next = *RtpView::parse(listener.rtp[7]);
    CHECK(next.ssrc() == ended.ssrc());
    CHECK(next.sequence() == static_cast<uint16_t>(ended.sequence() + 1));
    CHECK(next.timestamp() - ended.timestamp() == 80 + 500 * 8);
    CHECK(next.marker());
  }
}

TEST_CASE("DTMF that came last does not hide the stream's clock") {
  ManualClock clock;
  Listener listener;
  Human human({});
  human.speak(clock, 5);
  human.next_.payload_type = 101;
  clock.advance(20ms);
  human.speak(clock, 2);
  SequenceShift shift;
  Prompt prompt = make_prompt(1);
  clock.advance(20ms);
  prompt.start(human.heard(), shift, clock.now());
  play_all(prompt, clock, listener);
  CHECK(listener.last().ssrc() == kHumanSsrc);
  CHECK(listener.last().sequence() == 8);
  CHECK(listener.last().timestamp() == 160 + 4 * 160 + 60 * 8);
}

}  // namespace
}  // namespace relay
