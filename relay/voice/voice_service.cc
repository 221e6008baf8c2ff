#include "relay/voice/voice_service.h"

#include <map>
#include <mutex>
#include <utility>

#include "relay/base/log.h"
#include "relay/voice/voice_session.h"

namespace relay {
namespace {

VoiceReport refusal(VoiceId id, bool is_end) {
  VoiceEvent event;
  event.kind = is_end ? VoiceEventKind::ended : VoiceEventKind::call_error;
  event.error = VoiceError::busy;
  event.fatal = true;
  event.outcome = VoiceOutcome::failed;
  event.text = is_end ? "" : "the voice thread does not keep up";
  return {id, steady_now(), event, std::nullopt};
}

}  // namespace

// Outlives the service until the voice thread has let go of it.
struct VoiceService::Sessions {
  std::map<VoiceId, std::unique_ptr<VoiceSession>> by_id;  // the voice thread's
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<VoiceMeasures>> measures;  // under mutex

  VoiceMeasures& measures_of(const std::string& profile) {
    const std::lock_guard lock(mutex);
    auto& found = measures[profile];
    if (!found) found = std::make_unique<VoiceMeasures>();
    return *found;
  }
};

VoiceService::VoiceService(VoiceThread& thread, Deliver deliver)
    : thread_(thread), deliver_(std::move(deliver)), sessions_(std::make_shared<Sessions>()) {
  const bool posted = thread_.post([this, sessions = sessions_] {
    thread_.on_wake([sessions] {
      for (const auto& [id, session] : sessions->by_id) session->look();
    });
  });
  if (!posted) log_error("the voice thread takes nothing at its start");
}

VoiceService::~VoiceService() {
  while (!thread_.post([&thread = thread_, sessions = sessions_] {
    thread.on_wake({});
    sessions->by_id.clear();
  })) {
    std::this_thread::yield();
  }
}

void VoiceService::start(VoiceStart start) {
  const VoiceId id = start.id;
  VoiceMeasures& measures = sessions_->measures_of(start.profile->name);
  const bool posted = thread_.post([&thread = thread_, &measures, deliver = deliver_,
                                    sessions = sessions_, start = std::move(start)] {
    const VoiceId own = start.id;
    const auto on_report = [&thread, deliver, sessions, own](VoiceReport report) {
      const bool ended = report.event && report.event->kind == VoiceEventKind::ended;
      deliver(std::move(report));
      if (!ended) return;
      // Not from inside of it. A thread that takes no more is about to let go of all of them.
      static_cast<void>(thread.post([sessions, own] { sessions->by_id.erase(own); }));
    };
    sessions->by_id[own] = std::make_unique<VoiceSession>(thread, start, measures, on_report);
  });
  if (posted) return;
  deliver_(refusal(id, false));
  deliver_(refusal(id, true));
}

void VoiceService::stop(VoiceId id) {
  const bool posted = thread_.post([sessions = sessions_, id] {
    const auto found = sessions->by_id.find(id);
    if (found != sessions->by_id.end()) found->second->stop();
  });
  if (!posted) log_error("the voice thread does not keep up, a voice session goes on id={}", id);
}

const VoiceMeasures& VoiceService::measures_of(const std::string& profile) const {
  return sessions_->measures_of(profile);
}

}  // namespace relay
