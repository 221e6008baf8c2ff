// What was told about calls since start. Each counter has one writing thread; any thread reads.
#pragma once

#include <cstdint>

#include "relay/base/published.h"

namespace relay {

struct AcctCounters {
#define COUNTER(name, is_loss, meaning) Counter name;
#include "relay/acct/counter.def"
#undef COUNTER
};

struct AcctCounterRow {
  const char* name;
  bool is_loss;
  const char* meaning;
  Counter AcctCounters::*value;
};

inline constexpr AcctCounterRow kAcctCounterRows[] = {
#define COUNTER(name, is_loss, meaning) {#name, is_loss, meaning, &AcctCounters::name},
#include "relay/acct/counter.def"
#undef COUNTER
};

}  // namespace relay
