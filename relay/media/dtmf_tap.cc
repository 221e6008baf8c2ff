#include "relay/media/dtmf_tap.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "relay/base/assert.h"
#include "relay/rtp/rtp_header.h"

namespace relay {
namespace {

constexpr size_t kEventsPerThread = 64;
// RFC 4733 §3.2; 16 is a hook flash.
constexpr std::string_view kDigits = "0123456789*#ABCD ";

}  // namespace

Result<std::unique_ptr<DtmfEvents>> DtmfEvents::create() {
  UniqueFd wake_up(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (wake_up.get() < 0) return fail_errno("eventfd for DTMF events");
  return std::unique_ptr<DtmfEvents>(new DtmfEvents(std::move(wake_up)));
}

DtmfEvents::DtmfEvents(UniqueFd wake_up) : wake_up_(std::move(wake_up)) {
  for (uint32_t i = 0; i < kTapThreadsMax; ++i) {
    queues_.push_back(std::make_unique<SpscRing<DtmfEvent>>(kEventsPerThread));
  }
}

void DtmfEvents::push(uint32_t thread, const DtmfEvent& event) {
  RELAY_ASSERT(thread < queues_.size());
  if (!queues_[thread]->push(DtmfEvent(event))) lost_.fetch_add(1, std::memory_order_relaxed);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_up_.get(), &one, sizeof one);
}

std::vector<DtmfEvent> DtmfEvents::take_all() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_up_.get(), &count, sizeof count);
  std::vector<DtmfEvent> events;
  DtmfEvent event;
  for (const auto& queue : queues_) {
    while (queue->pop(event)) events.push_back(event);
  }
  return events;
}

TapAnswer DtmfTap::offer(const TappedPacket& packet) {
  const auto view = RtpView::parse(packet.bytes);
  if (!view || view->payload_type() != wish_.payload_type) return TapAnswer::relay;
  note(view->payload(), view->timestamp(), packet.thread);
  return wish_.hidden ? TapAnswer::consume : TapAnswer::relay;
}

// RFC 4733 §2.3: event, E bit and volume, duration. The end of a press is sent several times; told
// is the first that is not the only packet of it.
void DtmfTap::note(Bytes payload, uint32_t timestamp, uint32_t thread) {
  if (payload.size() < 4 || byte_at(payload, 0) >= kDigits.size()) return;
  const bool is_end = (byte_at(payload, 1) & 0x80) != 0;
  const uint16_t duration = read_be16(payload, 2);
  const auto press = std::find_if(presses_.begin(), presses_.end(), [&](const Press& known) {
    return known.known && known.timestamp == timestamp;
  });
  if (press == presses_.end()) {
    presses_[next_press_] = {true, false, timestamp, duration};
    next_press_ = (next_press_ + 1) % presses_.size();
    return;
  }
  press->duration = std::max(press->duration, duration);
  if (!is_end || press->told) return;
  press->told = true;
  const auto volume = static_cast<uint8_t>(byte_at(payload, 1) & 0x3F);
  events_.push(thread,
               {session_serial_, leg_, kDigits[byte_at(payload, 0)], volume, press->duration});
}

}  // namespace relay
