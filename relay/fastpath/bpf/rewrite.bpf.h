// Changing a packet: addresses, ports, TOS, TTL and the checksums over them. The UDP checksum goes
// through the kernel's helpers, which alone know whether the device has yet to fill it in
// (CHECKSUM_PARTIAL); a UDP checksum of zero, "none" in IPv4, stays zero.
#pragma once

#include "relay/fastpath/bpf/packet.bpf.h"

// Linux 6.16: keeps CHECKSUM_COMPLETE right for IPv6; refused as unknown before.
#define RELAY_F_IPV6 (1ULL << 7)

enum { kOurTtl = 64, kLoopbackIfindex = 1 };

// Where a packet leaves to. TTL 64, as from a socket; one less than it had if it comes from this
// host, so that a ring of calls to our own ports comes to an end.
struct Exit {
  const struct FastpathAddress *egress, *destination;
  __u16 egress_port, destination_port;
  const struct FastpathWay* way;
  bool set_tos;
  __u8 tos;
};

inlined __u8 next_ttl(const struct __sk_buff* skb, __u8 ttl) {
  return skb->ifindex == kLoopbackIfindex ? (__u8)(ttl - 1) : kOurTtl;
}

inlined __u16 fold(__u64 sum) {
  sum = (sum & 0xFFFF) + (sum >> 16 & 0xFFFF) + (sum >> 32 & 0xFFFF);
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  return (__u16)sum;
}

inlined __u32 ports(__u16 source, __u16 destination) {
  union {
    __u16 halves[2];
    __u32 whole;
  } both = {.halves = {source, destination}};
  return both.whole;
}

inlined bool fix_ports(struct __sk_buff* skb, const struct Packet* packet,
                       const struct Exit* exit) {
  return bpf_l4_csum_replace(skb, packet->udp_offset + offsetof(struct udphdr, check),
                             ports(packet->source_port, packet->local.port),
                             ports(exit->egress_port, exit->destination_port),
                             BPF_F_MARK_MANGLED_0 | sizeof(__u32)) == 0;
}

inlined bool rewrite_ipv4(struct __sk_buff* skb, const struct Packet* packet,
                          const struct Exit* exit) {
  __u32 old_addresses[2] = {packet->source.words[0], packet->local.address.words[0]};
  __u32 new_addresses[2] = {exit->egress->words[0], exit->destination->words[0]};
  const __s64 moved =
      bpf_csum_diff(old_addresses, sizeof(old_addresses), new_addresses, sizeof(new_addresses), 0);
  const __u32 check = packet->udp_offset + offsetof(struct udphdr, check);
  if (bpf_l4_csum_replace(skb, check, 0, (__u64)moved, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0) !=
          0 ||
      !fix_ports(skb, packet, exit)) {
    return false;
  }
  void* data = (void*)(long)skb->data;
  struct iphdr* ip = data + ETH_HLEN;
  struct udphdr* udp = (void*)(ip + 1);
  if ((void*)(udp + 1) > (void*)(long)skb->data_end) return false;
  const __u8 tos = exit->set_tos ? exit->tos : ip->tos;
  const __u8 ttl = next_ttl(skb, ip->ttl);
  // Sums are taken in network order; the first byte of a 16-bit word weighs 256 there.
  __u64 sum = (__u16)~ip->check;
  sum += (__u64)(__u32)moved;
  sum += (__u16)~bpf_htons(ip->tos) + (__u64)bpf_htons(tos);
  sum += (__u16)~bpf_htons((__u16)(ip->ttl << 8)) + (__u64)bpf_htons((__u16)(ttl << 8));
  ip->check = (__u16)~fold(sum);
  ip->tos = tos;
  ip->ttl = ttl;
  ip->saddr = new_addresses[0];
  ip->daddr = new_addresses[1];
  udp->source = exit->egress_port;
  udp->dest = exit->destination_port;
  return true;
}

inlined bool rewrite_ipv6(struct __sk_buff* skb, const struct Packet* packet,
                          const struct Exit* exit) {
  struct FastpathAddress old_addresses[2] = {packet->source, packet->local.address};
  struct FastpathAddress new_addresses[2] = {*exit->egress, *exit->destination};
  const __u64 moved = (__u64)bpf_csum_diff((__be32*)old_addresses, sizeof(old_addresses),
                                           (__be32*)new_addresses, sizeof(new_addresses), 0);
  const __u32 check = packet->udp_offset + offsetof(struct udphdr, check);
  const __u64 flags = BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0;
  if (bpf_l4_csum_replace(skb, check, 0, moved, flags | RELAY_F_IPV6) != 0 &&
      bpf_l4_csum_replace(skb, check, 0, moved, flags) != 0) {
    return false;
  }
  if (!fix_ports(skb, packet, exit)) return false;
  void* data = (void*)(long)skb->data;
  struct ipv6hdr* ip = data + ETH_HLEN;
  struct udphdr* udp = (void*)(ip + 1);
  if ((void*)(udp + 1) > (void*)(long)skb->data_end) return false;
  if (exit->set_tos) {
    ip->priority = exit->tos >> 4;
    ip->flow_lbl[0] = (__u8)((ip->flow_lbl[0] & 0x0F) | (exit->tos << 4));
  }
  ip->hop_limit = next_ttl(skb, ip->hop_limit);
  __builtin_memcpy(&ip->saddr, &new_addresses[0], sizeof(ip->saddr));
  __builtin_memcpy(&ip->daddr, &new_addresses[1], sizeof(ip->daddr));
  udp->source = exit->egress_port;
  udp->dest = exit->destination_port;
  return true;
}

inlined __u8 ttl_of(const struct __sk_buff* skb, const struct Packet* packet) {
  __u8 ttl = 0;
  const __u32 offset =
      ETH_HLEN + (packet->local.family == kFastpathIpv4 ? offsetof(struct iphdr, ttl)
                                                        : offsetof(struct ipv6hdr, hop_limit));
  return bpf_skb_load_bytes(skb, offset, &ttl, 1) == 0 ? ttl : 0;
}
