// What the kernel program counts for one flow: plain C in memory shared with the kernel. The
// program writes, this process only reads (read_kernel_counter() in kernel_plane.h).
#pragma once

#include <linux/types.h>

enum KernelDrop {
#define DROP_REASON(name, help) kernel_drop_##name,
#include "relay/flow/drop_reason.def"
#undef DROP_REASON
  kKernelDrops,
};

enum KernelPunt {
#define PUNT_REASON(name, help) kernel_punt_##name,
#include "relay/flow/punt_reason.def"
#undef PUNT_REASON
  kKernelPunts,
};

enum {
  kKernelDropSlots = 16,  // room to append rows without a new layout
  kKernelPuntSlots = 12,
};

// received = forwarded + Σ drops + Σ punts. Bytes are UDP payload. Times are CLOCK_MONOTONIC.
struct KernelFlowStats {
  // All that a relayed packet of RTP touches, in one cache line: with many calls none is in cache.
  __u64 first_seen_ns, last_seen_ns;  // forwarded packets; 0: none
  __u64 received, received_bytes;
  __u64 forwarded, forwarded_bytes;
  __u64 last_rtp;  // of the RTP forwarded last: SSRC << 32 | sequence number
  __u64 teed;      // of the forwarded ones

  __u64 tee_failed, rtcp_forwarded;  // of the forwarded ones
  __u64 drops[kKernelDropSlots];
  __u64 punts[kKernelPuntSlots];
  __u64 refused_next_ns;  // when a refused source may be punted again, as a token bucket keeps it
  __u64 reserved;
};
