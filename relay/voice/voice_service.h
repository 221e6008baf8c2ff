// The voice sessions of the whole relay, in the voice thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "relay/voice/voice_engine.h"
#include "relay/voice/voice_measures.h"
#include "relay/voice/voice_thread.h"

namespace relay {

class VoiceService final : public VoiceEngine {
 public:
  // `deliver` takes a report to the control thread; called from any thread, must not wait.
  using Deliver = std::function<void(VoiceReport)>;
  // `thread` outlives the service.
  VoiceService(VoiceThread& thread, Deliver deliver);
  // Leaves all endpoints without taking leave.
  ~VoiceService() override;
  VoiceService(const VoiceService&) = delete;
  VoiceService& operator=(const VoiceService&) = delete;

  void start(VoiceStart start) override;
  void stop(VoiceId id) override;
  VoiceWaker& waker() override { return thread_; }

  const VoiceCounters& counters_of(const std::string& profile) const override {
    return thread_.counters_of(profile);
  }
  const VoiceMeasures& measures_of(const std::string& profile) const override;

 private:
  struct Sessions;

  VoiceThread& thread_;
  const Deliver deliver_;
  std::shared_ptr<Sessions> sessions_;
};

}  // namespace relay
