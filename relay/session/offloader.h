// A ForwardingPlane over the slow path and the kernel: everything goes to the slow path, and what
// needs nothing but forwarding is moved on into the kernel, flow by flow.
//
// A flow goes down once both legs' latches are held and uncontested, and comes back before anything
// it stands on changes: another endpoint signalled, new ports, hold by policy, a prompt, delete.
// Its RTP analysis goes along both ways. The socket stays open and the slow path keeps the latch:
// what the kernel does not match is punted there, and a latch that moves calls for attention. A
// flow that somebody listens to is relayed in the kernel and teed to its socket, as soon as the
// slow path can tell copies from packets. Control thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/flow/forwarding_plane.h"
#include "relay/flow/kernel_plane.h"

namespace relay {

class Offloader final : public ForwardingPlane {
 public:
  // All outlive the offloader.
  Offloader(ForwardingPlane& slow_path, KernelPlane& kernel, const Clock& clock);
  ~Offloader() override;
  Offloader(const Offloader&) = delete;
  Offloader& operator=(const Offloader&) = delete;

  void install(FlowGroup& group, const FlowGroupSpec& spec) override;
  PlaneTicket update(FlowGroup& group, const FlowGroupSpec& spec) override;
  PlaneTicket remove(FlowGroup& group) override;
  bool settled(const PlaneTicket& ticket) const override { return slow_path_.settled(ticket); }
  void cork() override { slow_path_.cork(); }
  void uncork() override { slow_path_.uncork(); }
  bool spare_descriptors() override { return slow_path_.spare_descriptors(); }
  PlaneTicket copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) override;
  PlaneTicket resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) override;
  FlowPath path_of(const FlowGroup& group, LegId leg, Component component) const override;
  std::unique_ptr<Tap> fork_into(FlowGroup& target, const FlowGroupSpec& spec, LegId leg) override;
  PlaneCounters counters() const override;

  // Moves flows whose time has come. To be called when until_next_tick() has passed and, though not
  // before kTick has, when attention_descriptor() is readable.
  static constexpr Duration kTick = std::chrono::milliseconds(20);
  void tick();
  Duration until_next_tick() const;
  int attention_descriptor() const { return attention_.descriptor(); }
  size_t flows_in_kernel() const { return live_.size(); }

 private:
  struct OffloadedFlow {
    enum class State : uint8_t { slow_path, handing_over, in_kernel };
    State state = State::slow_path;
    std::string_view reason = "not looked at so far";
    // A copy of the slow path's analysis under way: before the flow goes down, and once more after
    // it, for what the slow path has analysed in between. RTP only.
    std::unique_ptr<RtpStreamState> stream;
    PlaneTicket ticket;
    uint64_t received_at_copy = 0;
    KernelFlowSpec spec;
    size_t live_at = 0;  // its place in live_
    Instant in_kernel_since{};
    std::string_view came_back;     // why, the last time
    Instant not_before{};           // after a fall-back, …
    std::string_view held_off_for;  // … and why that was
  };
  struct Watched {
    FlowGroup* group = nullptr;
    FlowGroupSpec spec;
    PlaneTicket spec_ticket;  // when the slow path has taken it over
    bool spec_settled = false;
    std::array<std::array<int, 2>, 2> tos{};  // of the sockets, by LegId, Component
    // By LegId, Component; null until the first look, and there is none without a kernel.
    std::unique_ptr<std::array<std::array<OffloadedFlow, 2>, 2>> flows;
    OffloadedFlow& flow(LegId leg, Component component) {
      return (*flows)[index(leg)][index(component)];
    }
    Duration wait{};
    Instant next_look = Instant::max();
    uint64_t serial = 0;
  };
  struct Look {
    Instant at;
    uint64_t serial;
    bool operator>(const Look& other) const { return at > other.at; }
  };
  struct Handback {  // a stream on its way back to the slow path
    std::unique_ptr<RtpStreamState> stream;
    PlaneTicket ticket;
  };

  void take_over(Watched& watched, const FlowGroupSpec& spec);
  void look(Watched& watched);
  void look_at_flow(Watched& watched, LegId leg, Component component);
  void start_down(Watched& watched, LegId leg, Component component);
  void go_down(Watched& watched, LegId leg, Component component, const KernelFlowSpec& wanted);
  void recount(Watched& watched, LegId leg);
  void check_in_kernel(Watched& watched, LegId leg, Component component,
                       const KernelFlowSpec& wanted);
  void hold_off(OffloadedFlow& flow, std::string_view reason);
  void come_back(Watched& watched, LegId leg, Component component, std::string_view reason);
  void all_come_back(Watched& watched, std::string_view reason);
  void hand_back(Watched& watched, LegId leg, const KernelFlowReport& report);
  void schedule(Watched& watched, Duration wait);

  ForwardingPlane& slow_path_;
  KernelPlane& kernel_;
  const Clock& clock_;
  AttentionBoard attention_;
  std::unordered_map<const FlowGroup*, std::unique_ptr<Watched>> watched_;
  std::unordered_map<uint64_t, Watched*> by_serial_;
  std::vector<Watched*> by_flag_;  // by AttentionBoard::Flag::number()
  std::priority_queue<Look, std::vector<Look>, std::greater<>> looks_;
  std::deque<Handback> handbacks_;
  uint64_t last_serial_ = 0;
  // Of the flows in the kernel, side by side: summed up once a second, they are not in cache.
  struct Live {
    const KernelFlowStats* stats;
    OffloadedFlow* flow;
  };
  std::vector<Live> live_;
  LogLimit trouble_{5};    // a missing route concerns every call
  PlaneCounters retired_;  // what the kernel did for flows that have come back
};

}  // namespace relay
