// Where captured RTCP waits on its way from the worker threads to the collectors.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "relay/base/published.h"
#include "relay/base/spsc_ring.h"
#include "relay/flow/tap.h"

namespace relay {

// A copy of an RTCP packet.
struct CapturedRtcp {
  static constexpr size_t kBytesMax = 1472;  // a datagram in an Ethernet frame

  std::shared_ptr<const std::string> call_id;
  Endpoint source, local;
  Instant arrival{};
  uint16_t size = 0;
  std::array<std::byte, kBytesMax> data;

  Bytes bytes() const { return Bytes(data).first(size); }
};

// One ring for each worker thread, and one thread that empties them.
class RtcpQueue {
 public:
  explicit RtcpQueue(size_t threads);

  // The worker thread of that number: a copy, unless there is no room.
  void offer(uint32_t thread, const std::shared_ptr<const std::string>& call_id,
             const TappedPacket& packet);
  // The emptying thread. False when nothing waits.
  bool take(CapturedRtcp& captured);
  // Packets there was no room for; any thread.
  uint64_t overrun() const;

 private:
  struct Ring {
    SpscRing<CapturedRtcp> waiting;
    Counter overrun;
  };
  std::vector<std::unique_ptr<Ring>> rings_;  // by thread
  size_t next_ = 0;
};

// Captures the RTCP of one party.
class HepTap final : public Tap {
 public:
  HepTap(std::shared_ptr<RtcpQueue> queue, std::shared_ptr<const std::string> call_id)
      : queue_(std::move(queue)), call_id_(std::move(call_id)) {}

  TapAnswer offer(const TappedPacket& packet) override {
    queue_->offer(packet.thread, call_id_, packet);
    return TapAnswer::relay;
  }
  bool wants(PacketKind kind) const override { return kind == PacketKind::rtcp; }
  const char* name() const override { return "HEP"; }

 private:
  const std::shared_ptr<RtcpQueue> queue_;
  const std::shared_ptr<const std::string> call_id_;
};

}  // namespace relay
