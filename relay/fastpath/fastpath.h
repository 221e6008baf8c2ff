// The fast path as a whole: loaded, attached, pinned, tested. Control thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "relay/flow/kernel_plane.h"

namespace relay {

enum class FastpathMode : uint8_t {
  automatic,  // use it where it can be had; status() says why not
  require,    // not having it is an error
  off,
};

struct FastpathOptions {
  FastpathMode mode = FastpathMode::automatic;
  std::vector<IpAddress> listen;        // media addresses; their interfaces are attached to
  std::vector<std::string> interfaces;  // further ones, by name
  uint32_t flows_max = 16384;           // four a call; about 1 KiB of kernel memory each
  // Pinned under BPFFS/INSTANCE: the kernel goes on relaying when this process dies, and the next
  // one takes over.
  bool pin = true;
  std::string bpffs = "/sys/fs/bpf";
  std::string instance = "rtpp-relay";
  // What a predecessor left: keep its flows relaying (adopted_flows() lists them) or end them.
  bool keep_flows = false;
  // A flow's refused sources reach the slow path at most this often, after a burst of 20.
  Duration punt_interval = std::chrono::milliseconds(10);
  bool allow_tcx = true;  // false: clsact even where the kernel has tcx
};

struct PinnedFlow {
  KernelFlowId id;
  KernelFlowSpec spec;
};

class Fastpath : public KernelPlane {
 public:
  // An error only in mode `require`; otherwise the plane may be unavailable and says why.
  static Result<std::unique_ptr<Fastpath>> open(const FastpathOptions& options);

  // Of the predecessor, with keep_flows; each is to be adopted or removed by its id.
  virtual const std::vector<PinnedFlow>& adopted_flows() const = 0;
  // Detaches, unpins, forgets all flows. Without it a pinned fast path goes on by itself.
  virtual void shut_down() = 0;
};

// The plane of a relay that has none.
std::unique_ptr<Fastpath> no_fastpath(std::string status);

}  // namespace relay
