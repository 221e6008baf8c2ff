// The fast path: relays packets of established flows at tc ingress, before the IP stack. The way of
// a packet: read_packet → flow by local endpoint → judge() → forward(), drop, or up the stack as if
// we were not there ("punt"). finish() is the one exit that counts. What is odd is punted: the slow
// path decides everything that needs deciding.
#include "relay/fastpath/bpf/rewrite.bpf.h"

// Verdicts of tc; "next" continues with whoever else is attached, then the stack.
enum { kNext = -1, kDrop = 2 };

// Sizes are set by the loader.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct FastpathKey);
  __type(value, struct FastpathFlow);
} relay_flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct KernelFlowStats);
} relay_stats SEC(".maps");

// Apart from the statistics: what is mapped into a process cannot have a lock.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct FastpathStream);
} relay_streams SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct FastpathConfig);
} relay_config SEC(".maps");

struct Verdict {
  enum { verdict_forward, verdict_punt, verdict_drop } kind;
  __u32 reason;  // enum KernelPunt or KernelDrop
};

#define PUNT(why) ((struct Verdict){verdict_punt, kernel_punt_##why})
#define DROP(why) ((struct Verdict){verdict_drop, kernel_drop_##why})
#define FORWARD ((struct Verdict){verdict_forward, 0})

// Two CPUs may see one flow: a refused source, or a sender that moves. x86 adds in one locked
// instruction, and the flow's line is already here.
inlined void add(__u64* counter, __u64 n) {
  __sync_fetch_and_add(counter, n);
}

// A token bucket as one time stamp. A race of two CPUs lets one more through.
inlined bool may_punt_refused(struct KernelFlowStats* stats, const struct FastpathConfig* config,
                              __u64 now_ns) {
  __u64 next_ns = stats->refused_next_ns;
  if (next_ns > now_ns + config->punt_burst_ns) return false;
  if (next_ns < now_ns) next_ns = now_ns;
  stats->refused_next_ns = next_ns + config->punt_interval_ns;
  return true;
}

inlined bool from_flow_source(const struct Packet* packet, const struct FastpathFlow* flow) {
  return packet->source_port == flow->source_port && same_address(&packet->source, &flow->source);
}

// Who sent it and what it is; not yet whether it can leave.
inlined struct Verdict judge(struct __sk_buff* skb, struct Packet* packet,
                             const struct FastpathFlow* flow, struct KernelFlowStats* stats,
                             const struct FastpathConfig* config, __u64 now_ns,
                             enum PacketKind* kind) {
  if (!from_flow_source(packet, flow)) {
    return may_punt_refused(stats, config, now_ns) ? PUNT(other_source) : DROP(source_refused);
  }
  if (!packet->shape_ok) return PUNT(odd_shape);
  *kind = demux(skb, packet);
  if (*kind == packet_other) return PUNT(not_rtp);
  if (flow->flags & kFlowIsRtcp) return *kind == packet_rtcp ? FORWARD : PUNT(not_rtp);
  if (*kind == packet_rtcp) return flow->flags & kFlowForwardRtcp ? FORWARD : PUNT(rtcp);
  struct RtpFacts facts;
  read_facts(packet, &facts);
  if ((flow->flags & kFlowPuntNewSsrc) && facts.ssrc != flow->ssrc) return PUNT(new_ssrc);
  return FORWARD;
}

inlined struct Exit exit_of(const struct FastpathFlow* flow, enum PacketKind kind) {
  const bool apart = kind == packet_rtcp && !(flow->flags & kFlowIsRtcp);
  struct Exit exit = {
      .egress = &flow->egress,
      .destination = apart ? &flow->rtcp_destination : &flow->destination,
      .egress_port = apart ? flow->rtcp_egress_port : flow->egress_port,
      .destination_port = apart ? flow->rtcp_destination_port : flow->destination_port,
      .way = apart ? &flow->rtcp_way : &flow->way,
      .set_tos = (flow->flags & kFlowSetTos) != 0,
      .tos = flow->tos,
  };
  return exit;
}

inlined struct Verdict can_leave(struct __sk_buff* skb, const struct Packet* packet,
                                 const struct FastpathFlow* flow, const struct Exit* exit) {
  __u32 mtu = 0;
  if (exit->way->ifindex == 0) return PUNT(no_route);
  const long error = bpf_check_mtu(skb, exit->way->ifindex, &mtu, 0, 0);
  if (error < 0) return PUNT(no_route);
  if (error > 0) return PUNT(too_big);
  if (skb->ifindex != kLoopbackIfindex) return FORWARD;
  if (ttl_of(skb, packet) <= 1) return DROP(loop);
  // A copy that enters lo once more has lost its route and would be a martian there.
  return flow->flags & kFlowTee ? PUNT(local_tee) : FORWARD;
}

// With many calls nothing of a flow is in cache, and a locked instruction waits for all loads
// before it. So what will be needed is asked for at once, as early as its address is known: 60 ns
// of 830 with 4000 flows in turn (bench/fastpath_bench).
inlined void touch(const void* line) {
  __u8 unused;
  asm volatile("%[unused] = *(u8*)(%[line] + 0)" : [unused] "=r"(unused) : [line] "r"(line));
}

inlined void touch_stream(const struct FastpathStream* stream) {
  touch(&stream->state.run_highest);
  touch(&stream->state.jitter_samples);
  touch(&stream->state.jitter[1]);  // the first SSRC's
  touch(&stream->state.jitter[1].used);
}

inlined void analyse(struct __sk_buff* skb, const struct Packet* packet,
                     struct FastpathStream* stream, __u64 now_ns) {
  struct RtpFacts facts;
  read_facts(packet, &facts);
  const bool adds_up = rtp_header_adds_up(skb, packet);
  bpf_spin_lock(&stream->lock);
  if (adds_up) {
    rtp_stream_packet(&stream->state, &facts, now_ns);
  } else {
    ++stream->state.parse_errors;
  }
  bpf_spin_unlock(&stream->lock);
}

// The copy enters this interface once more, known by its mark, and goes up to the socket; the
// original is then free to be changed. (A clone sent out would keep the old link-layer header.)
inlined void tee(struct __sk_buff* skb, const struct FastpathConfig* config,
                 struct KernelFlowStats* stats) {
  skb->mark = config->tee_mark;
  const long error = bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
  add(error == 0 ? &stats->teed : &stats->tee_failed, 1);
}

// With the next hop at hand the kernel saves its route lookup: 240 ns of a packet's 1170.
inlined int redirect(const struct FastpathWay* way, const struct FastpathConfig* config,
                     __u64 now_ns) {
  if (way->hop_family == 0 || now_ns >= config->hops_until_ns) {
    return (int)bpf_redirect_neigh(way->ifindex, 0, 0, 0);
  }
  struct bpf_redir_neigh hop = {.nh_family = way->hop_family};
  __builtin_memcpy(hop.ipv6_nh, &way->hop, sizeof(hop.ipv6_nh));
  return (int)bpf_redirect_neigh(way->ifindex, &hop, sizeof(hop), 0);
}

inlined int forward(struct __sk_buff* skb, const struct Packet* packet, const struct Exit* exit,
                    const struct FastpathConfig* config, __u64 now_ns) {
  const bool rewritten = packet->local.family == kFastpathIpv4 ? rewrite_ipv4(skb, packet, exit)
                                                               : rewrite_ipv6(skb, packet, exit);
  if (!rewritten) return kDrop;
  // What the way in has left on the packet is not for the way out: policy routing by mark, a
  // queue of another device, fq's departure time.
  skb->mark = 0;
  asm volatile("" ::: "memory");  // two 32-bit stores: the verifier takes no wider one here
  skb->queue_mapping = 0;
  skb->tstamp = 0;
  return redirect(exit->way, config, now_ns);
}

inlined void count_forwarded(struct KernelFlowStats* stats, const struct Packet* packet,
                             enum PacketKind kind, __u64 now_ns) {
  if (stats->first_seen_ns == 0) stats->first_seen_ns = now_ns;
  stats->last_seen_ns = now_ns;
  add(&stats->forwarded, 1);
  add(&stats->forwarded_bytes, packet->payload_bytes);
  if (kind == packet_rtcp) {
    add(&stats->rtcp_forwarded, 1);
    return;
  }
  struct RtpFacts facts;
  read_facts(packet, &facts);
  stats->last_rtp = (__u64)facts.ssrc << 32 | facts.sequence;
}

inlined int finish(struct Verdict verdict, struct KernelFlowStats* stats,
                   const struct Packet* packet, enum PacketKind kind, __u64 now_ns,
                   int tc_forward) {
  add(&stats->received, 1);
  add(&stats->received_bytes, packet->payload_bytes);
  if (verdict.kind == verdict_forward) {
    count_forwarded(stats, packet, kind, now_ns);
    return tc_forward;
  }
  if (verdict.kind == verdict_punt) {
    if (verdict.reason < kKernelPuntSlots) add(&stats->punts[verdict.reason], 1);
    return kNext;
  }
  if (verdict.reason < kKernelDropSlots) add(&stats->drops[verdict.reason], 1);
  return kDrop;
}

SEC("tc")
int rtpp_relay(struct __sk_buff* skb) {
  const __u32 only = 0;
  const struct FastpathConfig* config = bpf_map_lookup_elem(&relay_config, &only);
  if (!config || (skb->mark != 0 && skb->mark == config->tee_mark)) return kNext;
  struct Packet packet = {};
  if (!read_packet(skb, &packet)) return kNext;
  const struct FastpathFlow* flow = bpf_map_lookup_elem(&relay_flows, &packet.local);
  if (!flow) return kNext;
  struct KernelFlowStats* stats = bpf_map_lookup_elem(&relay_stats, &flow->slot);
  struct FastpathStream* stream = bpf_map_lookup_elem(&relay_streams, &flow->slot);
  if (!stats || !stream) return kNext;
  touch(&stats->received);
  touch(&flow->way);
  touch_stream(stream);

  const __u64 now_ns = bpf_ktime_get_ns();
  if (config->needs_owner && now_ns >= config->hops_until_ns) return kNext;
  enum PacketKind kind = packet_other;
  int tc_forward = kDrop;
  struct Verdict verdict = judge(skb, &packet, flow, stats, config, now_ns, &kind);
  if (verdict.kind == verdict_forward) {
    const struct Exit exit = exit_of(flow, kind);
    verdict = can_leave(skb, &packet, flow, &exit);
    if (verdict.kind == verdict_forward) {
      if (kind == packet_rtp) analyse(skb, &packet, stream, now_ns);
      if (flow->flags & kFlowTee) tee(skb, config, stats);
      tc_forward = forward(skb, &packet, &exit, config, now_ns);
      if (tc_forward == kDrop) verdict = DROP(send_failed);
    }
  }
  return finish(verdict, stats, &packet, kind, now_ns, tc_forward);
}

char relay_license[] SEC("license") = "Dual BSD/GPL";
