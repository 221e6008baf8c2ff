#include "relay/dataplane/worker_cpus.h"

#include "relay/base/socket_options.h"

namespace relay {
namespace {

// A sample is a system call. 10,000 packets a second decide twice a second.
constexpr uint32_t kPacketsPerSample = 64;

}  // namespace

void WorkerCpus::packet_came_by(int socket) {
  if (until_sample_-- != 0) return;
  until_sample_ = kPacketsPerSample - 1;
  const int cpu = option_of(socket, SOL_SOCKET, SO_INCOMING_CPU).value_or(kNoCpu);
  if (const auto most = incoming_.add(cpu); most && *most != kept_off_) keep_off(*most);
}

void WorkerCpus::keep_off(int cpu) {
  cpu_set_t current;
  if (::sched_getaffinity(0, sizeof current, &current) != 0) return;  // more CPUs than it holds
  if (!CPU_EQUAL(&current, &chosen_)) allowed_ = current;             // somebody else's choice
  chosen_ = allowed_;
  if (cpu != kNoCpu && CPU_COUNT(&allowed_) > 1) CPU_CLR(cpu, &chosen_);
  if (::sched_setaffinity(0, sizeof chosen_, &chosen_) == 0) kept_off_ = cpu;
}

}  // namespace relay
