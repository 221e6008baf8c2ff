// The flows of the kernel program: slots, statistics, ways out. Control thread.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "relay/fastpath/bpf_program.h"
#include "relay/fastpath/routes.h"
#include "relay/flow/kernel_plane.h"

namespace relay {

// Which flow a pinned table holds, for whoever takes it over.
struct AdoptedFlow {
  KernelFlowId id;
  KernelFlowSpec spec;
};

// Why the kernel cannot relay such a flow, whatever its state; nothing: it can.
Result<void> check_kernel_flow(const KernelFlowSpec& spec);

class FlowTable {
 public:
  // `program` and `routes` must outlive the table.
  static Result<FlowTable> open(const BpfProgram& program, Routes& routes);
  FlowTable(FlowTable&&) noexcept;
  FlowTable& operator=(FlowTable&&) = delete;
  ~FlowTable();

  // As KernelPlane says.
  Result<KernelFlowId> install(const KernelFlowSpec& spec, const RtpStreamState& stream,
                               Instant now);
  Result<void> update(KernelFlowId id, const KernelFlowSpec& spec);
  KernelFlowReport remove(KernelFlowId id, Instant now);
  KernelFlowReport report(KernelFlowId id) const;
  const KernelFlowStats* stats(KernelFlowId id) const;

  // Asks for each flow's way again.
  void refresh_routes();
  // Takes over what the maps hold already. Entries that make no sense are removed.
  std::vector<AdoptedFlow> adopt();
  size_t size() const { return flows_.size(); }

 private:
  struct Flow {
    KernelFlowSpec spec;
    uint32_t generation = 0;
    Way way, rtcp_way;
  };
  struct FreedSlot {
    uint32_t slot;
    Instant freed;
  };

  FlowTable(const BpfProgram& program, Routes& routes, const KernelFlowStats* mapped);
  Result<uint32_t> take_slot(Instant now);
  Result<void> clear_slot(uint32_t slot, const RtpStreamState& stream);
  Result<void> find_ways(Flow& flow);
  Result<void> write(uint32_t slot, const Flow& flow, uint64_t map_flags);
  const Flow* find(KernelFlowId id) const;

  const BpfProgram* program_;
  Routes* routes_;
  const KernelFlowStats* mapped_;             // one a slot, of the kernel's memory
  std::unordered_map<uint32_t, Flow> flows_;  // by slot
  uint32_t fresh_slot_ = 0;                   // slots from here on were never used
  std::deque<FreedSlot> freed_;               // oldest first
  uint32_t generation_ = 0;
};

}  // namespace relay
