#include "relay/dataplane/worker_pool.h"

#include <sched.h>

#include <algorithm>
#include <string>

#include "relay/dataplane/fork_tap.h"

namespace relay {
namespace {

// As soon as a share of a CPU says something again; the clocks cost a system call a worker.
constexpr Duration kLoadMeasuredAfter = std::chrono::milliseconds(200);

}  // namespace

unsigned available_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (::sched_getaffinity(0, sizeof cpus, &cpus) == 0) {
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&cpus)));
  }
  return std::max(1U, std::thread::hardware_concurrency());  // more CPUs than cpu_set_t holds
}

unsigned WorkerPool::threads_for(unsigned threads) {
  return threads != 0 ? threads : std::min(available_cpus(), kTapThreadsMax);
}

Result<std::unique_ptr<WorkerPool>> WorkerPool::start(unsigned threads, double share_of_group) {
  std::unique_ptr<WorkerPool> pool(new WorkerPool(share_of_group));
  threads = threads_for(threads);
  if (threads > kTapThreadsMax) {
    return fail("worker threads: " + std::to_string(threads) + ", at most " +
                std::to_string(kTapThreadsMax));
  }
  for (unsigned number = 0; number < threads; ++number) {
    auto worker = Worker::start(number);
    if (!worker) return tl::unexpected(std::move(worker.error()));
    pool->totals_.push_back(&(*worker)->totals());
    pool->workers_.push_back(std::move(*worker));
  }
  pool->loads_.resize(threads);
  pool->cpu_times_.resize(threads);
  pool->load_measured_ = steady_now();
  return pool;
}

WorkerPool::~WorkerPool() {
  stop();
}

void WorkerPool::stop() {
  for (const auto& worker : workers_) worker->stop();
}

Result<void> WorkerPool::set_realtime_priority(int priority) {
  for (const auto& worker : workers_) {
    if (auto set = worker->set_realtime_priority(priority); !set) return set;
  }
  return {};
}

void WorkerPool::recognise_copies(uint32_t tee_mark) {
  for (const auto& worker : workers_) worker->recognise_copies(tee_mark);
}

void WorkerPool::install(FlowGroup& group, const FlowGroupSpec& spec) {
  measure_load(steady_now());
  group.plane_index = choose_worker(loads_, share_of_group_);
  group.plane_data = &take_sockets(group);
  ++loads_[group.plane_index].groups;
  workers_[group.plane_index]->post_spec(group, spec);
}

PlaneTicket WorkerPool::update(FlowGroup& group, const FlowGroupSpec& spec) {
  RELAY_ASSERT(group.plane_data != nullptr);
  return {group.plane_index, workers_[group.plane_index]->post_spec(group, spec)};
}

PlaneTicket WorkerPool::remove(FlowGroup& group) {
  RELAY_ASSERT(group.plane_data != nullptr);
  --loads_[group.plane_index].groups;
  const PlaneTicket ticket{group.plane_index, workers_[group.plane_index]->post_remove(group)};
  retired_.push_back({ticket, static_cast<GroupSockets*>(group.plane_data)});
  return ticket;
}

bool WorkerPool::settled(const PlaneTicket& ticket) const {
  return workers_[ticket.plane_index]->processed() >= ticket.sequence;
}

void WorkerPool::cork() {
  for (const auto& worker : workers_) worker->cork();
}

void WorkerPool::uncork() {
  for (const auto& worker : workers_) worker->uncork();
}

bool WorkerPool::spare_descriptors() {
  bool any = false;
  for (const auto& worker : workers_) {
    if (worker->party_sockets() == 0) continue;
    worker->post_spare_descriptors();
    any = true;
  }
  return any;
}

PlaneTicket WorkerPool::copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) {
  return {group.plane_index, workers_[group.plane_index]->post_copy_stream(group, leg, to)};
}

PlaneTicket WorkerPool::resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) {
  return {group.plane_index, workers_[group.plane_index]->post_resume_stream(group, leg, from)};
}

std::unique_ptr<Tap> WorkerPool::fork_into(FlowGroup& target, const FlowGroupSpec& spec,
                                           LegId leg) {
  return std::make_unique<SocketForkTap>(target, leg, spec.legs[index(leg)], totals_);
}

PlaneCounters WorkerPool::counters() const {
  PlaneCounters counters;
  for (const auto& worker : workers_) worker->add_to(counters);
  return counters;
}

uint64_t WorkerPool::descriptor_errors() const {
  uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->descriptor_errors();
  return sum;
}

void WorkerPool::measure_load(Instant now) {
  const Duration elapsed = now - load_measured_;
  if (elapsed < kLoadMeasuredAfter) return;
  load_measured_ = now;
  for (size_t i = 0; i < workers_.size(); ++i) {
    const Duration cpu_time = workers_[i]->cpu_time();
    loads_[i].busy = std::chrono::duration<double>(cpu_time - cpu_times_[i]) / elapsed;
    cpu_times_[i] = cpu_time;
  }
}

GroupSockets& WorkerPool::take_sockets(FlowGroup& group) {
  for (; !retired_.empty() && settled(retired_.front().ticket); retired_.pop_front()) {
    free_.push_back(retired_.front().sockets);
  }
  if (free_.empty()) free_.push_back(&sockets_.emplace_back());
  GroupSockets& taken = *free_.back();
  free_.pop_back();
  taken.reset(group);
  return taken;
}

}  // namespace relay
