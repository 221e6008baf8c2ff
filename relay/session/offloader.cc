#include "relay/session/offloader.h"

#include <algorithm>

#include "relay/base/assert.h"
#include "relay/base/log.h"
#include "relay/base/socket_options.h"
#include "relay/session/offload_plan.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstLook = 40ms;
// Everything that matters calls for attention; this is for what nobody has thought of.
constexpr Duration kLookAtMost = 30s;
// After the kernel made no progress with a flow that the slow path did relay.
constexpr Duration kHoldOff = 60s;
constexpr std::string_view kNoProgress = "the kernel made no progress with it";
constexpr std::string_view kLocalTee =
    "recorded, copied or listened to, and the party is on this host";
constexpr std::string_view kRefused = "the kernel cannot relay it (see the log)";

// What came between the copy and now, most often one packet a tick: counted from the totals the
// slow path publishes, or every flow that goes down would show a packet lost and a gap.
void catch_up(RtpStreamState& stream, const FlowGroup& group, LegId leg) {
  constexpr uint64_t kPacketsMax = 250;
  const AnalyserTotals copied = totals_of(stream);
  const AnalyserTotals now = group.analysis_of(leg);
  const uint64_t sent = now.sent - copied.sent, received = now.received - copied.received;
  if (now.ssrc_changes != copied.ssrc_changes || received > sent || sent > kPacketsMax) return;
  const uint64_t first = stream.run_highest + 1 + sent - received;
  for (uint64_t i = 0; i < received; ++i) {
    const RtpFacts facts{stream.ssrc_last, 0, static_cast<uint16_t>(first + i), 0, 0};
    rtp_count_sequence(&stream, &facts);
  }
  if (received == 0) return;
  const FlowStats& stats = group.stats_of(leg, Component::rtp);
  stream.last_arrival_ns =
      static_cast<uint64_t>(stats.last_accepted_ns.load(std::memory_order_relaxed));
}

void add_to(KernelFlowStats& sum, const KernelFlowStats& stats) {
  if (sum.first_seen_ns == 0) sum.first_seen_ns = stats.first_seen_ns;
  sum.last_seen_ns = std::max(sum.last_seen_ns, stats.last_seen_ns);
  sum.received += stats.received;
  sum.received_bytes += stats.received_bytes;
  sum.forwarded += stats.forwarded;
  sum.forwarded_bytes += stats.forwarded_bytes;
  for (size_t i = 0; i < kKernelDropSlots; ++i) sum.drops[i] += stats.drops[i];
  for (size_t i = 0; i < kKernelPuntSlots; ++i) sum.punts[i] += stats.punts[i];
}

// A punted packet reaches the slow path's socket and is counted there. Each counter is read once:
// while the kernel counts on, the sums still balance.
void add_to(PlaneCounters& counters, const KernelFlowStats& stats) {
  const uint64_t forwarded = read_kernel_counter(stats.forwarded);
  counters.forwarded += forwarded;
  counters.received += forwarded;
  counters.received_bytes += read_kernel_counter(stats.forwarded_bytes);
  for (size_t i = 0; i < kDropReasons; ++i) {
    const uint64_t drops = read_kernel_counter(stats.drops[i]);
    counters.drops[i] += drops;
    counters.received += drops;
  }
}

}  // namespace

Offloader::Offloader(ForwardingPlane& slow_path, KernelPlane& kernel, const Clock& clock)
    : slow_path_(slow_path), kernel_(kernel), clock_(clock) {}

Offloader::~Offloader() {
  for (Handback& handback : handbacks_) {
    // A thread that has not let go may write to it for as long as it lives.
    if (!slow_path_.settled(handback.ticket)) static_cast<void>(handback.stream.release());
  }
}

void Offloader::install(FlowGroup& group, const FlowGroupSpec& spec) {
  auto watched = std::make_unique<Watched>();
  watched->group = &group;
  watched->serial = ++last_serial_;
  watched->spec_settled = true;  // nothing but taps needs it, and those come later
  group.attention = &attention_;
  group.attention_flag = attention_.take();
  group.kernel_plane = &kernel_;
  slow_path_.install(group, spec);
  const uint32_t number = group.attention_flag.number();
  if (by_flag_.size() <= number) by_flag_.resize(number + 1);
  by_flag_[number] = by_serial_[watched->serial] = watched.get();
  take_over(*watched, spec);
  watched_[&group] = std::move(watched);
}

PlaneTicket Offloader::update(FlowGroup& group, const FlowGroupSpec& spec) {
  Watched& watched = *watched_.at(&group);
  if (stands_on_changed(watched.spec, spec)) {
    all_come_back(watched, "signalling or what is attached has changed");
  }
  take_over(watched, spec);
  watched.spec_settled = false;
  return watched.spec_ticket = slow_path_.update(group, spec);
}

void Offloader::take_over(Watched& watched, const FlowGroupSpec& spec) {
  watched.spec = spec;
  if (!kernel_.available()) return;
  for (const LegId leg : kLegs) {
    const LegSpec& of_leg = spec.legs[index(leg)];
    if (!of_leg.open()) continue;
    for (const Component component : kComponents) {
      watched.tos[index(leg)][index(component)] =
          type_of_service(of_leg.sockets[index(component)], of_leg.local.address.family())
              .value_or(-1);
    }
  }
  schedule(watched, kFirstLook);
  attention_.wake();
}

PlaneTicket Offloader::remove(FlowGroup& group) {
  const auto found = watched_.find(&group);
  all_come_back(*found->second, "deleted");
  by_serial_.erase(found->second->serial);
  by_flag_[group.attention_flag.number()] = nullptr;
  attention_.give_back(group.attention_flag);
  watched_.erase(found);
  return slow_path_.remove(group);
}

PlaneTicket Offloader::copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) {
  return slow_path_.copy_stream(group, leg, to);
}

PlaneTicket Offloader::resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) {
  return slow_path_.resume_stream(group, leg, from);
}

std::unique_ptr<Tap> Offloader::fork_into(FlowGroup& target, const FlowGroupSpec& spec, LegId leg) {
  return slow_path_.fork_into(target, spec, leg);
}

FlowPath Offloader::path_of(const FlowGroup& group, LegId leg, Component component) const {
  if (!kernel_.available()) return {false, kernel_.status()};
  const auto found = watched_.find(&group);
  if (found == watched_.end()) return {false, "not watched"};
  if (!found->second->flows) return {false, OffloadedFlow{}.reason};
  const OffloadedFlow& flow = found->second->flow(leg, component);
  if (flow.state == OffloadedFlow::State::in_kernel) {
    return {true, {}, flow.in_kernel_since, flow.came_back};
  }
  return {false, flow.reason, {}, flow.came_back};
}

PlaneCounters Offloader::counters() const {
  PlaneCounters counters = slow_path_.counters();
  counters.forwarded += retired_.forwarded;
  counters.received += retired_.received;
  counters.received_bytes += retired_.received_bytes;
  for (size_t i = 0; i < kDropReasons; ++i) counters.drops[i] += retired_.drops[i];
  for (const Live& live : live_) add_to(counters, *live.stats);
  return counters;
}

void Offloader::tick() {
  while (!handbacks_.empty() && slow_path_.settled(handbacks_.front().ticket)) {
    handbacks_.pop_front();
  }
  for (const uint32_t number : attention_.collect()) {
    Watched* watched = by_flag_[number];
    if (watched != nullptr && kernel_.available()) look(*watched);
  }
  const Instant now = clock_.now();
  while (!looks_.empty() && looks_.top().at <= now) {
    const Look due = looks_.top();
    looks_.pop();
    const auto found = by_serial_.find(due.serial);
    if (found != by_serial_.end() && found->second->next_look == due.at) look(*found->second);
  }
}

Duration Offloader::until_next_tick() const {
  if (!handbacks_.empty() || attention_.descriptor() < 0) return kTick;
  if (looks_.empty()) return kLookAtMost;
  return std::clamp<Duration>(looks_.top().at - clock_.now(), kTick, kLookAtMost);
}

void Offloader::look(Watched& watched) {
  const size_t in_kernel_before = live_.size();
  if (!watched.flows) {
    watched.flows = std::make_unique<std::array<std::array<OffloadedFlow, 2>, 2>>();
  }
  if (!watched.spec_settled) watched.spec_settled = slow_path_.settled(watched.spec_ticket);
  bool all_in_kernel = true, is_under_way = !watched.spec_settled;
  for (const LegId leg : kLegs) {
    for (const Component component : kComponents) {
      look_at_flow(watched, leg, component);
      const OffloadedFlow& flow = watched.flow(leg, component);
      is_under_way = is_under_way || flow.stream != nullptr;
      all_in_kernel = all_in_kernel && flow.state == OffloadedFlow::State::in_kernel;
    }
  }
  if (is_under_way) return schedule(watched, Duration(1));
  // A latch that moved just before its flow went down may have been looked at with it.
  if (live_.size() > in_kernel_before) return schedule(watched, kFirstLook);
  if (all_in_kernel) {
    watched.next_look = Instant::max();
    return;
  }
  Duration wait = std::clamp<Duration>(watched.wait * 4, kFirstLook, kLookAtMost);
  const Instant now = clock_.now();
  for (const auto& leg : *watched.flows) {
    for (const OffloadedFlow& flow : leg) {
      if (flow.not_before > now) wait = std::min<Duration>(wait, flow.not_before - now);
    }
  }
  schedule(watched, wait);
}

void Offloader::look_at_flow(Watched& watched, LegId leg, Component component) {
  OffloadedFlow& flow = watched.flow(leg, component);
  // Before the latches are read: what was signalled ahead of the copy has then reached them.
  const bool is_copied =
      flow.state == OffloadedFlow::State::handing_over && slow_path_.settled(flow.ticket);
  // What is attached is not known there so far; what is gone has brought the flow back already.
  if (flow.state == OffloadedFlow::State::in_kernel && !watched.spec_settled) return;
  auto wanted = plan_offload({*watched.group, watched.spec, leg, component,
                              watched.tos[index(other(leg))][index(component)]});
  if (wanted && flow.not_before != Instant{} && clock_.now() < flow.not_before) {
    wanted = tl::unexpected<std::string_view>(flow.held_off_for);
  }
  if (!wanted) return come_back(watched, leg, component, wanted.error());
  switch (flow.state) {
    case OffloadedFlow::State::slow_path:
      if (component == Component::rtp) return start_down(watched, leg, component);
      if (watched.spec_settled) go_down(watched, leg, component, *wanted);
      return;
    case OffloadedFlow::State::handing_over:
      if (is_copied) go_down(watched, leg, component, *wanted);
      return;
    case OffloadedFlow::State::in_kernel:
      if (flow.stream && slow_path_.settled(flow.ticket)) recount(watched, leg);
      check_in_kernel(watched, leg, component, *wanted);
      return;
  }
}

void Offloader::start_down(Watched& watched, LegId leg, Component component) {
  OffloadedFlow& flow = watched.flow(leg, component);
  flow.stream = std::make_unique<RtpStreamState>();
  flow.ticket = slow_path_.copy_stream(*watched.group, leg, *flow.stream);
  flow.state = OffloadedFlow::State::handing_over;
  flow.reason = "on its way into the kernel";
}

void Offloader::go_down(Watched& watched, LegId leg, Component component,
                        const KernelFlowSpec& wanted) {
  OffloadedFlow& flow = watched.flow(leg, component);
  KernelShare& share = watched.group->kernel_of(leg, component);
  if (flow.stream) catch_up(*flow.stream, *watched.group, leg);
  const auto installed = kernel_.install(wanted, flow.stream ? *flow.stream : RtpStreamState{});
  if (!installed) {
    flow.stream.reset();
    flow.state = OffloadedFlow::State::slow_path;
    hold_off(flow, kRefused);
    trouble_.warning("flow not offloaded local={} reason={}", wanted.local.to_string(),
                     quoted(installed.error().message));
    return;
  }
  flow.state = OffloadedFlow::State::in_kernel;
  flow.reason = {};
  flow.spec = wanted;
  flow.in_kernel_since = clock_.now();
  if (flow.stream) {
    watched.group->events.add(flow.in_kernel_since, SessionEvent::offloaded, leg);
    flow.received_at_copy = totals_of(*flow.stream).received;
    flow.ticket = slow_path_.copy_stream(*watched.group, leg, *flow.stream);
  }
  share.missed = 0;
  share.id = *installed;
  share.passed_by.store(false, std::memory_order_relaxed);
  const KernelFlowStats* stats = kernel_.stats(*installed);
  share.live.store(stats, std::memory_order_release);
  flow.live_at = live_.size();
  live_.push_back({stats, &flow});
  log_debug("flow offloaded local={} source={} destination={}", wanted.local.to_string(),
            wanted.source.to_string(), wanted.destination.to_string());
}

// Packets between the copy and the installation were analysed by the slow path alone; to the
// kernel's analysis, which goes on from the copy, they look lost.
void Offloader::recount(Watched& watched, LegId leg) {
  OffloadedFlow& flow = watched.flow(leg, Component::rtp);
  watched.group->kernel_of(leg, Component::rtp).missed =
      totals_of(*flow.stream).received - flow.received_at_copy;
  flow.stream.reset();
}

void Offloader::check_in_kernel(Watched& watched, LegId leg, Component component,
                                const KernelFlowSpec& wanted) {
  OffloadedFlow& flow = watched.flow(leg, component);
  KernelShare& share = watched.group->kernel_of(leg, component);
  if (share.passed_by.exchange(false, std::memory_order_acquire)) {
    const KernelFlowStats& stats = *share.live.load(std::memory_order_relaxed);
    const bool local_tee = read_kernel_counter(stats.punts[kernel_punt_local_tee]) != 0;
    hold_off(flow, local_tee ? kLocalTee : kNoProgress);
    trouble_.warning("flow taken back local={} reason={}", flow.spec.local.to_string(),
                     quoted(flow.held_off_for));
    return come_back(watched, leg, component, flow.held_off_for);
  }
  if (wanted == flow.spec) return;
  const auto updated = kernel_.update(share.id, wanted);
  if (updated) {
    flow.spec = wanted;
    return;
  }
  hold_off(flow, kRefused);
  come_back(watched, leg, component, kRefused);
  trouble_.warning("flow taken back local={} reason={}", wanted.local.to_string(),
                   quoted(updated.error().message));
}

void Offloader::hold_off(OffloadedFlow& flow, std::string_view reason) {
  flow.reason = flow.held_off_for = reason;
  flow.not_before = clock_.now() + kHoldOff;
}

void Offloader::all_come_back(Watched& watched, std::string_view reason) {
  if (!watched.flows) return;
  for (const LegId leg : kLegs) {
    for (const Component component : kComponents) come_back(watched, leg, component, reason);
  }
}

void Offloader::come_back(Watched& watched, LegId leg, Component component,
                          std::string_view reason) {
  OffloadedFlow& flow = watched.flow(leg, component);
  // A copy under way must not be freed before the slow path has written it.
  if (flow.stream) handbacks_.push_back({std::move(flow.stream), flow.ticket});
  const bool was_in_kernel = flow.state == OffloadedFlow::State::in_kernel;
  flow.state = OffloadedFlow::State::slow_path;
  flow.reason = reason;
  if (!was_in_kernel) return;
  flow.came_back = reason;
  KernelShare& share = watched.group->kernel_of(leg, component);
  const KernelFlowReport report = kernel_.remove(share.id);
  share.last_seen_ns.store(static_cast<int64_t>(report.stats.last_seen_ns),
                           std::memory_order_relaxed);
  share.last_rtp.store(report.stats.last_rtp, std::memory_order_relaxed);
  share.live.store(nullptr, std::memory_order_release);
  if (!share.before) share.before = std::make_unique<KernelFlowStats>();
  add_to(*share.before, report.stats);
  add_to(retired_, report.stats);
  live_[flow.live_at] = live_.back();
  live_[flow.live_at].flow->live_at = flow.live_at;
  live_.pop_back();
  if (component == Component::rtp) hand_back(watched, leg, report);
}

void Offloader::hand_back(Watched& watched, LegId leg, const KernelFlowReport& report) {
  watched.group->events.add(clock_.now(), SessionEvent::came_back, leg);
  // Nothing passed there, so the slow path's own analysis is the newer one.
  if (report.stats.forwarded == 0) return;
  const uint64_t missed = watched.group->kernel_of(leg, Component::rtp).missed;
  Handback handback{std::make_unique<RtpStreamState>(with_missed(report.stream, missed)), {}};
  handback.ticket = slow_path_.resume_stream(*watched.group, leg, *handback.stream);
  handbacks_.push_back(std::move(handback));
}

void Offloader::schedule(Watched& watched, Duration wait) {
  watched.wait = std::max<Duration>(wait, kFirstLook);
  watched.next_look = clock_.now() + wait;
  looks_.push({watched.next_look, watched.serial});
}

}  // namespace relay
