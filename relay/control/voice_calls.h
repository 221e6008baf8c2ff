// AI voice endpoints and the calls they take part in: attaches them to legs, follows what becomes
// of them, and keeps what they tell. Control thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"
#include "relay/control/prompts.h"
#include "relay/control/voice_notice.h"
#include "relay/session/session_manager.h"
#include "relay/voice/payload_types.h"
#include "relay/voice/voice_engine.h"

namespace relay {

inline constexpr size_t kVoiceErrors = 0
#define VOICE_ERROR(enumerator, code, retryable, help) +1
#include "relay/voice/voice_error.def"
#undef VOICE_ERROR
    ;

// What a profile's sessions have done so far.
struct VoiceFigures {
  const VoiceCounters& counters;
  const VoiceMeasures& measures;
  size_t running = 0;
  std::array<uint64_t, kVoiceErrors> failures{};  // by VoiceError
  uint64_t heard_dropped = 0;  // packets that the voice thread was too slow for, or too long
};

struct VoiceRequest {
  std::string_view profile;
  std::string_view url;               // empty: the profile's
  std::optional<VoicePolicy> policy;  // nothing: the profile's
  bool stereo = false;                // with policy tee: both parties
  // What the party wants to hear, as bytes, most wanted first; empty: nothing said.
  std::string_view payload_types = {};
  // Nobody asked for it: a limit that refuses it has no consequences.
  bool is_automatic = false;
};

class VoiceCalls {
 public:
  // Notices that are kept for those who ask for them later.
  static constexpr size_t kNoticesKept = 1024;

  // What a call does after its endpoint has gone.
  struct Consequences {
    std::function<Result<void>(Session&, LegId listener, const Prompts::Wanted&)> play;
    std::function<void(const Session&)> hang_up;  // its proxy is to end it
  };
  // All outlive it.
  VoiceCalls(SessionManager& sessions, VoiceEngine& engine, PayloadTypes types, const Clock& clock);

  void set_profiles(VoiceProfiles profiles) { profiles_ = std::move(profiles); }
  const VoiceProfiles& profiles() const { return profiles_; }
  void set_payload_types(const PayloadTypes& types) { types_ = types; }
  const PayloadTypes& payload_types() const { return types_; }
  void set_rules(VoiceRules rules) { rules_ = std::move(rules); }
  const VoiceRules& rules() const { return rules_; }
  void on_consequence(Consequences consequences) { consequences_ = std::move(consequences); }

  // Connects the party of `leg`. A voice session the leg already has is stopped.
  Result<VoiceId> start(Session& session, LegId leg, const VoiceRequest& request);
  // Of that leg, or the silence that one has left there; false when there is none.
  bool stop(Session& session, LegId leg);
  bool stop(VoiceId id);

  // A voice session without a call: it hears nothing and is heard by nobody, and takes leave after
  // kTestLength.
  static constexpr Duration kTestLength = std::chrono::seconds(10);
  Result<VoiceId> test(std::string_view profile);
  // Once a second.
  void tick();

  void on_report(VoiceReport report);
  // Each is told of every notice, at once and before anything follows from it; not to call back.
  using NoticeListener = std::function<void(const VoiceNotice&)>;
  void on_notice(NoticeListener listener) { listeners_.push_back(std::move(listener)); }

  struct Running {
    VoiceId id = 0;
    uint64_t session_serial = 0;
    std::string call_id, from_tag;
    LegId leg = LegId::callee;
    std::shared_ptr<const VoiceProfile> profile;
    VoicePolicy policy = VoicePolicy::replace;
    std::shared_ptr<VoicePath> path;
    Instant began{};
    bool is_ready = false;
    bool is_test = false;
    bool is_stopping = false;  // `ended` is still to come
    bool is_automatic = false, was_busy = false;
  };
  const std::map<VoiceId, Running>& running() const { return running_; }
  const Running* of_leg(const Session& session, LegId leg) const;
  VoiceFigures figures_of(const std::string& profile) const;
  uint64_t last_notice() const { return last_notice_; }
  // Those with a number above `after`, oldest first.
  std::vector<const VoiceNotice*> notices_after(uint64_t after) const;

 private:
  struct Part;

  uint8_t payload_type_for(const Session& session, LegId leg, std::string_view asked) const;
  Result<Part> prepare(const Session& session, LegId leg, VoicePolicy policy,
                       const VoiceProfile& profile, VoiceId id, std::string_view asked);
  void detach(Session& session, VoiceId id);
  void detach(const Running& running);
  static bool is_ours(const Running& running, const VoiceEvent& ended);
  bool hangs_up(const Running& running, const VoiceEvent& ended) const;
  void finish(const Running& running, const VoiceEvent& ended);
  void announce(const Running& running, Session& session);
  void note(const Running& running, VoiceReport report);

  SessionManager& sessions_;
  VoiceEngine& engine_;
  PayloadTypes types_;
  VoiceRules rules_;
  const Clock& clock_;
  VoiceProfiles profiles_;
  Consequences consequences_;
  std::map<VoiceId, Running> running_;
  struct Totals {  // what VoiceFigures says of sessions that are over
    std::array<uint64_t, kVoiceErrors> failures{};
    uint64_t heard_dropped = 0;
  };
  std::map<std::string, Totals, std::less<>> totals_;  // by profile
  VoiceId last_id_ = 0;
  std::deque<VoiceNotice> notices_;
  uint64_t last_notice_ = 0;
  std::vector<NoticeListener> listeners_;
};

}  // namespace relay
