// Who hears a prompt, and the files prompts come from. Control thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/clock.h"
#include "relay/media/prompt.h"
#include "relay/media/prompt_files.h"
#include "relay/session/session_manager.h"

namespace relay {

class Prompts {
 public:
  // `sessions` and `clock` outlive this.
  Prompts(std::vector<std::string> directories, SessionManager& sessions, const Clock& clock);

  struct Wanted {
    std::string_view name;
    std::vector<uint8_t> payload_types;  // the first that the prompt exists in is played
    int count = 1;                       // negative: without end; never 0
    uint16_t packet_ms = kPromptPacketMs;
    bool is_trusted = false;  // named by the operator: an absolute path may lead anywhere
  };
  // The listener hears it from now on, or from when there is somewhere to send, in place of what it
  // heard before. An error changes nothing.
  Result<void> play(Session& session, LegId listener, const Wanted& wanted);
  void stop(Session& session, LegId listener);
  // Whether there is something to play by that name, in whatever payload type.
  Result<void> check(std::string_view trusted_name);
  // Takes off what has ended. Once a second, and before created() and destroyed() are shown.
  void sweep();

  uint64_t created() const { return created_; }
  uint64_t destroyed() const { return created_ - playing_.size(); }

 private:
  struct Playing {
    uint64_t session_serial;
    LegId listener;
    const Prompt* prompt;  // to be compared only
  };
  Result<std::shared_ptr<const PromptAudio>> find(const Wanted& wanted);

  SessionManager& sessions_;
  const Clock& clock_;
  PromptFiles files_;
  PromptFiles trusted_files_{{"/"}};
  std::vector<Playing> playing_;
  uint64_t created_ = 0;
};

// What the listener's leg plays; null: no prompt.
const Prompt* prompt_of(const Session& session, LegId listener);

}  // namespace relay
