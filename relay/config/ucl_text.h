// UCL, the text format of rtpproxy's configuration file, as far as such files use it: objects,
// arrays, scalars, comments, named sections. Macros (.include) and here-documents are refused.
// Pure; text in, values out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"

namespace relay {

struct UclMember;

struct UclValue {
  enum class Kind : uint8_t { object, array, string, number, boolean };
  Kind kind = Kind::object;
  std::string text;                // of a scalar, without quotes
  std::vector<UclMember> members;  // an object's, in the text's order, a key possibly repeated
};

struct UclMember {
  std::string key;
  UclValue value;
  size_t line = 0;  // from 1
};

// The members of the top-level object. Messages name `name` and the line.
Result<std::vector<UclMember>> parse_ucl(std::string_view text, const std::string& name);

}  // namespace relay
