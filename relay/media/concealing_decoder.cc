#include "relay/media/concealing_decoder.h"

#include <algorithm>

namespace relay {
namespace {

// Longer than any packet; int is what the library counts in.
constexpr size_t kConcealSamplesMax = 48000;

}  // namespace

ConcealingDecoder::ConcealingDecoder(uint32_t sample_rate_hz) : AudioDecoder(sample_rate_hz) {
  plc_init(&plc_);
}

size_t ConcealingDecoder::decode(Bytes payload, std::span<int16_t> out) {
  const size_t samples = decode_units(payload, out);
  // Blends the end of a concealed stretch into `out`; otherwise leaves it as it is.
  if (samples > 0) plc_rx(&plc_, out.data(), static_cast<int>(samples));
  return samples;
}

size_t ConcealingDecoder::conceal(std::span<int16_t> out) {
  const size_t samples = std::min(out.size(), kConcealSamplesMax);
  // The library would straighten its ring itself, with a memcpy() of overlapping parts.
  std::rotate(plc_.history, plc_.history + plc_.buf_ptr, plc_.history + PLC_HISTORY_LEN);
  plc_.buf_ptr = 0;
  if (samples > 0) plc_fillin(&plc_, out.data(), static_cast<int>(samples));
  return samples;
}

void ConcealingDecoder::reset() {
  plc_init(&plc_);
  reset_codec();
}

}  // namespace relay
