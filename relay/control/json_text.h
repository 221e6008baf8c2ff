// What all JSON of the relay has in common.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "relay/base/clock.h"

namespace relay {

// In UTF-8 and without a line end, whatever bytes a call-id or a tag is made of.
std::string to_json_line(const nlohmann::json& value);

inline double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace relay
