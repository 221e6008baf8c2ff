// Quiet noise in place of nothing: recognisers stall on digital silence.
#pragma once

#include <cstdint>
#include <span>

namespace relay {

class ComfortNoise {
 public:
  static constexpr int kDefaultLevelDbov = -60;

  // RFC 3389 §3.1; -127 to 0.
  void set_level_dbov(int level);
  void fill(std::span<int16_t> out);

 private:
  int amplitude_ = 57;  // peak, for -60 dBov of white noise
  uint32_t state_ = 1;
};

}  // namespace relay
