// A kernel plane without a kernel: flows in memory, packets handed in by the test. Counts and
// punts as the program does; refuses, stalls or is not there when the test says so.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "relay/base/assert.h"
#include "relay/base/clock.h"
#include "relay/flow/kernel_plane.h"
#include "relay/rtp/demux.h"
#include "relay/rtp/rtp_header.h"

namespace relay {

class FakeKernelPlane final : public KernelPlane {
 public:
  explicit FakeKernelPlane(const Clock& clock) : clock_(clock) {}

  bool is_available = true;
  std::string refuse_install, refuse_update;   // not empty: the error
  bool tees_are_local = false;                 // parties on this host
  bool is_bypassed = false;                    // packets arrive where the program is not attached
  uint64_t strangers_punted_max = UINT64_MAX;  // of a flow; beyond that they are dropped
  std::function<void(const char*)> on_call;
  size_t installs = 0, updates = 0, removes = 0;

  bool available() const override { return is_available; }
  const std::string& status() const override { return status_; }

  Result<KernelFlowId> install(const KernelFlowSpec& spec, const RtpStreamState& stream) override {
    note("kernel install");
    if (!refuse_install.empty()) return fail(refuse_install);
    RELAY_ASSERT(by_local_.count(spec.local) == 0);
    forget_removed();
    ++installs;
    const KernelFlowId id{++last_slot_, last_slot_ + 1000};
    auto flow = std::make_unique<Flow>();
    flow->spec = spec;
    flow->report.stream = stream;
    by_local_[spec.local] = id.slot;
    flows_[id.slot] = std::move(flow);
    return id;
  }
  Result<void> update(KernelFlowId id, const KernelFlowSpec& spec) override {
    note("kernel update");
    if (!refuse_update.empty()) return fail(refuse_update);
    Flow& flow = *flows_.at(id.slot);
    RELAY_ASSERT(flow.spec.local == spec.local);
    flow.spec = spec;
    ++updates;
    return {};
  }
  KernelFlowReport remove(KernelFlowId id) override {
    note("kernel remove");
    const auto found = flows_.find(id.slot);
    RELAY_ASSERT(found != flows_.end());
    ++removes;
    const KernelFlowReport report = found->second->report;
    by_local_.erase(found->second->spec.local);
    removed_.push_back({clock_.now(), std::move(found->second)});
    flows_.erase(found);
    return report;
  }
  KernelFlowReport report(KernelFlowId id) const override {
    const auto found = flows_.find(id.slot);
    return found == flows_.end() ? KernelFlowReport{} : found->second->report;
  }
  const KernelFlowStats* stats(KernelFlowId id) const override {
    const auto found = flows_.find(id.slot);
    return found == flows_.end() ? nullptr : &found->second->report.stats;
  }
  uint32_t tee_mark() const override { return 0x7EE; }
  int network_descriptor() const override { return -1; }
  void on_network_change() override {}
  void keep_alive() override {}

  enum class Fate : uint8_t { not_ours, punted, dropped, relayed };
  struct Outcome {
    Fate fate = Fate::not_ours;
    Endpoint egress, destination;  // relayed
    bool teed = false;             // relayed, and a copy goes to the socket
    bool goes_to_socket() const { return fate == Fate::not_ours || fate == Fate::punted; }
  };
  // One datagram off the wire.
  Outcome receive(const Endpoint& source, const Endpoint& local, Bytes bytes) {
    const auto found = by_local_.find(local);
    if (is_bypassed || found == by_local_.end()) return {};
    Flow& flow = *flows_.at(found->second);
    KernelFlowStats& stats = flow.report.stats;
    ++stats.received;
    stats.received_bytes += bytes.size();
    if (source != flow.spec.source) {
      if (stats.punts[kernel_punt_other_source] < strangers_punted_max) {
        return punt(stats, kernel_punt_other_source);
      }
      ++stats.drops[kernel_drop_source_refused];
      return {Fate::dropped, {}, {}, false};
    }
    const PacketKind kind = demux(bytes);
    const bool own_port = flow.spec.component == Component::rtcp;
    if (kind == PacketKind::rtcp) return relay_rtcp(flow, bytes.size());
    if (kind != PacketKind::rtp || own_port) return punt(stats, kernel_punt_not_rtp);
    const auto rtp = RtpView::parse(bytes);
    if (!rtp) return punt(stats, kernel_punt_odd_shape);
    if (tees_are_local && flow.spec.tee_to_socket) return punt(stats, kernel_punt_local_tee);
    return relay(flow, *rtp, bytes.size());
  }

  size_t installed() const { return flows_.size(); }
  const KernelFlowSpec* spec_at(const Endpoint& local) const {
    const auto found = by_local_.find(local);
    return found == by_local_.end() ? nullptr : &flows_.at(found->second)->spec;
  }

 private:
  struct Flow {
    KernelFlowSpec spec;
    KernelFlowReport report;
  };
  struct Removed {
    Instant at;
    std::unique_ptr<Flow> flow;
  };

  void note(const char* call) const {
    if (on_call) on_call(call);
  }
  static Outcome punt(KernelFlowStats& stats, KernelPunt why) {
    ++stats.punts[why];
    return {Fate::punted, {}, {}, false};
  }
  Outcome relay_rtcp(Flow& flow, size_t bytes) {
    const bool own_port = flow.spec.component == Component::rtcp;
    KernelFlowStats& stats = flow.report.stats;
    if (!own_port && !flow.spec.rtcp) return punt(stats, kernel_punt_rtcp);
    count(stats, bytes);
    ++stats.rtcp_forwarded;
    const bool teed = flow.spec.tee_to_socket;
    if (own_port) return {Fate::relayed, flow.spec.egress, flow.spec.destination, teed};
    return {Fate::relayed, flow.spec.rtcp->egress, flow.spec.rtcp->destination, teed};
  }
  void count(KernelFlowStats& stats, size_t bytes) const {
    const auto now_ns = static_cast<uint64_t>(to_ns(clock_.now()));
    if (stats.first_seen_ns == 0) stats.first_seen_ns = now_ns;
    stats.last_seen_ns = now_ns;
    ++stats.forwarded;
    stats.forwarded_bytes += bytes;
  }
  Outcome relay(Flow& flow, const RtpView& rtp, size_t bytes) {
    const auto now_ns = static_cast<uint64_t>(to_ns(clock_.now()));
    KernelFlowStats& stats = flow.report.stats;
    const RtpFacts facts{rtp.ssrc(), rtp.timestamp(), rtp.sequence(), rtp.payload_type(),
                         static_cast<uint8_t>(rtp.marker())};
    rtp_stream_packet(&flow.report.stream, &facts, now_ns);
    count(stats, bytes);
    stats.last_rtp = uint64_t{rtp.ssrc()} << 32 | rtp.sequence();
    return {Fate::relayed, flow.spec.egress, flow.spec.destination, flow.spec.tee_to_socket};
  }
  // Whoever still reads a flow removed longer ago than the contract allows is to be found out.
  void forget_removed() {
    while (!removed_.empty() && removed_.front().at + std::chrono::seconds(1) < clock_.now()) {
      removed_.pop_front();
    }
  }

  const Clock& clock_;
  const std::string status_ = "fast path: not on this kernel";
  std::map<uint32_t, std::unique_ptr<Flow>> flows_;  // by slot
  std::unordered_map<Endpoint, uint32_t> by_local_;  // slots
  std::deque<Removed> removed_;
  uint32_t last_slot_ = 0;
};

}  // namespace relay
