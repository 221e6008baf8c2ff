#include "relay/control/prompts.h"

#include <fmt/core.h>

#include <utility>

namespace relay {
namespace {

// Of how many payload types the log says why not.
constexpr size_t kReasonsMax = 4;
// RFC 3551 §3.
constexpr uint8_t kDynamicTypesBegin = 96;

}  // namespace

const Prompt* prompt_of(const Session& session, LegId listener) {
  return dynamic_cast<const Prompt*>(session.leg(listener).source.get());
}

Prompts::Prompts(std::vector<std::string> directories, SessionManager& sessions, const Clock& clock)
    : sessions_(sessions), clock_(clock), files_(std::move(directories)) {}

Result<void> Prompts::play(Session& session, LegId listener, const Wanted& wanted) {
  auto audio = find(wanted);
  if (!audio) return tl::unexpected(std::move(audio.error()));
  auto prompt = std::make_unique<Prompt>(Prompt::Settings{
      std::string(wanted.name), std::move(*audio), wanted.count, wanted.packet_ms});
  playing_.push_back({session.serial, listener, prompt.get()});
  ++created_;
  sessions_.set_source(session, listener, std::move(prompt));
  sweep();  // the one that played before
  return {};
}

Result<std::shared_ptr<const PromptAudio>> Prompts::find(const Wanted& wanted) {
  const bool is_anywhere = wanted.is_trusted && wanted.name.starts_with('/');
  PromptFiles& files = is_anywhere ? trusted_files_ : files_;
  if (!files.has_directories()) {
    return fail("no prompt directory is configured (--prompt-dir DIR)");
  }
  std::string reasons;
  size_t failed = 0;
  for (const uint8_t type : wanted.payload_types) {
    auto audio = files.load(wanted.name, type);
    if (audio && (*audio)->payload.size() >= prompt_packet((*audio)->codec, wanted.packet_ms).bytes)
      return audio;
    if (++failed > kReasonsMax) continue;
    reasons += reasons.empty() ? "" : "; ";
    reasons += audio ? fmt::format("as payload type {} it is shorter than a packet", type)
                     : audio.error().message;
  }
  return fail(reasons.empty() ? "no payload type to play it as" : reasons);
}

Result<void> Prompts::check(std::string_view trusted_name) {
  Wanted wanted;
  wanted.name = trusted_name;
  wanted.is_trusted = true;
  for (uint8_t type = 0; type < kDynamicTypesBegin; ++type) {
    if (prompt_codec(type)) wanted.payload_types.push_back(type);
  }
  const auto audio = find(wanted);
  if (!audio) return tl::unexpected(audio.error());
  return {};
}

void Prompts::stop(Session& session, LegId listener) {
  if (prompt_of(session, listener) == nullptr) return;
  sessions_.set_source(session, listener, nullptr);
  sweep();
}

void Prompts::sweep() {
  const Instant now = clock_.now();
  std::erase_if(playing_, [&](const Playing& playing) {
    Session* session = sessions_.table().by_serial(playing.session_serial);
    if (session == nullptr || session->leg(playing.listener).source.get() != playing.prompt) {
      return true;
    }
    if (!prompt_of(*session, playing.listener)->is_over(now)) return false;
    sessions_.set_source(*session, playing.listener, nullptr);
    return true;
  });
}

}  // namespace relay
