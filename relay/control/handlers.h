// One function a command: what was asked for in, the reply's text out (without cookie and line
// end). Control thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctlproto/request.h"
#include "relay/acct/counters.h"
#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/config/config.h"
#include "relay/control/command_executor.h"
#include "relay/control/control_counters.h"
#include "relay/control/notify_targets.h"
#include "relay/flow/forwarding_plane.h"
#include "relay/media/dtmf_tap.h"
#include "relay/media/recorder.h"
#include "relay/session/session_manager.h"

namespace relay {

class Prompts;
class VoiceCalls;

// How calls are recorded and copied.
struct RecordingContext {
  Recorder* recorder = nullptr;  // none without -r
  bool every_session = false;    // -a
  bool copy_rtcp = true;         // by C to UDP; not with -R
};

// Where DTMF events go (`&& M3`).
struct DtmfContext {
  DtmfEvents* events = nullptr;  // none: there is no such module
  int instances = 1;
};

// What handlers work on; all of it outlives them.
struct HandlerContext {
  SessionManager& sessions;
  const ForwardingPlane& plane;
  const Clock& clock;
  NotifyTargets notify_targets;
  const ControlCounters* control;  // may be nullptr
  Prompts& prompts;
  const CommandCounters& commands;
  const double& packets_per_second;  // received, over the last one to ten seconds
  RecordingContext recording = {};
  DtmfContext dtmf = {};
  const AcctCounters* accounting = nullptr;  // may be nullptr
  CommandOrigin origin{};                    // of the command at hand
  LogLimit refusals{20};                     // lines a second about commands that were refused
  VoiceCalls* voices = nullptr;              // null: no voice profiles
};

// Replies to U, L, D, Q, G and the like fit this, as in rtpproxy, cookie included.
inline constexpr size_t kReplyBytesMax = 1024;
// Left for the cookie and the line end.
inline constexpr size_t kReplyTextBytesMax = kReplyBytesMax - 64;

std::string error_reply(int code);

std::string handle(HandlerContext& context, const ctlproto::Update& request);
std::string handle(HandlerContext& context, const ctlproto::Lookup& request);
std::string handle(HandlerContext& context, const ctlproto::Delete& request);
std::string handle(HandlerContext& context, const ctlproto::DeleteAll& request);
std::string handle(HandlerContext& context, const ctlproto::Query& request);
std::string handle(HandlerContext& context, const ctlproto::Version& request);
std::string handle(HandlerContext& context, const ctlproto::Feature& request);
std::string handle(HandlerContext& context, const ctlproto::Info& request);
std::string handle(HandlerContext& context, const ctlproto::Stats& request);
std::string handle(HandlerContext& context, const ctlproto::Json& request);
std::string handle(HandlerContext& context, const ctlproto::Record& request);
std::string handle(HandlerContext& context, const ctlproto::Copy& request);
std::string handle(HandlerContext& context, const ctlproto::StopRecord& request);
std::string handle(HandlerContext& context, const ctlproto::Play& request);
std::string handle(HandlerContext& context, const ctlproto::StopPlay& request);

// --- handle_subcommands.cc: what follows `&&` ---

// The session a command worked on. `in` is the leg it described (Q: reports on first).
struct SubCommandTarget {
  uint64_t session_serial = 0;
  LegId in = LegId::callee;
  // For `&& L`.
  std::string_view call_id, from_tag;
  std::optional<std::string_view> to_tag;
};
// False when one of them cannot be carried out at all: the whole command is E3 then.
bool subcommands_supported(const HandlerContext& context,
                           const std::vector<ctlproto::SubCommand>& subcommands);
// Appends the results to `reply`.
void run_subcommands(HandlerContext& context, SubCommandTarget target,
                     const std::vector<ctlproto::SubCommand>& subcommands, std::string& reply);

// --- handle_update.cc ---
MediaRequest to_media_request(const ctlproto::MediaModifiers& modifiers,
                              const ctlproto::MediaAddress& media);
// Has the leg re-packetise what its party sends, as `z` of its last description says.
void repacketise(SessionManager& sessions, Session& session, LegId described);
std::string media_reply(const MediaAnswer& answer);
int to_error_code(Refusal refusal);

// --- handle_record.cc ---
// What -a asks for. A failure is logged; the call goes on.
void record_new_session(HandlerContext& context, Session& session);

// --- handle_voice.cc ---
// A prompt's or copy's name that asks for a voice endpoint: ai:PROFILE, or ai:PROFILE@URL.
inline constexpr std::string_view kVoicePrefix = "ai:";
// The party of `leg` and the endpoint speak with each other, in one of `payload_types` (as bytes,
// most wanted first) where there are any.
Result<void> start_voice(HandlerContext& context, Session& session, LegId leg,
                         std::string_view name, std::string_view payload_types);
// The endpoint listens to the party, with `both` to both.
Result<void> start_voice_tee(HandlerContext& context, Session& session, LegId leg,
                             std::string_view name, bool both);
// What the one or the other of these began on the leg; false when there is none.
enum class VoiceRole : uint8_t { speaks, listens };
bool stop_voice(HandlerContext& context, Session& session, LegId leg, VoiceRole role);
// J voices, J events, J voicetest.
std::string handle_voice(HandlerContext& context, const ctlproto::Json& request);

// --- handle_stats.cc ---
// rtpproxy's npkts_rcvd: what came before a session was complete does not count.
uint64_t received_by_complete_sessions(const PlaneCounters& traffic);

}  // namespace relay
