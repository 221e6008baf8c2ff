// One thread's share of the calls. Everything but the ring, the two flags and the published
// counters belongs to the thread.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "relay/base/published.h"
#include "relay/base/spsc_ring.h"
#include "tools/rtpp-load/media_engine.h"
#include "tools/rtpp-load/probe.h"
#include "tools/rtpp-load/sequence_tracker.h"

struct epoll_event;

namespace relay::tools {

class MediaThread {
 public:
  MediaThread(const MediaSettings& settings, Instant epoch);
  ~MediaThread();

  struct Order {
    Call* call = nullptr;
    MediaEngine::Change change = MediaEngine::Change::start;
  };
  bool give(Order order) { return orders_.push(std::move(order)); }
  void measure_times() { measuring_times_.store(true, std::memory_order_relaxed); }
  void stop_sending() { sending_.store(false, std::memory_order_release); }
  void finish();
  MediaCounters counters() const { return published_.load(); }
  const MediaTimes& times() const { return times_; }

 private:
  struct Stream;
  struct Ear {
    Stream* stream = nullptr;
    int fd = -1;
  };
  // What one phone sends and hears, RTP or RTCP.
  struct Stream {
    const Call* call = nullptr;
    uint8_t side = 0;
    ProbeKind kind = ProbeKind::rtp;
    int fd = -1;
    bool silent = false;
    // A phone that moved hears at its old place, too; as often as it moves.
    std::vector<std::unique_ptr<Ear>> ears;
    SocketAddress relay;     // where it sends
    Endpoint expected_from;  // where it should hear from: the same place
    uint32_t next_turn = 0;
    uint32_t counted_from_turn = 0;
    uint32_t next_sequence = 0;
    std::optional<int64_t> last_delay_ns;
    SequenceTracker heard;
  };
  struct ReceiveBatch;

  void run();
  void take_orders();
  void start(const Call& call);
  void move(const Call& call);
  static void aim(Stream& stream, const Phone& phone);
  void add_stream(const Call& call, uint8_t side, ProbeKind kind);
  void send_slot(uint64_t slot, Instant due);
  void send_turn(Stream& stream);
  void send(Stream& stream, std::span<const uint8_t> packet, bool warm_up);
  bool measures_times() const { return measuring_times_.load(std::memory_order_relaxed); }
  void receive_all();
  void listen(Stream& stream, int fd);
  void receive(const Ear& ear);
  void judge(Stream& stream, std::span<const uint8_t> packet, const sockaddr* from,
             int64_t arrived_ns);
  Instant slot_time(uint64_t slot) const;

  const MediaSettings settings_;
  const Instant epoch_;
  SpscRing<Order> orders_;
  std::atomic<bool> measuring_times_{false};
  std::atomic<bool> sending_{true};
  std::atomic<bool> finishing_{false};
  Published<MediaCounters> published_;

  std::vector<std::unique_ptr<Stream>> streams_;
  std::unordered_map<uint32_t, std::vector<Stream*>> of_call_;
  std::vector<std::vector<Stream*>> wheel_;       // one entry a slot of the packet interval
  std::vector<std::vector<Stream*>> rtcp_wheel_;  // one entry a slot of the RTCP interval
  MediaCounters counters_;
  MediaTimes times_;
  std::vector<uint8_t> rtp_packet_;
  UniqueFd epoll_;
  std::unique_ptr<ReceiveBatch> batch_;
  std::thread thread_;
};

}  // namespace relay::tools
