#include "relay/rtp/analyser.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/packet_builder.h"

namespace relay {
namespace {

using namespace std::chrono_literals;
using testing::rtp_packet;
using testing::RtpFields;

struct Arrival {
  uint16_t sequence;
  bool marker = false;
  uint32_t ssrc = 1;
};

struct SequenceCase {
  std::string description;
  std::vector<Arrival> arrivals;
  uint64_t sent, received, duplicates;
  uint32_t ssrc_changes = 1;
};

AnalyserTotals totals_of(const std::vector<Arrival>& arrivals) {
  RtpAnalyser analyser;
  Instant now = from_ns(1);
  for (const Arrival& arrival : arrivals) {
    analyser.on_packet(
        rtp_packet({.sequence = arrival.sequence, .ssrc = arrival.ssrc, .marker = arrival.marker}),
        now);
    now += 20ms;
  }
  return analyser.totals();
}

TEST_CASE("sequence numbers add up to sent, received and duplicates") {
  const std::vector<SequenceCase> cases = {
      {"nothing came", {}, 0, 0, 0, 0},
      {"one packet", {{7}}, 1, 1, 0},
      {"in order", {{1}, {2}, {3}}, 3, 3, 0},
      {"one lost", {{1}, {2}, {4}}, 4, 3, 0},
      {"two swapped", {{1}, {3}, {2}, {4}}, 4, 4, 0},
      {"the first one came second", {{2}, {1}, {3}}, 3, 3, 0},
      {"a duplicate", {{1}, {2}, {2}, {3}}, 3, 3, 1},
      {"a late duplicate", {{1}, {2}, {3}, {1}}, 3, 3, 1},
      {"every packet thrice", {{5}, {5}, {5}, {6}, {6}, {6}}, 2, 2, 4},
      {"a wrap", {{65534}, {65535}, {0}, {1}}, 4, 4, 0},
      {"a wrap with a loss around it", {{65533}, {65534}, {2}, {3}}, 7, 4, 0},
      {"a straggler from before the wrap", {{65534}, {0}, {65535}, {1}}, 4, 4, 0},
      {"a straggler from before the wrap, twice", {{65534}, {0}, {65535}, {65535}}, 3, 3, 1},
      {"a wrap whose straggler is the stream's first", {{0}, {65535}, {1}}, 3, 3, 0},
      {"a wrap from the last number counted as before it", {{65001}, {535}}, 1071, 2, 0},
      {"the furthest straggler", {{65001}, {535}, {65002}, {65001}}, 1071, 3, 1},
      {"no wrap from further down", {{65000}, {0}}, 2, 2, 0},
      {"536 ahead is a loss", {{1000}, {1536}}, 537, 2, 0},
      {"537 ahead is a new run", {{1000}, {1537}}, 2, 2, 0},
      {"536 behind is a straggler", {{2000}, {1464}}, 537, 2, 0},
      {"537 behind is a new run", {{2000}, {1463}}, 2, 2, 0},
      {"a run forgets what earlier runs saw", {{1000}, {5000}, {1000}}, 3, 3, 0},
      {"a marker below the highest starts again", {{10}, {11}, {5, true}, {6}}, 4, 4, 0},
      {"a marker above the highest does not", {{10}, {11}, {13, true}, {14}}, 5, 4, 0},
      {"a marker on the highest is a duplicate", {{10}, {11}, {11, true}}, 2, 2, 1},
      {"a marker after 65535 is the wrap", {{65535}, {1, true}}, 3, 2, 0},
      {"a marker after 65534 starts again", {{65534}, {1, true}}, 2, 2, 0},
      {"a new SSRC starts a run", {{1}, {2}, {3, false, 2}, {4, false, 2}}, 4, 4, 0, 2},
      {"a new SSRC far away costs nothing", {{1}, {9000, false, 2}}, 2, 2, 0, 2},
      {"two SSRCs in turn", {{1}, {1, false, 2}, {2}, {2, false, 2}}, 4, 4, 0, 4},
      {"SSRC 0 counts as one too", {{1, false, 0}, {2, false, 0}}, 2, 2, 0, 1},
  };
  for (const SequenceCase& c : cases) {
    CAPTURE(c.description);
    const AnalyserTotals totals = totals_of(c.arrivals);
    CHECK(totals.sent == c.sent);
    CHECK(totals.received == c.received);
    CHECK(totals.duplicates == c.duplicates);
    CHECK(totals.lost() == c.sent - c.received);
    CHECK(totals.ssrc_changes == c.ssrc_changes);
  }
}

TEST_CASE("three cycles of sequence numbers leave no trace in the figures") {
  RtpAnalyser analyser;
  Instant now = from_ns(1);
  for (uint32_t i = 0; i < 3 * 65536; ++i, now += 20ms) {
    if (i % 1000 == 999) continue;
    const auto packet = rtp_packet({.sequence = static_cast<uint16_t>(i), .payload_bytes = 0});
    analyser.on_packet(packet, now);
    if (i % 500 == 0) analyser.on_packet(packet, now);
  }
  const AnalyserTotals totals = analyser.totals();
  CHECK(totals.sent == 196608);
  CHECK(totals.lost() == 196);
  CHECK(totals.duplicates == 394);
}

// Every sequence number a run has had, and nothing forgotten.
struct Ledger {
  std::set<int64_t> seen;
  int64_t highest = 0;
  uint64_t sent = 0, received = 0, duplicates = 0;

  void close_run() {
    if (!seen.empty()) sent += static_cast<uint64_t>(*seen.rbegin() - *seen.begin() + 1);
    received += seen.size();
    seen.clear();
  }
  void on_sequence(uint16_t sequence, bool marker) {
    const int64_t highest16 = highest & 0xFFFF;
    int64_t extended = highest - highest16 + sequence;
    bool wraps = false;
    if (highest16 < 536 && sequence > 65000) {
      extended -= 65536;
      wraps = true;
    } else if (highest16 > 65000 && sequence < 536) {
      extended += 65536;
      wraps = true;
    }
    const bool restart = marker && sequence < highest16 && highest16 != 65535;
    if (seen.empty() || restart || (!wraps && std::abs(extended - highest) > 536)) {
      close_run();
      extended = sequence;
      highest = sequence;
    }
    if (!seen.insert(extended).second) ++duplicates;
    highest = std::max(highest, extended);
  }
};

TEST_CASE("a window of 2048 finds what a complete record finds") {
  std::mt19937 random(20240229);
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    RtpAnalyser analyser;
    Ledger ledger;
    auto sequence = static_cast<uint16_t>(random());
    for (int i = 0; i < 3000; ++i) {
      const auto dice = random() % 1000;
      if (dice < 900) {
        ++sequence;
      } else if (dice < 940) {
        sequence = static_cast<uint16_t>(sequence + random() % 600);
      } else if (dice < 985) {
        sequence = static_cast<uint16_t>(sequence - random() % 600);
      } else if (dice < 995) {
        sequence = static_cast<uint16_t>(64900 + random() % 700);
      } else {
        sequence = static_cast<uint16_t>(random());
      }
      const bool marker = random() % 100 == 0;
      ledger.on_sequence(sequence, marker);
      analyser.on_packet(rtp_packet({.sequence = sequence, .marker = marker, .payload_bytes = 0}),
                         from_ns(i + 1));
    }
    ledger.close_run();
    const AnalyserTotals totals = analyser.totals();
    CHECK(totals.sent == ledger.sent);
    CHECK(totals.received == ledger.received);
    CHECK(totals.duplicates == ledger.duplicates);
  }
}

TEST_CASE("a header that does not add up is a parse error and nothing else") {
  struct Case {
    std::string description;
    std::vector<uint8_t> bytes;
  };
  const std::vector<Case> cases = {
      {"empty", {}},
      {"11 bytes", {0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}},
      {"version 1", {0x40, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}},
      {"a CSRC that is not there", {0x81, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}},
      {"padding of 0", {0xA0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0}},
      {"padding longer than the payload", {0xA0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 2}},
      {"an extension cut short",
       {0x90, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xBE, 0xDE, 0, 1, 0, 0, 0}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    RtpAnalyser analyser;
    analyser.on_packet(std::as_bytes(std::span(c.bytes)), from_ns(1));
    CHECK(analyser.totals().parse_errors == 1);
    CHECK(analyser.totals().received == 0);
    CHECK(analyser.totals().ssrc_changes == 0);
  }
}

struct Timed {
  double at_ms;
  uint32_t timestamp;
  uint8_t payload_type = 0;
  uint32_t ssrc = 1;
};

struct JitterCase {
  std::string description;
  std::vector<Timed> arrivals;
  double last, max, average;
};

AnalyserTotals totals_of(const std::vector<Timed>& arrivals) {
  RtpAnalyser analyser;
  uint16_t sequence = 0;
  for (const Timed& arrival : arrivals) {
    analyser.on_packet(rtp_packet({.sequence = ++sequence,
                                   .timestamp = arrival.timestamp,
                                   .ssrc = arrival.ssrc,
                                   .payload_type = arrival.payload_type}),
                       from_ns(static_cast<int64_t>(arrival.at_ms * 1e6) + 1));
  }
  return analyser.totals();
}

// J += (|D| − J) / 16, worked out by hand: |D| = 80 gives 5, then D = 0 gives 4.6875, and so on.
TEST_CASE("jitter follows RFC 3550 in the payload type's clock") {
  const std::vector<JitterCase> cases = {
      {"one packet has none", {{0, 0}}, 0, 0, 0},
      {"a perfect stream has none", {{0, 0}, {20, 160}, {40, 320}}, 0, 0, 0},
      {"10 ms late, then on its new time", {{0, 0}, {30, 160}, {50, 320}}, 4.6875, 5, 4.84375},
      {"early counts like late", {{0, 0}, {10, 160}}, 5, 5, 5},
      {"G.722 ticks at 8000", {{0, 0, 9}, {30, 160, 9}}, 5, 5, 5},
      {"DVI4 at 16000", {{0, 0, 6}, {30, 320, 6}}, 10, 10, 10},
      {"L16 at 44100", {{0, 0, 10}, {30, 882, 10}}, 27.5625, 27.5625, 27.5625},
      {"MPA at 90000", {{0, 0, 14}, {30, 1800, 14}}, 56.25, 56.25, 56.25},
      {"DVI4 at 11025", {{0, 0, 16}, {40, 220, 16}}, 13.8125, 13.8125, 13.8125},
      {"DVI4 at 22050", {{0, 0, 17}, {20, 221, 17}}, 13.75, 13.75, 13.75},
      {"a dynamic type has no clock", {{0, 0, 96}, {30, 160, 96}}, 0, 0, 0},
      {"an unassigned type has no clock", {{0, 0, 1}, {30, 160, 1}}, 0, 0, 0},
      {"telephone events in between change nothing",
       {{0, 0}, {20, 160}, {25, 160, 101}, {50, 320}},
       5,
       5,
       2.5},
      {"a repeated timestamp is no sample",
       {{0, 0}, {30, 160}, {35, 160}, {50, 320}},
       4.6875,
       5,
       4.84375},
      {"one of the last ten timestamps is no sample",
       {{0, 0}, {20, 160}, {40, 320}, {41, 0}, {60, 480}},
       0,
       0,
       0},
      {"a timestamp wrap is no jump", {{0, 0xFFFFFF60}, {20, 0}, {50, 160}}, 5, 5, 2.5},
      {"50 gaps back is jitter", {{0, 8000}, {20, 0}}, 510, 510, 510},
      {"more than 50 gaps back is a restart", {{0, 8001}, {20, 0}, {50, 160}}, 5, 5, 5},
      {"1024 gaps ahead is jitter", {{0, 0}, {20, 163840}}, 10230, 10230, 10230},
      {"more than 1024 gaps ahead is a restart", {{0, 0}, {20, 163841}, {50, 164001}}, 5, 5, 5},
      {"the newest SSRC is the last one",
       {{0, 0}, {30, 160}, {50, 0, 0, 2}, {80, 160, 0, 2}, {100, 320, 0, 2}, {120, 800}},
       4.6875,
       9.6875,
       6.09375},
      {"an SSRC with one packet does not count", {{0, 0}, {30, 160}, {50, 0, 0, 2}}, 5, 5, 5},
  };
  for (const JitterCase& c : cases) {
    CAPTURE(c.description);
    const AnalyserTotals totals = totals_of(c.arrivals);
    CHECK(totals.jitter_last == doctest::Approx(c.last).epsilon(1e-9));
    CHECK(totals.jitter_max == doctest::Approx(c.max).epsilon(1e-9));
    CHECK(totals.jitter_average == doctest::Approx(c.average).epsilon(1e-9));
  }
}

TEST_CASE("SSRCs beyond the states kept stay in maximum and average") {
  std::vector<Timed> arrivals;
  for (uint32_t ssrc = 1; ssrc <= 12; ++ssrc) {
    const double base = ssrc * 1000.0;
    const double late = ssrc == 1 ? 10 : 0;
    arrivals.push_back({base, 0, 0, ssrc});
    arrivals.push_back({base + 20 + late, 160, 0, ssrc});
  }
  const AnalyserTotals totals = totals_of(arrivals);
  CHECK(totals.ssrc_changes == 12);
  CHECK(totals.jitter_last == 0);
  CHECK(totals.jitter_max == doctest::Approx(5));
  CHECK(totals.jitter_average == doctest::Approx(5.0 / 12));
}

TEST_CASE("the longest gap is between two arrivals, whatever their SSRC") {
  CHECK(totals_of(std::vector<Timed>{{0, 0}}).longest_gap == 0ms);
  CHECK(
      totals_of(std::vector<Timed>{{0, 0}, {20, 160}, {95, 320, 96, 9}, {100, 480}}).longest_gap ==
      75ms);
}

TEST_CASE("the last SSRC and payload type are those of the last packet") {
  const AnalyserTotals totals = totals_of(std::vector<Timed>{{0, 0, 8, 7}, {20, 160, 101, 7}});
  CHECK(totals.ssrc_last == 7);
  CHECK(totals.payload_type_last == 101);
  CHECK(RtpAnalyser().totals().payload_type_last == -1);
}

}  // namespace
}  // namespace relay
