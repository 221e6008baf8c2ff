// The seam between control sockets and what commands do. Control thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "relay/base/endpoint.h"

namespace relay {

// Where a command came from; `peer` and `local` only for UDP and TCP.
struct CommandOrigin {
  std::optional<Endpoint> peer;
  std::optional<Endpoint> local;
};

// What rtpproxy's G calls ncmds_*. A reply that starts with `E`, and the `0` that answers a lookup
// of an unknown session, count as errors.
struct CommandCounters {
  uint64_t received = 0;
  uint64_t duplicates = 0;  // answered from the reply cache
  uint64_t succeeded = 0;
  uint64_t errors = 0;
  uint64_t replied = 0;
};

class CommandExecutor {
 public:
  virtual ~CommandExecutor() = default;
  // `command` is one command without cookie and line end. The reply is complete, without cookie,
  // and ends in exactly one line end.
  virtual std::string execute(std::string_view command, const CommandOrigin& origin) = 0;
  // Commands in between are executed at once, but what they set off in other threads may begin as
  // late as end_burst(), which comes before their replies leave.
  virtual void begin_burst() {}
  virtual void end_burst() {}
  // A retransmission was answered from the reply cache.
  virtual void count_duplicate() = 0;
};

}  // namespace relay
