// For codecs without a concealment of their own: goes on with the last pitch period of what was
// decoded, in the manner of G.711 Appendix I (spandsp's PLC; made for 8 kHz, at 16 kHz it finds
// high voices only and repeats the wrong period for low ones). For relay/media/ alone.
#pragma once

#include "relay/media/codec.h"
#include "relay/media/spandsp.h"

namespace relay {

class ConcealingDecoder : public AudioDecoder {
 public:
  size_t decode(Bytes payload, std::span<int16_t> out) final;
  size_t conceal(std::span<int16_t> out) final;
  void reset() final;

 protected:
  explicit ConcealingDecoder(uint32_t sample_rate_hz);

 private:
  virtual size_t decode_units(Bytes payload, std::span<int16_t> out) = 0;
  virtual void reset_codec() = 0;

  plc_state_t plc_;
};

}  // namespace relay
