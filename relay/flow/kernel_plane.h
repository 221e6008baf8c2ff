// The kernel as a plane: relays single flows whose source and destination are settled, below the
// sockets. Everything that needs a decision it leaves to the slow path ("punts"). Control thread,
// but for what the statistics' comment says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/flow/flow.h"
#include "relay/flow/kernel_stats.h"
#include "relay/rtp/sequence_core.h"

namespace relay {

struct KernelFlowSpec {
  Component component = Component::rtp;
  Endpoint local;        // where the packets arrive; a concrete address
  Endpoint source;       // the only endpoint they are relayed from
  Endpoint egress;       // our endpoint they leave from
  Endpoint destination;  // all four of one address family
  // Where RTCP that comes to an RTP port goes. Nothing: it is punted. On an RTCP flow: not used.
  struct RtcpExit {
    Endpoint egress, destination;
    friend bool operator==(const RtcpExit&, const RtcpExit&) = default;
  };
  std::optional<RtcpExit> rtcp;
  int tos = -1;                  // of what leaves; -1: as it came
  bool tee_to_socket = false;    // relayed, and the socket receives it too (KernelPlane::tee_mark)
  std::optional<uint32_t> ssrc;  // RTP of another SSRC is punted; nothing: any SSRC is relayed

  friend bool operator==(const KernelFlowSpec&, const KernelFlowSpec&) = default;
};

// Of one install; never used twice. The default is no flow.
struct KernelFlowId {
  uint32_t slot = 0;
  uint32_t generation = 0;
  bool valid() const { return generation != 0; }
  friend bool operator==(const KernelFlowId&, const KernelFlowId&) = default;
};

// What a flow has seen: all zero for a flow that is not installed.
struct KernelFlowReport {
  KernelFlowStats stats{};
  RtpStreamState stream{};  // as RtpAnalyser keeps it
};

inline constexpr Duration kKernelWatch = std::chrono::seconds(5);

class KernelPlane {
 public:
  virtual ~KernelPlane() = default;

  virtual bool available() const = 0;
  // "fast path: active on eth0 (tcx), lo (tcx)", or why it is off and what would help.
  virtual const std::string& status() const = 0;

  // From here on the kernel relays the flow. `stream` is what the slow path's analyser knows. The
  // error says why this flow cannot be relayed in the kernel; the slow path goes on with it.
  virtual Result<KernelFlowId> install(const KernelFlowSpec& spec,
                                       const RtpStreamState& stream) = 0;
  // Changes all but `local`, without a packet seeing half of it. After an error the flow is as
  // before.
  virtual Result<void> update(KernelFlowId id, const KernelFlowSpec& spec) = 0;
  // Gives the flow back to the socket. A packet being relayed right now may be missing in the
  // report.
  virtual KernelFlowReport remove(KernelFlowId id) = 0;
  virtual KernelFlowReport report(KernelFlowId id) const = 0;

  // Live counters, readable by any thread until remove(); nullptr for an unknown id. Read them
  // with read_kernel_counter(). For 1 s after remove() they stay readable and unchanged.
  virtual const KernelFlowStats* stats(KernelFlowId id) const = 0;
  // The socket mark (SO_RCVMARK, Linux ≥ 5.19) of copies of packets the kernel has relayed. A
  // packet without it was punted and is the slow path's to relay.
  virtual uint32_t tee_mark() const = 0;

  // Readable when links, addresses or routes have changed; -1 while not available. Then
  // on_network_change() finds new ways for the flows and attaches to new interfaces: at once, but
  // at most once a second; what comes in between is for keep_alive().
  virtual int network_descriptor() const = 0;
  virtual void on_network_change() = 0;
  // To be called once a second. When it is not for kKernelWatch, a pinned fast path no longer
  // relies on this process to know the routes and looks up its own, for a little more time a
  // packet; one that is not pinned relays no more.
  virtual void keep_alive() = 0;
};

inline uint64_t read_kernel_counter(const __u64& counter) {
  return __atomic_load_n(&counter, __ATOMIC_RELAXED);
}
// When the kernel last relayed a packet of the flow; nothing: never.
inline std::optional<Instant> last_relayed(const KernelFlowStats& stats) {
  const uint64_t ns = read_kernel_counter(stats.last_seen_ns);
  if (ns == 0) return std::nullopt;
  return from_ns(static_cast<int64_t>(ns));
}

}  // namespace relay
