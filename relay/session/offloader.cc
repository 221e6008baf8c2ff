#include "relay/session/offloader.h"

#include <sys/socket.h>

#include <algorithm>

#include "relay/base/assert.h"
#include "relay/base/log.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstLook = 40ms;
constexpr Duration kLookAtMost = 2s;
constexpr Duration kLookWhileOffloaded = 1s;
// After the kernel made no progress with a flow that the slow path did relay.
constexpr Duration kHoldOff = 60s;
// So many packets on the slow path, and none in the kernel, are no coincidence.
constexpr uint64_t kPacketsWithoutProgress = 25;
constexpr std::string_view kNoProgress = "the kernel made no progress with it";
constexpr std::string_view kRefused = "the kernel cannot relay it (see the log)";

int tos_of(int socket, Family family) {
  int tos = -1;
  socklen_t bytes = sizeof tos;
  const int level = family == Family::ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
  const int name = family == Family::ipv6 ? IPV6_TCLASS : IP_TOS;
  return ::getsockopt(socket, level, name, &tos, &bytes) == 0 ? tos : -1;
}

bool is_settled(const LatchState& latch, LatchPolicy policy) {
  if (policy == LatchPolicy::asymmetric) return latch.egress.valid();
  return latch.rank != LatchState::Rank::none && !latch.contested && latch.egress.valid();
}

// What the kernel is to do with the RTP that arrives on `leg`, or why it cannot.
tl::expected<KernelFlowSpec, std::string_view> plan(const FlowGroup& group,
                                                    const FlowGroupSpec& spec, LegId leg) {
  const auto no = [](std::string_view why) { return tl::unexpected<std::string_view>(why); };
  const LegSpec& in = spec.legs[index(leg)];
  const LegSpec& out = spec.legs[index(other(leg))];
  if (!spec.complete || !in.open() || !out.open()) return no("the session is not complete");
  if (spec.duplicate_small_packets) return no("small packets are sent twice (-2)");
  if (in.policy == LatchPolicy::asymmetric) return no("asymmetric: any port of the host may send");
  if (in.local.address.is_any() || out.local.address.is_any()) {
    return no("bound to the wildcard address (name addresses with -l)");
  }
  if (in.local.address.family() != out.local.address.family()) {
    return no("bridges IPv4 and IPv6");
  }
  if (in.transform != nullptr) return no("it is re-packetised");
  if (in.taps[0] != nullptr) return no("it is recorded, copied or listened to");
  if (out.source != nullptr) return no("a prompt or a voice speaks to the receiver");
  if (group.stats_of(other(leg), Component::rtp).shifted.load(std::memory_order_relaxed)) {
    return no("its sequence numbers are shifted, after a prompt or re-packetising");
  }
  const LatchState in_latch = group.stats_of(leg, Component::rtp).latch.load();
  const LatchState out_latch = group.stats_of(other(leg), Component::rtp).latch.load();
  if (!is_settled(in_latch, in.policy)) return no("the sender is not latched");
  if (!is_settled(out_latch, out.policy)) return no("the receiver is not latched");
  KernelFlowSpec flow;
  flow.local = in.local;
  flow.source = in_latch.holder;
  flow.egress = out.local;
  flow.destination = out_latch.egress;
  flow.tos = tos_of(out.sockets[0], out.local.address.family());
  return flow;
}

// What came between the copy and now, most often one packet a tick: counted from the totals the
// slow path publishes, or every flow that goes down would show a packet lost and a gap.
void catch_up(RtpStreamState& stream, const FlowStats& stats) {
  constexpr uint64_t kPacketsMax = 250;
  const AnalyserTotals copied = totals_of(stream);
  const AnalyserTotals now = stats.analysis.load();
  const uint64_t sent = now.sent - copied.sent, received = now.received - copied.received;
  if (now.ssrc_changes != copied.ssrc_changes || received > sent || sent > kPacketsMax) return;
  const uint64_t first = stream.run_highest + 1 + sent - received;
  for (uint64_t i = 0; i < received; ++i) {
    const RtpFacts facts{stream.ssrc_last, 0, static_cast<uint16_t>(first + i), 0, 0};
    rtp_count_sequence(&stream, &facts);
  }
  if (received == 0) return;
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
  watched->spec = spec;
  watched->serial = ++last_serial_;
  for (KernelShare& share : group.kernel) {
    share.attention = &attention_;
    share.plane = &kernel_;
  }
  slow_path_.install(group, spec);
  by_serial_[watched->serial] = watched.get();
  if (kernel_.available()) schedule(*watched, kFirstLook);
  watched_[&group] = std::move(watched);
}

PlaneTicket Offloader::update(FlowGroup& group, const FlowGroupSpec& spec) {
  Watched& watched = *watched_.at(&group);
  if (stands_on_changed(watched, spec)) {
    for (const LegId leg : kLegs)
      come_back(watched, leg, "signalling or what is attached has changed");
  }
  watched.spec = spec;
  if (kernel_.available()) schedule(watched, kFirstLook);
  return slow_path_.update(group, spec);
}

PlaneTicket Offloader::remove(FlowGroup& group) {
  const auto found = watched_.find(&group);
  for (const LegId leg : kLegs) come_back(*found->second, leg, "deleted");
  by_serial_.erase(found->second->serial);
  watched_.erase(found);
  return slow_path_.remove(group);
}

PlaneTicket Offloader::copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) {
  return slow_path_.copy_stream(group, leg, to);
}

PlaneTicket Offloader::resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) {
  return slow_path_.resume_stream(group, leg, from);
}

FlowPath Offloader::path_of(const FlowGroup& group, LegId leg) const {
  if (!kernel_.available()) return {false, kernel_.status()};
  const auto found = watched_.find(&group);
  if (found == watched_.end()) return {false, "not watched"};
  const OffloadedLeg& offloaded = found->second->legs[index(leg)];
  if (offloaded.state == OffloadedLeg::State::in_kernel) {
    return {true, {}, offloaded.in_kernel_since, offloaded.came_back};
  }
  return {false, offloaded.reason, {}, offloaded.came_back};
}

PlaneCounters Offloader::counters() const {
  PlaneCounters counters = slow_path_.counters();
  counters.forwarded += retired_.forwarded;
  counters.received += retired_.received;
  counters.received_bytes += retired_.received_bytes;
  for (size_t i = 0; i < kDropReasons; ++i) counters.drops[i] += retired_.drops[i];
  if (in_kernel_ == 0) return counters;
  for (const auto& [group, watched] : watched_) {
    for (const KernelShare& share : group->kernel) {
      const KernelFlowStats* live = share.live.load(std::memory_order_relaxed);
      if (live != nullptr) add_to(counters, *live);
    }
  }
  return counters;
}

void Offloader::tick() {
  while (!handbacks_.empty() && slow_path_.settled(handbacks_.front().ticket)) {
    handbacks_.pop_front();
  }
  const uint32_t attention = attention_.load(std::memory_order_acquire);
  if (attention != attention_seen_) {
    attention_seen_ = attention;
    look_where_latches_moved();
  }
  const Instant now = clock_.now();
  while (!looks_.empty() && looks_.top().at <= now) {
    const Look due = looks_.top();
    looks_.pop();
    const auto found = by_serial_.find(due.serial);
    if (found != by_serial_.end() && found->second->next_look == due.at) look(*found->second);
  }
}

// Rare enough to ask all of them.
void Offloader::look_where_latches_moved() {
  for (auto& [group, watched] : watched_) {
    bool moved = false;
    for (KernelShare& share : watched->group->kernel) {
      if (!share.latch_moved.load(std::memory_order_relaxed)) continue;
      moved = share.latch_moved.exchange(false, std::memory_order_acquire) || moved;
    }
    if (moved) look(*watched);
  }
}

void Offloader::look(Watched& watched) {
  const size_t in_kernel_before = in_kernel_;
  bool all_in_kernel = true;
  bool handing_over = false;
  for (const LegId leg : kLegs) {
    look_at_leg(watched, leg);
    const auto state = watched.legs[index(leg)].state;
    all_in_kernel = all_in_kernel && state == OffloadedLeg::State::in_kernel;
    handing_over = handing_over || watched.legs[index(leg)].stream != nullptr;
  }
  if (handing_over) return schedule(watched, Duration(1));
  // A latch that moved just before its flow went down has called for nobody's attention.
  if (in_kernel_ > in_kernel_before) return schedule(watched, kFirstLook);
  if (all_in_kernel) return schedule(watched, kLookWhileOffloaded);
  schedule(watched, std::clamp<Duration>(watched.wait * 3 / 2, kFirstLook, kLookAtMost));
}

void Offloader::look_at_leg(Watched& watched, LegId leg) {
  OffloadedLeg& offloaded = watched.legs[index(leg)];
  // Before the latches are read: what was signalled ahead of the copy has then reached them.
  const bool is_copied =
      offloaded.state == OffloadedLeg::State::handing_over && slow_path_.settled(offloaded.ticket);
  auto wanted = plan(*watched.group, watched.spec, leg);
  if (wanted && clock_.now() < offloaded.not_before) {
    wanted = tl::unexpected<std::string_view>(offloaded.held_off_for);
  }
  if (!wanted) return come_back(watched, leg, wanted.error());
  switch (offloaded.state) {
    case OffloadedLeg::State::slow_path:
      offloaded.stream = std::make_unique<RtpStreamState>();
      offloaded.ticket = slow_path_.copy_stream(*watched.group, leg, *offloaded.stream);
      offloaded.state = OffloadedLeg::State::handing_over;
      offloaded.reason = "on its way into the kernel";
      return;
    case OffloadedLeg::State::handing_over:
      if (is_copied) go_down(watched, leg, *wanted);
      return;
    case OffloadedLeg::State::in_kernel:
      if (offloaded.stream && slow_path_.settled(offloaded.ticket)) recount(watched, leg);
      check_in_kernel(watched, leg, *wanted);
      return;
  }
}

void Offloader::go_down(Watched& watched, LegId leg, const KernelFlowSpec& wanted) {
  OffloadedLeg& offloaded = watched.legs[index(leg)];
  KernelShare& share = watched.group->kernel[index(leg)];
  catch_up(*offloaded.stream, watched.group->stats_of(leg, Component::rtp));
  const auto installed = kernel_.install(wanted, *offloaded.stream);
  if (!installed) {
    offloaded.stream.reset();
    offloaded.state = OffloadedLeg::State::slow_path;
    hold_off(offloaded, kRefused);
    trouble_.warning("flow not offloaded local={} reason={}", wanted.local.to_string(),
                     quoted(installed.error().message));
    return;
  }
  offloaded.state = OffloadedLeg::State::in_kernel;
  offloaded.reason = {};
  offloaded.spec = wanted;
  offloaded.in_kernel_since = clock_.now();
  watched.group->events.add(offloaded.in_kernel_since, SessionEvent::offloaded, leg);
  offloaded.kernel_forwarded = 0;
  offloaded.slow_forwarded = watched.group->stats_of(leg, Component::rtp).forwarded.get();
  offloaded.received_at_copy = totals_of(*offloaded.stream).received;
  offloaded.ticket = slow_path_.copy_stream(*watched.group, leg, *offloaded.stream);
  share.missed = 0;
  share.id = *installed;
  share.live.store(kernel_.stats(*installed), std::memory_order_release);
  ++in_kernel_;
  log_debug("flow offloaded local={} source={} destination={}", wanted.local.to_string(),
            wanted.source.to_string(), wanted.destination.to_string());
}

// Packets between the copy and the installation were analysed by the slow path alone; to the
// kernel's analysis, which goes on from the copy, they look lost.
void Offloader::recount(Watched& watched, LegId leg) {
  OffloadedLeg& offloaded = watched.legs[index(leg)];
  watched.group->kernel[index(leg)].missed =
      totals_of(*offloaded.stream).received - offloaded.received_at_copy;
  offloaded.stream.reset();
}

void Offloader::check_in_kernel(Watched& watched, LegId leg, const KernelFlowSpec& wanted) {
  OffloadedLeg& offloaded = watched.legs[index(leg)];
  if (!makes_progress(watched, leg)) {
    hold_off(offloaded, kNoProgress);
    trouble_.warning("flow taken back, the kernel makes no progress local={}",
                     offloaded.spec.local.to_string());
    return come_back(watched, leg, kNoProgress);
  }
  if (wanted == offloaded.spec) return;
  const auto updated = kernel_.update(watched.group->kernel[index(leg)].id, wanted);
  if (updated) {
    offloaded.spec = wanted;
    return;
  }
  come_back(watched, leg, kRefused);
  trouble_.warning("flow taken back local={} reason={}", wanted.local.to_string(),
                   quoted(updated.error().message));
}

bool Offloader::makes_progress(Watched& watched, LegId leg) {
  OffloadedLeg& offloaded = watched.legs[index(leg)];
  const KernelShare& share = watched.group->kernel[index(leg)];
  const uint64_t slow = watched.group->stats_of(leg, Component::rtp).forwarded.get();
  const uint64_t kernel =
      read_kernel_counter(share.live.load(std::memory_order_relaxed)->forwarded);
  const bool stuck = slow - offloaded.slow_forwarded >= kPacketsWithoutProgress &&
                     kernel == offloaded.kernel_forwarded;
  offloaded.slow_forwarded = slow;
  offloaded.kernel_forwarded = kernel;
  return !stuck;
}

void Offloader::hold_off(OffloadedLeg& offloaded, std::string_view reason) {
  offloaded.reason = offloaded.held_off_for = reason;
  offloaded.not_before = clock_.now() + kHoldOff;
}

void Offloader::come_back(Watched& watched, LegId leg, std::string_view reason) {
  OffloadedLeg& offloaded = watched.legs[index(leg)];
  // A copy under way must not be freed before the slow path has written it.
  if (offloaded.stream) {
    handbacks_.push_back({std::move(offloaded.stream), offloaded.ticket});
  }
  const bool was_in_kernel = offloaded.state == OffloadedLeg::State::in_kernel;
  offloaded.state = OffloadedLeg::State::slow_path;
  offloaded.reason = reason;
  if (!was_in_kernel) return;
  offloaded.came_back = reason;
  watched.group->events.add(clock_.now(), SessionEvent::came_back, leg);
  KernelShare& share = watched.group->kernel[index(leg)];
  const KernelFlowReport report = kernel_.remove(share.id);
  share.last_seen_ns.store(static_cast<int64_t>(report.stats.last_seen_ns),
                           std::memory_order_relaxed);
  share.last_rtp.store(report.stats.last_rtp, std::memory_order_relaxed);
  share.live.store(nullptr, std::memory_order_release);
  add_to(share.before, report.stats);
  add_to(retired_, report.stats);
  --in_kernel_;
  // Nothing passed there, so the slow path's own analysis is the newer one.
  if (report.stats.forwarded == 0) return;
  Handback handback{std::make_unique<RtpStreamState>(with_missed(report.stream, share.missed)), {}};
  handback.ticket = slow_path_.resume_stream(*watched.group, leg, *handback.stream);
  handbacks_.push_back(std::move(handback));
}

void Offloader::schedule(Watched& watched, Duration wait) {
  watched.wait = std::max<Duration>(wait, kFirstLook);
  watched.next_look = clock_.now() + wait;
  looks_.push({watched.next_look, watched.serial});
}

bool Offloader::stands_on_changed(const Watched& watched, const FlowGroupSpec& spec) const {
  if (spec.complete != watched.spec.complete ||
      spec.duplicate_small_packets != watched.spec.duplicate_small_packets) {
    return true;
  }
  return std::any_of(kLegs.begin(), kLegs.end(), [&](LegId id) {
    const LegSpec& before = watched.spec.legs[index(id)];
    const LegSpec& after = spec.legs[index(id)];
    return before.sockets != after.sockets || before.local != after.local ||
           before.signalled != after.signalled || before.policy != after.policy ||
           before.taps != after.taps || before.transform != after.transform ||
           before.source != after.source;
  });
}

}  // namespace relay
