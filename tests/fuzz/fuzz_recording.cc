// Any bytes as a recorded call: reading, statistics, the timeline and decoding stay inside the file
// and within the time that it says has passed.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "relay/base/assert.h"
#include "relay/base/unique_fd.h"
#include "tools/rtpp-extractaudio/capture.h"
#include "tools/rtpp-extractaudio/side_audio.h"
#include "tools/rtpp-extractaudio/statistics.h"
#include "tools/rtpp-extractaudio/timeline.h"

namespace {

using namespace relay::tools;

// How much longer than the time between the first and the last packet the sound may be: what a
// packet decodes to, and 5 s each that a stretch may run ahead, start ahead, or reach back.
constexpr int64_t kExcessMax = 65507 / 33 * 160 + 3 * 5 * 8000;
constexpr int kBlocksMax = 20;

int64_t samples_between_arrivals(const Capture& capture) {
  int64_t first_ns = capture.arrival_ns(0), last_ns = first_ns;
  for (size_t i = 0; i < capture.size(); ++i) {
    first_ns = std::min(first_ns, capture.arrival_ns(i));
    last_ns = std::max(last_ns, capture.arrival_ns(i));
  }
  return (last_ns - first_ns) / 125'000;
}

void check_timeline(const Capture& capture, const Timeline& timeline, bool synchronised) {
  size_t packets = 0;
  for (const Stretch& stretch : timeline.stretches) {
    RELAY_ASSERT(!stretch.packets.empty());
    RELAY_ASSERT(stretch.start >= 0 && stretch.length >= 0);
    for (const TimedPacket& packet : stretch.packets) {
      RELAY_ASSERT(packet.at >= 0 && packet.at <= stretch.length);
      RELAY_ASSERT(packet.index < capture.size());
    }
    packets += stretch.packets.size();
  }
  for (const auto& [type, count] : timeline.undecoded_packets) packets += count;
  RELAY_ASSERT(packets <= capture.size());
  if (synchronised) {
    RELAY_ASSERT(timeline.end() <= samples_between_arrivals(capture) + kExcessMax);
  }
}

void render(const Capture& capture, const Timeline& timeline) {
  SideAudio audio(capture, timeline);
  std::array<int16_t, 1600> block{};
  for (int i = 0; i < kBlocksMax; ++i) audio.read(block);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const relay::UniqueFd file(::memfd_create("recording", 0));
  RELAY_ASSERT(file.valid());
  RELAY_ASSERT(::write(file.get(), data, size) == static_cast<ssize_t>(size));
  const auto capture = read_capture("/proc/self/fd/" + std::to_string(file.get()));
  if (!capture || capture->size() == 0) return 0;
  RELAY_ASSERT(describe(*capture).find("pcount=") == 0);
  for (const bool synchronised : {true, false}) {
    Timeline timeline = make_timeline(*capture);
    place({&timeline}, synchronised);
    check_timeline(*capture, timeline, synchronised);
    render(*capture, timeline);
  }
  return 0;
}
