#include "relay/acct/hep_tap.h"

#include <algorithm>
#include <utility>

#include "relay/base/assert.h"

namespace relay {
namespace {

// Emptied every 50 ms: 10,000 packets a second and thread.
constexpr size_t kWaitingMax = 512;

}  // namespace

RtcpQueue::RtcpQueue(size_t threads) {
  for (size_t i = 0; i < threads; ++i) {
    rings_.push_back(std::unique_ptr<Ring>(new Ring{SpscRing<CapturedRtcp>(kWaitingMax), {}}));
  }
}

void RtcpQueue::offer(uint32_t thread, const std::shared_ptr<const std::string>& call_id,
                      const TappedPacket& packet) {
  RELAY_ASSERT(thread < rings_.size());
  Ring& ring = *rings_[thread];
  CapturedRtcp captured;
  if (packet.bytes.size() <= captured.data.size()) {
    captured.call_id = call_id;
    captured.source = packet.source;
    captured.local = packet.local;
    captured.arrival = packet.arrival;
    captured.size = static_cast<uint16_t>(packet.bytes.size());
    std::copy(packet.bytes.begin(), packet.bytes.end(), captured.data.begin());
    if (ring.waiting.push(std::move(captured))) return;
  }
  ring.overrun.add();
}

bool RtcpQueue::take(CapturedRtcp& captured) {
  for (size_t i = 0; i < rings_.size(); ++i) {
    next_ = (next_ + 1) % rings_.size();
    if (rings_[next_]->waiting.pop(captured)) return true;
  }
  return false;
}

uint64_t RtcpQueue::overrun() const {
  uint64_t sum = 0;
  for (const auto& ring : rings_) sum += ring->overrun.get();
  return sum;
}

}  // namespace relay
