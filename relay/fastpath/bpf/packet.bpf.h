// Reading a packet: where its headers are, whose it is, what it is.
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "relay/fastpath/abi.h"

typedef _Bool bool;
enum { false, true };

#define inlined static __always_inline

enum PacketKind { packet_rtp, packet_rtcp, packet_other };

struct Packet {
  struct FastpathKey local;
  struct FastpathAddress source;
  __u16 source_port;
  bool shape_ok;  // one datagram whose lengths agree
  __u32 udp_offset;
  __u32 payload_bytes;
  __u8 head[12];  // of the payload
};

inlined void read_udp(struct Packet* packet, const struct udphdr* udp, __u32 offset,
                      __u32 ip_payload_bytes) {
  const __u32 udp_bytes = bpf_ntohs(udp->len);
  packet->udp_offset = offset;
  packet->source_port = udp->source;
  packet->local.port = udp->dest;
  packet->shape_ok = udp_bytes >= sizeof(*udp) && udp_bytes == ip_payload_bytes;
  packet->payload_bytes = packet->shape_ok ? udp_bytes - (__u32)sizeof(*udp) : 0;
}

inlined bool read_ipv4(struct __sk_buff* skb, struct Packet* packet) {
  const __u32 headers = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr);
  if ((void*)(long)skb->data + headers > (void*)(long)skb->data_end &&
      bpf_skb_pull_data(skb, headers) != 0) {
    return false;
  }
  void* data = (void*)(long)skb->data;
  void* end = (void*)(long)skb->data_end;
  const struct iphdr* ip = data + ETH_HLEN;
  const struct udphdr* udp = (void*)(ip + 1);
  if ((void*)(udp + 1) > end) return false;
  if (*(const __u8*)ip != 0x45 || ip->protocol != IPPROTO_UDP) return false;
  if ((ip->frag_off & bpf_htons(0x3FFF)) != 0) return false;  // a fragment
  packet->local.family = kFastpathIpv4;
  packet->local.address.words[0] = ip->daddr;
  packet->source.words[0] = ip->saddr;
  const __u32 total_bytes = bpf_ntohs(ip->tot_len);
  read_udp(packet, udp, ETH_HLEN + sizeof(*ip), total_bytes - (__u32)sizeof(*ip));
  if (ETH_HLEN + total_bytes > skb->len) packet->shape_ok = false;
  return true;
}

inlined bool read_ipv6(struct __sk_buff* skb, struct Packet* packet) {
  const __u32 headers = ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(struct udphdr);
  if ((void*)(long)skb->data + headers > (void*)(long)skb->data_end &&
      bpf_skb_pull_data(skb, headers) != 0) {
    return false;
  }
  void* data = (void*)(long)skb->data;
  void* end = (void*)(long)skb->data_end;
  const struct ipv6hdr* ip = data + ETH_HLEN;
  const struct udphdr* udp = (void*)(ip + 1);
  if ((void*)(udp + 1) > end) return false;
  if (ip->version != 6 || ip->nexthdr != IPPROTO_UDP) return false;
  packet->local.family = kFastpathIpv6;
  __builtin_memcpy(&packet->local.address, &ip->daddr, sizeof(packet->local.address));
  __builtin_memcpy(&packet->source, &ip->saddr, sizeof(packet->source));
  const __u32 payload_bytes = bpf_ntohs(ip->payload_len);
  read_udp(packet, udp, ETH_HLEN + sizeof(*ip), payload_bytes);
  if (ETH_HLEN + sizeof(*ip) + payload_bytes > skb->len) packet->shape_ok = false;
  if (udp->check == 0) packet->shape_ok = false;  // RFC 8200 §8.1
  return true;
}

// False: nothing that could belong to a flow; the stack takes it as if we were not there. Tagged
// frames are for the program on the VLAN's own interface, which sees them without their tag.
inlined bool read_packet(struct __sk_buff* skb, struct Packet* packet) {
  if (skb->pkt_type != PACKET_HOST || skb->vlan_present) return false;
  bool found = false;
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    found = read_ipv4(skb, packet);
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    found = read_ipv6(skb, packet);
  }
  if (skb->gso_size != 0) packet->shape_ok = false;
  return found;
}

inlined bool same_address(const struct FastpathAddress* a, const struct FastpathAddress* b) {
  return a->words[0] == b->words[0] && a->words[1] == b->words[1] && a->words[2] == b->words[2] &&
         a->words[3] == b->words[3];
}

// relay/rtp/demux.cc in C, without telling STUN from DTLS: both are for the socket.
inlined enum PacketKind demux(struct __sk_buff* skb, struct Packet* packet) {
  const __u32 payload = packet->udp_offset + sizeof(struct udphdr);
  const __u32 bytes = packet->payload_bytes;
  if (bytes < 8) return packet_other;
  if (bytes >= sizeof(packet->head)) {
    if (bpf_skb_load_bytes(skb, payload, packet->head, sizeof(packet->head))) return packet_other;
  } else if (bpf_skb_load_bytes(skb, payload, packet->head, 8)) {
    return packet_other;
  }
  const __u8* head = packet->head;
  if ((head[0] & 0xC0) != 0x80) return packet_other;
  if (head[1] >= 192 && head[1] <= 223) {
    const __u32 first_bytes = (((__u32)head[2] << 8 | head[3]) + 1) * 4;
    return first_bytes <= bytes ? packet_rtcp : packet_other;
  }
  return bytes >= 12 + (head[0] & 0x0FU) * 4 ? packet_rtp : packet_other;
}

// RtpView::parse() in C: whether CSRCs, extension and padding fit. Few packets have any of them.
inlined bool rtp_header_adds_up(struct __sk_buff* skb, const struct Packet* packet) {
  const __u32 payload = packet->udp_offset + sizeof(struct udphdr);
  const __u8 first = packet->head[0];
  __u32 header_bytes = 12 + (first & 0x0FU) * 4;
  if ((first & 0x10) != 0) {
    __u8 extension[4];
    if (packet->payload_bytes < header_bytes + sizeof(extension)) return false;
    if (bpf_skb_load_bytes(skb, payload + header_bytes, extension, sizeof(extension))) return false;
    header_bytes += 4 + ((__u32)extension[2] << 8 | extension[3]) * 4;
    if (packet->payload_bytes < header_bytes) return false;
  }
  if ((first & 0x20) != 0) {
    __u8 padding_bytes;
    if (bpf_skb_load_bytes(skb, payload + packet->payload_bytes - 1, &padding_bytes, 1)) {
      return false;
    }
    return padding_bytes != 0 && padding_bytes <= packet->payload_bytes - header_bytes;
  }
  return true;
}

inlined void read_facts(const struct Packet* packet, struct RtpFacts* facts) {
  const __u8* head = packet->head;
  facts->marker = head[1] >> 7;
  facts->payload_type = head[1] & 0x7F;
  facts->sequence = (__u16)(head[2] << 8 | head[3]);
  facts->timestamp = (__u32)head[4] << 24 | (__u32)head[5] << 16 | (__u32)head[6] << 8 | head[7];
  facts->ssrc = (__u32)head[8] << 24 | (__u32)head[9] << 16 | (__u32)head[10] << 8 | head[11];
}
