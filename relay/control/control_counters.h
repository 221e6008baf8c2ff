// What happened at the control sockets since start. Control thread only.
#pragma once

#include <cstdint>

namespace relay {

struct ControlCounters {
#define COUNTER(name, meaning) uint64_t name = 0;
#include "relay/control/control_counter.def"
#undef COUNTER
};

struct ControlCounterRow {
  const char* name;
  const char* meaning;
  uint64_t ControlCounters::*value;
};

inline constexpr ControlCounterRow kControlCounterRows[] = {
#define COUNTER(name, meaning) {#name, meaning, &ControlCounters::name},
#include "relay/control/control_counter.def"
#undef COUNTER
};

}  // namespace relay
