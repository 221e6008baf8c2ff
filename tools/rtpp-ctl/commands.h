// What each of rtpp-ctl's commands asks the relay and how it shows the reply. No sockets here: the
// relay is a function from command to reply.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "tools/common/control_client.h"
#include "tools/rtpp-ctl/replies.h"

namespace relay::tools {

enum class ExitCode : int {
  ok = 0,
  relay_error = 1,  // the relay answered an error
  usage = 2,
  no_answer = 3,
};

struct CommandResult {
  ExitCode code = ExitCode::ok;
  std::string out;
  std::string err;  // explanations and failures, for stderr
};

// An error is "no answer".
using Asker = std::function<Result<Answer>(const std::string& command)>;

struct CommandContext {
  Asker ask;
  bool json = false;
  std::string socket;  // for messages
};

CommandResult run_raw(const CommandContext& context, const std::string& command);
CommandResult run_ping(const CommandContext& context);
CommandResult run_info(const CommandContext& context);
CommandResult run_sessions(const CommandContext& context);
CommandResult run_query(const CommandContext& context, const std::string& call_id,
                        const std::string& from_tag, const std::string& to_tag);
// Which way its media takes and why, in sentences; JSON is the relay's reply.
CommandResult run_why(const CommandContext& context, const std::string& call_id);
// Without `from_tag`: every session of the call-id, where the relay can list them.
CommandResult run_delete(const CommandContext& context, const std::string& call_id,
                         const std::string& from_tag, const std::string& to_tag);

// Counters, with their change a second once asked again.
class StatsCommand {
 public:
  CommandResult run(const CommandContext& context);

 private:
  NamedValues previous_;
  Instant previous_at_{};
};

}  // namespace relay::tools
