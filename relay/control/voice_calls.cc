#include "relay/control/voice_calls.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <utility>

#include "relay/base/log.h"
#include "relay/voice/comfort_noise.h"
#include "relay/voice/voice_source.h"
#include "relay/voice/voice_tap.h"

namespace relay {
namespace {

constexpr size_t kIdleFrames = 16;
constexpr int kIdleLevelDbov = -65;
constexpr uint8_t kPcmuType = 0, kPcmaType = 8;
constexpr uint16_t kAnnouncementPacketMs = 20;

// When the last tap and source of a voice session are gone, so is the voice session.
class Lease {
 public:
  Lease(VoiceEngine& engine, VoiceId id) : engine_(engine), id_(id) {}
  ~Lease() { engine_.stop(id_); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

 private:
  VoiceEngine& engine_;
  const VoiceId id_;
};

// Random numbers as RFC 3550 §5.1 and §8 want them.
std::mt19937& random_numbers() {
  static std::mt19937 numbers{std::random_device{}()};
  return numbers;
}

std::string new_uuid() {
  auto& random = random_numbers();
  const auto word = [&] { return static_cast<uint32_t>(random()); };
  const uint32_t version = (word() & 0x0FFF) | 0x4000, variant = (word() & 0x3FFF) | 0x8000;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:08x}{:04x}", word(), word() & 0xFFFF, version,
                     variant, word(), word() & 0xFFFF);
}

Result<std::vector<std::vector<std::byte>>> idle_payloads(AudioCodec codec, uint32_t rate_hz) {
  CodecSettings settings;
  settings.sample_rate_hz = rate_hz;
  auto encoder = make_encoder(codec, settings);
  if (!encoder) return tl::unexpected(encoder.error());
  ComfortNoise noise;
  noise.set_level_dbov(kIdleLevelDbov);
  std::vector<int16_t> samples(rate_hz / 50);
  std::array<std::byte, SpokenFrame::kPayloadBytesMax> payload;
  std::vector<std::vector<std::byte>> payloads;
  for (size_t i = 0; i < kIdleFrames; ++i) {
    noise.fill(samples);
    const size_t bytes = (*encoder)->encode(samples, payload);
    payloads.emplace_back(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(bytes));
  }
  return payloads;
}

AudioFormat::Encoding encoding_of(AudioCodec codec) {
  if (codec == AudioCodec::pcmu) return AudioFormat::Encoding::pcmu;
  if (codec == AudioCodec::pcma) return AudioFormat::Encoding::pcma;
  return AudioFormat::Encoding::s16;
}

bool mixes(VoicePolicy policy) {
  return policy == VoicePolicy::mix || policy == VoicePolicy::whisper;
}

bool is_tap_of(const std::unique_ptr<Tap>& tap, VoiceId id) {
  const auto* voice = dynamic_cast<const VoiceTap*>(tap.get());
  return voice != nullptr && voice->id() == id;
}

int64_t wall_now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

// One leg's share in a voice session.
struct VoiceCalls::Part {
  VoiceDialogueSettings::Leg media;
  AudioCodec codec = AudioCodec::pcmu;
  std::unique_ptr<Source> source;  // null: the endpoint is not heard there
};

VoiceCalls::VoiceCalls(SessionManager& sessions, VoiceEngine& engine, PayloadTypes types,
                       const Clock& clock)
    : sessions_(sessions), engine_(engine), types_(std::move(types)), clock_(clock) {}

uint8_t VoiceCalls::payload_type_for(const Session& session, LegId leg,
                                     std::string_view asked) const {
  PayloadTypes::Known known{asked, {}, session.leg(leg).codecs};
  const auto analysis = relay::figures_of(*session.flows, leg, Component::rtp).analysis;
  if (analysis.received > 0 && analysis.payload_type_last >= 0) {
    known.heard = static_cast<uint8_t>(analysis.payload_type_last);
  }
  return types_.choose(known);
}

Result<VoiceCalls::Part> VoiceCalls::prepare(const Session& session, LegId leg, VoicePolicy policy,
                                             const VoiceProfile& profile, VoiceId id,
                                             std::string_view asked) {
  Part part;
  part.media.path = std::make_shared<VoicePath>();
  const uint8_t payload_type = payload_type_for(session, leg, asked);
  part.codec = types_.codec_of(payload_type);
  if (policy == VoicePolicy::tee) return part;
  part.media.speaks = true;
  part.media.playout = {part.codec, types_.sample_rate_hz(payload_type), profile.prebuffer};
  VoiceStreamFormat format;
  format.payload_type = payload_type;
  format.clock_rate_hz = types_.clock_rate_hz(payload_type);
  auto idle = idle_payloads(part.codec, part.media.playout.rate_hz);
  if (!idle) return tl::unexpected(idle.error());
  format.idle_payloads = std::move(*idle);
  OtherParty other_party = OtherParty::silent;
  if (policy == VoicePolicy::mute_other) other_party = OtherParty::muted;
  if (mixes(policy)) other_party = OtherParty::mixed_in;
  auto& random = random_numbers();
  const VoiceSource::Beginning beginning{static_cast<uint32_t>(random()),
                                         static_cast<uint32_t>(random()),
                                         static_cast<uint16_t>(random())};
  part.source =
      std::make_unique<VoiceSource>(id, part.media.path, std::move(format), other_party, beginning);
  return part;
}

Result<VoiceId> VoiceCalls::start(Session& session, LegId leg, const VoiceRequest& request) {
  const auto found = profiles_.find(request.profile);
  if (found == profiles_.end()) {
    return fail(
        fmt::format("no voice profile {}: expected one of [voice.NAME] in the "
                    "configuration file",
                    quoted(request.profile)));
  }
  stop(session, leg);
  const auto& profile = found->second;
  const VoicePolicy policy = request.policy.value_or(profile->policy);
  const VoiceId id = ++last_id_;
  auto near = prepare(session, leg, policy, *profile, id, request.payload_types);
  if (!near) return tl::unexpected(near.error());
  const bool hears_both = mixes(policy) || request.stereo;
  Part far;
  if (hears_both) {
    // The other party is heard; only `mix` speaks to it.
    auto prepared =
        prepare(session, other(leg), policy == VoicePolicy::mix ? policy : VoicePolicy::tee,
                *profile, id, {});
    if (!prepared) return tl::unexpected(prepared.error());
    far = std::move(*prepared);
  }

  VoiceStart start;
  start.id = id;
  start.profile = profile;
  start.call.call_id = session.call_id;
  start.call.session_id = new_uuid();
  start.call.url = request.url;
  start.call.listen_only = policy == VoicePolicy::tee;
  start.call.stereo = request.stereo;
  start.call.leg_encoding = encoding_of(near->codec);
  start.media.near = near->media;
  start.media.far = far.media;
  start.media.types = types_;
  start.media.mixes = mixes(policy);
  start.media.barge_in_after = profile->barge_in_after;

  const auto lease = std::make_shared<Lease>(engine_, id);
  const auto attach = [&](LegId to, Part& part) {
    if (part.media.path == nullptr) return true;
    auto tap = std::make_unique<VoiceTap>(id, part.media.path, engine_.waker(), lease);
    if (!sessions_.attach(session, to, std::move(tap))) return false;
    if (part.source) sessions_.set_source(session, to, std::move(part.source));
    return true;
  };
  Running running{id,      session.serial, session.call_id,  session.from_tag, leg,
                  profile, policy,         near->media.path, clock_.now()};
  running.is_automatic = request.is_automatic;
  engine_.start(std::move(start));
  if (!attach(leg, *near) || !attach(other(leg), far)) {
    detach(running);
    return fail("too many recordings, copies and voices on one party of the call");
  }
  running_.emplace(id, std::move(running));
  return id;
}

// Of a call that waits for another branch to answer nothing is attached any more, while the
// endpoint still takes its leave.
const VoiceCalls::Running* VoiceCalls::of_leg(const Session& session, LegId leg) const {
  const auto& taps = session.leg(leg).taps;
  for (const auto& entry : running_) {
    const Running& running = entry.second;
    if (running.session_serial != session.serial || running.leg != leg) continue;
    const bool is_attached = std::any_of(
        taps.begin(), taps.end(), [&](const auto& tap) { return is_tap_of(tap, running.id); });
    if (is_attached && !running.is_stopping) return &running;
  }
  return nullptr;
}

bool VoiceCalls::stop(Session& session, LegId leg) {
  if (const Running* running = of_leg(session, leg)) return stop(running->id);
  const auto* left = dynamic_cast<const VoiceSource*>(session.leg(leg).source.get());
  if (left == nullptr || running_.contains(left->id())) return false;
  detach(session, left->id());
  return true;
}

// No worker takes frames out of its path, so what the endpoint says is queued and forgotten.
Result<VoiceId> VoiceCalls::test(std::string_view name) {
  const auto found = profiles_.find(name);
  if (found == profiles_.end()) return fail("no voice profile " + quoted(name));
  VoiceStart start;
  start.id = ++last_id_;
  start.profile = found->second;
  start.call.call_id = fmt::format("voicetest-{}", start.id);
  start.call.session_id = new_uuid();
  start.media.near.path = std::make_shared<VoicePath>();
  start.media.types = types_;
  Running running;
  running.id = start.id;
  running.call_id = start.call.call_id;
  running.profile = start.profile;
  running.path = start.media.near.path;
  running.began = clock_.now();
  running.is_test = true;
  running_.emplace(start.id, running);
  engine_.start(std::move(start));
  return running.id;
}

void VoiceCalls::tick() {
  for (const auto& [id, running] : running_) {
    if (running.is_test && clock_.now() - running.began >= kTestLength) engine_.stop(id);
  }
}

VoiceFigures VoiceCalls::figures_of(const std::string& profile) const {
  VoiceFigures figures{engine_.counters_of(profile), engine_.measures_of(profile)};
  if (const auto found = totals_.find(profile); found != totals_.end()) {
    figures.failures = found->second.failures;
    figures.heard_dropped = found->second.heard_dropped;
  }
  for (const auto& [id, running] : running_) {
    if (running.profile->name != profile) continue;
    ++figures.running;
    figures.heard_dropped += running.path->heard_dropped.get();
  }
  return figures;
}

bool VoiceCalls::stop(VoiceId id) {
  const auto found = running_.find(id);
  if (found == running_.end() || found->second.is_stopping) return false;
  found->second.is_stopping = true;
  engine_.stop(id);
  detach(found->second);
  return true;
}

void VoiceCalls::detach(const Running& running) {
  Session* session = sessions_.table().by_serial(running.session_serial);
  if (session != nullptr) detach(*session, running.id);
}

// Its taps, and its sources where nothing else has taken their place.
void VoiceCalls::detach(Session& session, VoiceId id) {
  for (const LegId leg : kLegs) {
    std::vector<const Tap*> own;
    for (const auto& tap : session.leg(leg).taps) {
      if (is_tap_of(tap, id)) own.push_back(tap.get());
    }
    for (const Tap* tap : own) sessions_.detach(session, leg, *tap);
    const auto* source = dynamic_cast<const VoiceSource*>(session.leg(leg).source.get());
    if (source != nullptr && source->id() == id) sessions_.set_source(session, leg, nullptr);
  }
}

void VoiceCalls::on_report(VoiceReport report) {
  const auto found = running_.find(report.id);
  if (found == running_.end()) return;
  const VoiceEvent event = report.event.value_or(VoiceEvent{});
  const bool is_end = report.event && event.kind == VoiceEventKind::ended;
  if (report.event && event.kind == VoiceEventKind::started) found->second.is_ready = true;
  if (report.event && event.kind == VoiceEventKind::call_error) {
    found->second.was_busy = event.error == VoiceError::busy;
    Totals& totals = totals_[found->second.profile->name];
    if (event.fatal) ++totals.failures[static_cast<size_t>(event.error)];
  }
  if (is_end && hangs_up(found->second, event)) {
    VoiceReport hangup = report;
    hangup.event->kind = VoiceEventKind::hangup;
    note(found->second, std::move(hangup));
  }
  note(found->second, std::move(report));
  if (!is_end) return;
  const Running running = std::move(found->second);
  running_.erase(found);
  totals_[running.profile->name].heard_dropped += running.path->heard_dropped.get();
  finish(running, event);
}

// What we stopped ourselves has no consequences, however it ended, nor what a limit has refused and
// nobody has asked for.
bool VoiceCalls::is_ours(const Running& running, const VoiceEvent& ended) {
  return running.is_stopping || (running.is_automatic && running.was_busy) ||
         ended.outcome == VoiceOutcome::stopped;
}

bool VoiceCalls::hangs_up(const Running& running, const VoiceEvent& ended) const {
  const bool is_there = sessions_.table().by_serial(running.session_serial) != nullptr;
  if (is_ours(running, ended) || !is_there) return false;
  return ended.outcome == VoiceOutcome::failed
             ? running.profile->on_fail == VoiceFailPolicy::hangup_event
             : running.profile->on_end == VoiceEndPolicy::hangup_event;
}

void VoiceCalls::finish(const Running& running, const VoiceEvent& ended) {
  const bool failed = ended.outcome == VoiceOutcome::failed && !is_ours(running, ended);
  const VoiceFailPolicy on_fail = running.profile->on_fail;
  if (!failed || on_fail != VoiceFailPolicy::silence) detach(running);
  Session* session = sessions_.table().by_serial(running.session_serial);
  if (session == nullptr) return;
  if (failed && on_fail == VoiceFailPolicy::play) announce(running, *session);
  if (hangs_up(running, ended) && consequences_.hang_up) consequences_.hang_up(*session);
}

// To whom heard the endpoint, in what they heard it in if the file is there in that, else in what
// else they may understand.
void VoiceCalls::announce(const Running& running, Session& session) {
  if (!consequences_.play || running.policy == VoicePolicy::tee) return;
  for (const LegId leg : kLegs) {
    if (leg != running.leg && running.policy != VoicePolicy::mix) continue;
    Prompts::Wanted wanted;
    wanted.name = running.profile->on_fail_file;
    wanted.packet_ms = kAnnouncementPacketMs;
    wanted.is_trusted = true;
    const std::string& codecs = session.leg(leg).codecs;
    wanted.payload_types = {payload_type_for(session, leg, {})};
    wanted.payload_types.insert(wanted.payload_types.end(), codecs.begin(), codecs.end());
    wanted.payload_types.insert(wanted.payload_types.end(), {kPcmuType, kPcmaType});
    if (const auto played = consequences_.play(session, leg, wanted); !played) {
      log_warning("announcement not played call_id={} name={} reason={}", quoted(session.call_id),
                  quoted(wanted.name), played.error().message);
    }
  }
}

void VoiceCalls::note(const Running& running, VoiceReport report) {
  VoiceNotice notice;
  notice.number = ++last_notice_;
  notice.wall_ms = wall_now_ms();
  notice.id = running.id;
  notice.session_serial = running.session_serial;
  notice.call_id = running.call_id;
  notice.from_tag = running.from_tag;
  notice.profile = running.profile->name;
  notice.report = std::move(report);
  if (notices_.size() == kNoticesKept) notices_.pop_front();
  notices_.push_back(std::move(notice));
  for (const NoticeListener& listener : listeners_) listener(notices_.back());
}

std::vector<const VoiceNotice*> VoiceCalls::notices_after(uint64_t after) const {
  std::vector<const VoiceNotice*> found;
  for (const VoiceNotice& notice : notices_) {
    if (notice.number > after) found.push_back(&notice);
  }
  return found;
}

}  // namespace relay
