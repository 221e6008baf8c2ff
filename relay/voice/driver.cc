#include "relay/voice/driver.h"

#include "relay/base/assert.h"
#include "relay/voice/drivers.h"
#include "relay/voice/profile.h"

namespace relay {
namespace {

MakeVoiceDriver* maker_of(const VoiceProfile& profile) {
  switch (profile.driver) {
    case VoiceDriverKind::twilio:
      return make_twilio_driver;
    case VoiceDriverKind::doubao:
      return profile.dialect == VoiceDialect::v3 ? make_doubao_v3_driver : make_doubao_v1_driver;
    case VoiceDriverKind::l16:
      return make_l16_driver;
    case VoiceDriverKind::openai:
      return make_openai_driver;
    case VoiceDriverKind::audiosocket:
      return make_audiosocket_driver;
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<VoiceDriver> make_voice_driver(const VoiceProfile& profile, const VoiceCall& call,
                                               VoiceSink& sink, VoiceCounters& counters) {
  MakeVoiceDriver* const make = maker_of(profile);
  RELAY_ASSERT(make != nullptr);
  return make(profile, call, sink, counters);
}

}  // namespace relay
