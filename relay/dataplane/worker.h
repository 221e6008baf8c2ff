// One thread of the slow path and the flow groups it owns. Its map is at the top of worker.cc.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>

#include "relay/base/result.h"
#include "relay/base/spsc_ring.h"
#include "relay/base/unique_fd.h"
#include "relay/dataplane/packet_io.h"
#include "relay/dataplane/relay_packet.h"
#include "relay/dataplane/socket_set.h"
#include "relay/dataplane/worker_cpus.h"

namespace relay {

// A source or transform of a leg, in the worker's list of those that are called by time.
struct TimedPart {
  FlowGroup* group = nullptr;
  LegId leg = LegId::callee;
  Source* source = nullptr;  // both nullptr: not in the list
  Transform* transform = nullptr;
  bool started = false;
  Instant due{};
  TimedPart* previous = nullptr;
  TimedPart* next = nullptr;
};

// What a worker keeps of a group: FlowGroup::plane_data.
struct GroupSockets : MediaSockets {
  std::array<TimedPart, 2> sources, transforms;  // by LegId
};

class Worker final : private PacketSender {
 public:
  static Result<std::unique_ptr<Worker>> start(unsigned number);
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Control thread. Each post returns the sequence number that processed() reaches once it is
  // done. A full ring makes the caller wait. After stop() posts are carried out by the caller.
  uint64_t post_spec(FlowGroup& group, const FlowGroupSpec& spec);
  uint64_t post_remove(FlowGroup& group);
  uint64_t post_copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to);
  uint64_t post_resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from);
  // Closes some of the sockets that parties have to themselves.
  uint64_t post_spare_descriptors();
  // Posts in between leave the thread asleep until uncork(), unless the ring is full.
  void cork() { corked_ = true; }
  void uncork();
  void stop();
  // Runs before everything that has no realtime priority; 1 (lowest) to 99. Refused without
  // CAP_SYS_NICE or room in RLIMIT_RTPRIO.
  Result<void> set_realtime_priority(int priority);
  // CPU time of the thread so far.
  Duration cpu_time();
  // Packets with this mark are copies of what the kernel has relayed. Before the first post.
  void recognise_copies(uint32_t tee_mark) { sockets_.recognise_copies(tee_mark); }

  // Any thread.
  PlaneTotals& totals() { return totals_; }
  uint64_t processed() const { return processed_.load(std::memory_order_acquire); }
  void add_to(PlaneCounters& counters) const { totals_.add_to(counters); }
  uint64_t party_sockets() const { return sockets_.connected(); }
  // Sockets that could not be watched, or stopped being sockets.
  uint64_t descriptor_errors() const { return sockets_.descriptor_errors(); }

 private:
  // Packets decided but not yet sent, with the buffers they lie in.
  struct Batch {
    static constexpr size_t kPackets = 16;
    struct Decided {
      FlowGroup* group;
      IngressPacket packet;
      Verdict verdict;
      Instant arrival;
    };
    // Not a multiple of 4 KiB, so that the packets' first lines do not share one L1 cache set.
    using Buffer = std::array<std::byte, kReceiveBufferBytes + 192>;

    size_t size = 0;
    std::array<Decided, kPackets> decided;
    std::array<Buffer, kPackets> buffers;
  };
  struct Post {
    enum class Kind : uint8_t { spec, remove, copy_stream, resume_stream, spare_descriptors };
    FlowGroup* group = nullptr;  // not for spare_descriptors
    Kind kind = Kind::spec;
    LegId leg = LegId::callee;                    // streams only
    RtpStreamState* copy_to = nullptr;            // copy_stream
    const RtpStreamState* resume_from = nullptr;  // resume_stream
    FlowGroupSpec spec;
  };

  Worker(unsigned number, UniqueFd epoll, UniqueFd wake_up);
  uint64_t post(Post&& post);
  void wake();

  // Worker thread.
  void run();
  void serve(MediaSocket& socket);
  void read_from(MediaSocket& socket, int packets);
  bool receive_one(MediaSocket& socket);
  void finish_batch();
  bool survive(MediaSocket& socket, int error);
  int milliseconds_to_wait() const;
  void call_timed();
  void call(TimedPart& part, Instant now);
  void set_timed(TimedPart& part, const TimedPart& wanted);
  void set_timed(FlowGroup& group, const FlowGroupSpec* spec);
  bool take_posts();
  void carry_out(const Post& post);
  void spare_descriptors();
  int send(FlowGroup& group, LegId leg, Component component, const Endpoint& destination,
           Bytes bytes) override;
  Endpoint local_of(const FlowGroup& group, LegId leg, Component component) const override;
  uint32_t thread_number() const override { return number_; }

  const uint32_t number_;
  SocketSet sockets_;
  UniqueFd wake_up_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> woken_{false};
  std::atomic<bool> realtime_{false};
  SpscRing<Post> posts_;
  uint64_t posted_ = 0;  // control thread
  bool corked_ = false;  // control thread
  std::atomic<uint64_t> processed_{0};

  uint64_t round_ = 1;  // of epoll_wait
  WorkerCpus cpus_;
  TimedPart* timed_ = nullptr;         // the first
  Instant next_due_ = Instant::max();  // when the next of them is due
  PlaneTotals totals_;
  Batch batch_;
};

}  // namespace relay
