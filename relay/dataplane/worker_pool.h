// The slow path: a ForwardingPlane over worker threads. All flows of a group belong to one worker,
// so a call's packets keep their order and need no lock.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "relay/base/result.h"
#include "relay/dataplane/worker.h"
#include "relay/dataplane/worker_choice.h"
#include "relay/flow/forwarding_plane.h"

namespace relay {

class WorkerPool final : public ForwardingPlane {
 public:
  // `threads` 0: one a CPU this process may run on. `share_of_group`: as in choose_worker(); from
  // kFullWorker on, groups are dealt out evenly.
  static Result<std::unique_ptr<WorkerPool>> start(unsigned threads,
                                                   double share_of_group = kShareOfGroup);
  // How many threads start() makes of that.
  static unsigned threads_for(unsigned threads);
  // Stops the threads; groups still installed stop being relayed.
  ~WorkerPool() override;

  // Of all workers; as of one.
  Result<void> set_realtime_priority(int priority);
  // The mark of copies of what the kernel has relayed (KernelPlane::tee_mark). Before the first
  // install.
  void recognise_copies(uint32_t tee_mark);

  void install(FlowGroup& group, const FlowGroupSpec& spec) override;
  PlaneTicket update(FlowGroup& group, const FlowGroupSpec& spec) override;
  PlaneTicket remove(FlowGroup& group) override;
  bool settled(const PlaneTicket& ticket) const override;
  void cork() override;
  void uncork() override;
  bool spare_descriptors() override;
  PlaneTicket copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) override;
  PlaneTicket resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) override;
  FlowPath path_of(const FlowGroup&, LegId, Component) const override {
    return {false, "no fast path"};
  }
  std::unique_ptr<Tap> fork_into(FlowGroup& target, const FlowGroupSpec& spec, LegId leg) override;
  PlaneCounters counters() const override;

  // Joins the threads. Calls of the control thread still work, and settle at once.
  void stop();
  size_t threads() const { return workers_.size(); }
  uint64_t descriptor_errors() const;

 private:
  struct Retired {
    PlaneTicket ticket;
    GroupSockets* sockets;
  };

  explicit WorkerPool(double share_of_group) : share_of_group_(share_of_group) {}
  void measure_load(Instant now);
  GroupSockets& take_sockets(FlowGroup& group);

  const double share_of_group_;
  std::deque<GroupSockets> sockets_;  // stable addresses; grows to the most groups at a time
  std::vector<GroupSockets*> free_;
  std::deque<Retired> retired_;  // removed, but their worker may not have got there
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<WorkerLoad> loads_;    // of the workers
  std::vector<Duration> cpu_times_;  // of the workers, when their load was measured
  Instant load_measured_{};
  std::vector<PlaneTotals*> totals_;  // of the workers
};

// CPUs this process may run on, at least 1.
unsigned available_cpus();

}  // namespace relay
