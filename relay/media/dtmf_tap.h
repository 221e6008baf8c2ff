// DTMF of a party as events: RFC 4733 packets, told apart where they come in and carried to the
// control thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "relay/base/spsc_ring.h"
#include "relay/base/unique_fd.h"
#include "relay/flow/tap.h"

namespace relay {

struct DtmfEvent {
  uint64_t session_serial = 0;
  LegId leg = LegId::callee;  // whose party pressed the key
  char digit = ' ';
  uint8_t volume = 0;     // -dBm0
  uint16_t duration = 0;  // timestamp units
};

// Queues from the threads of a plane to one reader. A full one drops the event and counts it.
class DtmfEvents {
 public:
  static Result<std::unique_ptr<DtmfEvents>> create();

  // The thread of that number; never blocks.
  void push(uint32_t thread, const DtmfEvent& event);
  // The reader, when descriptor() is readable.
  int descriptor() const { return wake_up_.get(); }
  std::vector<DtmfEvent> take_all();
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  explicit DtmfEvents(UniqueFd wake_up);

  UniqueFd wake_up_;
  std::vector<std::unique_ptr<SpscRing<DtmfEvent>>> queues_;  // by thread number
  std::atomic<uint64_t> lost_{0};
};

struct DtmfWish {
  std::string tag;
  uint8_t payload_type = 101;
  bool hidden = false;  // those packets are not relayed
};

class DtmfTap final : public Tap {
 public:
  // `events` outlives the tap.
  DtmfTap(uint64_t session_serial, LegId leg, DtmfWish wish, DtmfEvents& events)
      : session_serial_(session_serial), leg_(leg), wish_(std::move(wish)), events_(events) {}

  TapAnswer offer(const TappedPacket& packet) override;
  bool wants(PacketKind kind) const override { return kind == PacketKind::rtp; }
  bool may_consume() const override { return wish_.hidden; }
  const char* name() const override { return "DTMF events"; }
  const DtmfWish& wish() const { return wish_; }

 private:
  // One key press: packets of the same RTP timestamp.
  struct Press {
    bool known = false, told = false;
    uint32_t timestamp = 0;
    uint16_t duration = 0;
  };

  void note(Bytes payload, uint32_t timestamp, uint32_t thread);

  const uint64_t session_serial_;
  const LegId leg_;
  const DtmfWish wish_;
  DtmfEvents& events_;
  std::array<Press, 4> presses_;
  size_t next_press_ = 0;
};

}  // namespace relay
