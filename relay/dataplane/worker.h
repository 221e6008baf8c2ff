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

namespace relay {

// One media socket as its worker sees it; epoll points here.
struct MediaSocket {
  FlowGroup* group = nullptr;
  int fd = -1;  // borrowed; -1: not watched
  LegId leg = LegId::callee;
  Component component = Component::rtp;
  bool on_wildcard = false;
  bool tells_copies = false;  // by their mark
  IpAddress local;            // where the party sends to; learnt on wildcard sockets only
  uint32_t errors_in_a_row = 0;
  uint64_t served_round = 0;
};

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
struct GroupSockets {
  std::array<std::array<MediaSocket, 2>, 2> sockets;  // by LegId, Component
  std::array<TimedPart, 2> sources, transforms;       // by LegId
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
  void recognise_copies(uint32_t tee_mark) { tee_mark_ = tee_mark; }

  // Any thread.
  PlaneTotals& totals() { return totals_; }
  uint64_t processed() const { return processed_.load(std::memory_order_acquire); }
  void add_to(PlaneCounters& counters) const { totals_.add_to(counters); }
  // Sockets that could not be watched, or stopped being sockets.
  uint64_t descriptor_errors() const { return descriptor_errors_.get(); }

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
    enum class Kind : uint8_t { spec, remove, copy_stream, resume_stream };
    FlowGroup* group = nullptr;
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
  void watch_all(FlowGroup& group, const FlowGroupSpec* spec);
  void watch(MediaSocket& socket, int fd, const LegSpec& leg);
  void tell_copies(MediaSocket& socket);
  void unwatch(MediaSocket& socket);
  int send(FlowGroup& group, LegId leg, Component component, const Endpoint& destination,
           Bytes bytes) override;
  Endpoint local_of(const FlowGroup& group, LegId leg, Component component) const override;
  uint32_t thread_number() const override { return number_; }

  const uint32_t number_;
  uint32_t tee_mark_ = 0;  // 0: there are no copies
  UniqueFd epoll_, wake_up_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> woken_{false};
  SpscRing<Post> posts_;
  uint64_t posted_ = 0;  // control thread
  bool corked_ = false;  // control thread
  std::atomic<uint64_t> processed_{0};

  uint64_t round_ = 1;                 // of epoll_wait
  TimedPart* timed_ = nullptr;         // the first
  Instant next_due_ = Instant::max();  // when the next of them is due
  PlaneTotals totals_;
  Counter descriptor_errors_;
  Batch batch_;
};

}  // namespace relay
