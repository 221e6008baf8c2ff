// decide(): the heart. One packet in, one verdict out; no socket, no clock, no allocation.
// The same table of cases runs against it and against the kernel program.
#pragma once

#include <array>
#include <memory>

#include "relay/flow/attention.h"
#include "relay/flow/event_ring.h"
#include "relay/flow/flow.h"
#include "relay/flow/kernel_share.h"
#include "relay/flow/latch.h"
#include "relay/flow/source.h"
#include "relay/flow/verdict.h"
#include "relay/rtp/analyser.h"

namespace relay {

// Counters and states of one flow (ingress of one component of one leg); written by the plane that
// owns the group, read by any thread. received = forwarded + punted + consumed + Σ drops.
struct FlowStats {
  Counter received, received_bytes;
  Counter forwarded;  // packets that came in here and left on the other leg
  Counter punted, consumed;
  Counter emitted;  // made by the leg's transform out of what it consumed, and sent
  Counter played;   // sent to this leg's party by its source
  std::array<Counter, kDropReasons> drops;
  std::atomic<int64_t> last_played_ns{0};     // 0: never
  std::atomic<int64_t> last_forked_ns{0};     // to this leg's party, by any thread; 0: never
  std::atomic<int64_t> first_accepted_ns{0};  // 0: never
  std::atomic<int64_t> last_accepted_ns{0};   // accepted by the latch, even if it could not leave
  // Copies of what the kernel has relayed are told from packets that are to be relayed.
  std::atomic<bool> tells_copies{false};
  std::atomic<bool> shifted{false};  // what leaves this leg is changed by its SequenceShift

  uint64_t dropped() const;
};

// Where a party sends its RTCP, as heard (RFC 5761: rtcp-mux).
enum class RtcpHabit : uint8_t { unknown, apart, muxed };

// What the slow path has learnt of a party's RTCP; published for the offloader.
struct RtcpState {
  RtcpHabit habit = RtcpHabit::unknown;
  Endpoint holder;  // where RTCP on its own port comes from; !valid(): none came
  Endpoint egress;  // where RTCP to the party's own port goes; !valid(): nowhere
  friend bool operator==(const RtcpState&, const RtcpState&) = default;
};

struct FlowGroup {
  // Owned by the plane between install and the settled remove.
  FlowGroupSpec spec;
  std::array<RtpLatch, 2> rtp_latch;            // by LegId
  std::array<RtcpLatch, 2> rtcp_latch;          // by LegId
  std::array<RtpAnalyser, 2> analyser;          // by LegId
  std::array<RtcpHabit, 2> rtcp_habit{};        // by LegId
  std::array<uint32_t, 2> published_changes{};  // of rtp_latch, by LegId
  std::array<SequenceShift, 2> shift{};         // by LegId of the leg that sends
  uint32_t plane_index = 0;                     // which of the plane's threads owns it
  void* plane_data = nullptr;                   // the plane's own

  // What the kernel does for what arrives on each leg; written by the control thread.
  const KernelPlane* kernel_plane = nullptr;
  std::array<std::array<KernelShare, 2>, 2> kernel;  // by LegId, Component
  KernelShare& kernel_of(LegId leg, Component component) {
    return kernel[index(leg)][index(component)];
  }
  const KernelShare& kernel_of(LegId leg, Component component) const {
    return kernel[index(leg)][index(component)];
  }
  // Raised when a latch or what is known of RTCP has changed, and when the kernel is passed by.
  AttentionBoard* attention = nullptr;
  AttentionBoard::Flag attention_flag;
  EventRing events;  // the control thread's

  // Read by anybody.
  std::array<Published<LatchState>, 2> latch;         // by LegId
  std::array<Published<AnalyserTotals>, 2> analysis;  // by LegId; of RTP
  std::array<Published<RtcpState>, 2> rtcp_state;     // by LegId
  std::array<std::array<FlowStats, 2>, 2> stats;      // by LegId, Component
  LatchState latch_of(LegId leg) const { return latch[index(leg)].load(); }
  AnalyserTotals analysis_of(LegId leg) const { return analysis[index(leg)].load(); }
  FlowStats& stats_of(LegId leg, Component component) {
    return stats[index(leg)][index(component)];
  }
  const FlowStats& stats_of(LegId leg, Component component) const {
    return stats[index(leg)][index(component)];
  }
};

// A flow's figures over both planes. Control thread.
struct FlowFigures {
  uint64_t received = 0, received_bytes = 0, forwarded = 0, punted = 0, consumed = 0;
  uint64_t emitted = 0;  // see FlowStats
  std::array<uint64_t, kDropReasons> drops{};
  Instant first_accepted{}, last_accepted{};  // zero: never
  AnalyserTotals analysis;                    // RTP only
  uint64_t dropped() const;
};
FlowFigures figures_of(const FlowGroup& group, LegId leg, Component component);
// When the party was heard last, on either plane; zero: never. Cheap.
Instant last_accepted(const FlowGroup& group, LegId leg, Component component);

struct IngressPacket {
  LegId leg = LegId::callee;  // the leg whose socket it arrived on
  Component component = Component::rtp;
  Endpoint source;
  Bytes bytes;
};

// Takes over a changed spec; the only way `group.spec` changes after install.
void apply_spec(FlowGroup& group, const FlowGroupSpec& spec, Instant now);

// Tells other threads whether what leaves the leg is changed by its SequenceShift.
void publish_shift(FlowGroup& group, LegId leg);

// Take over an RTP analysis that another plane has carried on. For the plane that owns the group.
void resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from);

// Updates latch, analyser and last-seen times, and says what to do. Counting the verdict is the
// caller's (apply in dataplane/), because only it knows whether the send went well.
Verdict decide(FlowGroup& group, const IngressPacket& packet, Instant now);

}  // namespace relay
