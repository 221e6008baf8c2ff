// What user space and the kernel program agree on; plain C for both. A change of any layout here
// needs a new kFastpathLayout: pinned maps of another layout are never read as this one.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include "relay/flow/kernel_stats.h"
#include "relay/rtp/sequence_core.h"

static const __u64 kFastpathMagic = 0x52656C6179427066ULL;
static const __u32 kFastpathLayout = 2;

enum { kFastpathIpv4 = 4, kFastpathIpv6 = 6 };

enum {
  kFlowTee = 1,          // the original also goes to the socket
  kFlowForwardRtcp = 2,  // RTCP on an RTP port leaves through `rtcp_*`; else it is punted
  kFlowPuntNewSsrc = 4,  // RTP of another SSRC than `ssrc` is punted
  kFlowSetTos = 8,       // else the packet keeps its own
  kFlowIsRtcp = 16,      // the flow of an RTCP port: RTP is odd there
};

// Addresses in network order, IPv4 in the first word; ports in network order.
struct FastpathAddress {
  __u32 words[4];
};

// The way out. `hop_family` 0: the kernel finds the next hop; else AF_INET or AF_INET6.
struct FastpathWay {
  __u32 ifindex;  // 0: no way
  __u32 hop_family;
  struct FastpathAddress hop;
};

// Where a packet arrives.
struct FastpathKey {
  struct FastpathAddress address;
  __u16 port;
  __u8 family;
  __u8 reserved;
};

struct FastpathFlow {
  struct FastpathAddress source, egress, destination, rtcp_destination;
  __u16 source_port, egress_port, destination_port;
  __u16 rtcp_egress_port, rtcp_destination_port;
  __u8 flags, tos;
  __u32 slot;        // of `stats` and `streams`
  __u32 generation;  // of the slot
  __u32 ssrc;
  struct FastpathWay way, rtcp_way;
};

struct FastpathStream {
  struct bpf_spin_lock lock;
  __u32 reserved;
  struct RtpStreamState state;
};

// One for all flows.
struct FastpathConfig {
  __u64 magic;
  __u32 layout;
  __u32 tee_mark;          // skb mark of the copies that go up to sockets
  __u64 punt_interval_ns;  // a flow's refused sources are punted once in this long…
  __u64 punt_burst_ns;     // … after a burst of punt_burst_ns / punt_interval_ns
  // Until then user space watches the routes and the flows' next hops are right; after that the
  // kernel looks up its own.
  __u64 hops_until_ns;
  // Set where nothing is pinned: after hops_until_ns nothing is relayed, for whoever would end the
  // flows is dead, and a clsact filter outlives its process.
  __u32 needs_owner;
  __u32 reserved;
};
