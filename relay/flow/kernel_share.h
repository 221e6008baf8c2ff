// What the kernel does for one flow, as the rest of the relay sees it. The control thread writes;
// the worker reads the atomics, so that a holder whose packets it no longer sees counts as alive.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "relay/flow/kernel_plane.h"

namespace relay {

struct KernelShare {
  // Set while the kernel relays the flow.
  std::atomic<const KernelFlowStats*> live{nullptr};
  // Of the time before `live`: the last packet relayed and its SSRC and sequence number.
  std::atomic<int64_t> last_seen_ns{0};
  std::atomic<uint64_t> last_rtp{0};
  // The worker has relayed kPassedByMax packets in a row that the kernel should have.
  std::atomic<bool> passed_by{false};

  // The worker's: packets in a row, and what the kernel had relayed when the first of them came.
  uint32_t passed_packets = 0;
  const KernelFlowStats* passed_flow = nullptr;
  uint64_t passed_forwarded = 0;

  // Control thread only.
  KernelFlowId id;
  // Sums over earlier installs; null: there were none, as with most calls until they end.
  std::unique_ptr<KernelFlowStats> before;
  // Packets of the stream that the slow path analysed while it was going down.
  uint64_t missed = 0;
};

// So many packets past the kernel with none through it are no coincidence, at whatever rate.
inline constexpr uint32_t kPassedByMax = 25;

// SSRC and sequence number as KernelFlowStats::last_rtp has them.
inline uint32_t ssrc_of_last_rtp(uint64_t last_rtp) {
  return static_cast<uint32_t>(last_rtp >> 32);
}
inline uint16_t sequence_of_last_rtp(uint64_t last_rtp) {
  return static_cast<uint16_t>(last_rtp);
}

// The analysis with those packets in; they belong to the run that was open when it went down.
RtpStreamState with_missed(RtpStreamState state, uint64_t missed);

}  // namespace relay
