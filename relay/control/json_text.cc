#include "relay/control/json_text.h"

#include <nlohmann/json.hpp>

namespace relay {

std::string to_json_line(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace relay
