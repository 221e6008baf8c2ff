// An engine that notes what it is told and reports nothing by itself.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "relay/voice/voice_engine.h"

namespace relay {

class FakeVoiceEngine final : public VoiceEngine, private VoiceWaker {
 public:
  void start(VoiceStart start) override { started.push_back(std::move(start)); }
  void stop(VoiceId id) override {
    if (std::find(stopped.begin(), stopped.end(), id) == stopped.end()) stopped.push_back(id);
  }
  VoiceWaker& waker() override { return *this; }
  const VoiceCounters& counters_of(const std::string&) const override { return counters; }
  const VoiceMeasures& measures_of(const std::string&) const override { return measures; }
  VoiceCounters counters;
  VoiceMeasures measures;
  std::vector<VoiceStart> started;
  std::vector<VoiceId> stopped;

 private:
  void wake() override {}
};

inline std::shared_ptr<const VoiceProfile> voice_profile(const std::string& name,
                                                         VoiceProfileConfig config = {}) {
  auto profile = std::make_shared<VoiceProfile>();
  static_cast<VoiceProfileConfig&>(*profile) = std::move(config);
  profile->name = name;
  return profile;
}

}  // namespace relay
