// rtpp-ctl's commands about AI voice sessions.
#pragma once

#include <functional>
#include <string>

#include "tools/rtpp-ctl/commands.h"

namespace relay::tools {

CommandResult run_voice_list(const CommandContext& context);
// Without `tag`: the party that made the first session of the call.
CommandResult run_voice_start(const CommandContext& context, const std::string& call_id,
                              const std::string& profile, const std::string& tag);
CommandResult run_voice_stop(const CommandContext& context, const std::string& call_id,
                             const std::string& tag);

// What voice sessions tell, a line each: JSON, or for people.
class VoiceEvents {
 public:
  // What has come since the last call; the first brings what the relay still knows.
  CommandResult next(const CommandContext& context);
  // From now on only what comes after number `last`, and of voice session `id`, as the steps of a
  // test of `profile` that ends in a verdict.
  Result<void> follow(const CommandContext& context, const std::string& profile, uint64_t id,
                      uint64_t last);
  bool has_ended() const { return has_ended_; }  // of `id`
  bool has_failed() const { return has_failed_; }

 private:
  struct Traffic {
    uint64_t up = 0, down = 0;
  };
  Result<Traffic> traffic(const CommandContext& context) const;
  Result<std::string> verdict(const CommandContext& context) const;

  uint64_t id_ = 0, last_ = 0;
  std::string profile_;
  int64_t began_ms_ = 0;
  Traffic before_;
  bool was_ready_ = false;
  bool has_ended_ = false, has_failed_ = false;
};

// Begins; `events` follows it. Then next() until has_ended().
CommandResult start_voice_test(const CommandContext& context, const std::string& profile,
                               VoiceEvents& events);

}  // namespace relay::tools
