// R, C and N: what a party sends is recorded in files or copied to somebody else.
//
// Taps say themselves what they are: a leg's recordings and copies are those of its taps.
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ctlproto/error_codes.h"
#include "relay/base/log.h"
#include "relay/control/auto_voices.h"
#include "relay/control/handlers.h"
#include "relay/media/record_directory.h"
#include "relay/session/tags.h"
#include "relay/session/udp_copy.h"

namespace relay {
namespace {

namespace error = ctlproto::error;

// In file names.
constexpr std::string_view kOfCaller = ".o", kOfCallee = ".a";

std::optional<std::string_view> view(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return *text;
}

template <typename Kind>
const Kind* as(const std::unique_ptr<Tap>& tap) {
  return dynamic_cast<const Kind*>(tap.get());
}

struct Wanted {
  RecordingFiles files;
  // rtpproxy's `s`: fails where the party is recorded already.
  bool is_exclusive = false;
};

// Both directions go into one file, and RTCP nowhere.
bool is_sound(const Recorder& recorder) {
  return recorder.settings().format == RecordFormat::wav;
}

// Both directions and RTCP go into one file.
bool takes_one_file(const Recorder& recorder, bool single_file) {
  return single_file && recorder.settings().format == RecordFormat::pcap;
}

Wanted files_of_call(const Recorder& recorder, const Session& session, LegId leg,
                     bool single_file) {
  const std::string stem = call_stem(session.call_id, session.from_tag);
  const bool with_rtcp = recorder.settings().with_rtcp;
  if (is_sound(recorder)) return {{file_name(stem, ".wav"), ""}, false};
  if (takes_one_file(recorder, single_file)) {
    const std::string name = file_name(stem, ".pcap");
    return {{name, with_rtcp ? name : ""}, true};
  }
  const std::string side(leg == LegId::caller ? kOfCaller : kOfCallee);
  return {{file_name(stem, side + ".rtp"), with_rtcp ? file_name(stem, side + ".rtcp") : ""},
          false};
}

Wanted files_of_name(const Recorder& recorder, const std::string& name, bool single_file) {
  const bool with_rtcp = recorder.settings().with_rtcp;
  if (is_sound(recorder)) return {{file_name(name, ".wav"), ""}, false};
  if (takes_one_file(recorder, single_file)) {
    const std::string file = file_name(name, "");
    return {{file, with_rtcp ? file : ""}, true};
  }
  return {{file_name(name, ".rtp"), with_rtcp ? file_name(name, ".rtcp") : ""}, false};
}

// The leg's recording into these files.
std::shared_ptr<Recording> recording_into(const SessionLeg& leg, const RecordingFiles& files) {
  for (const auto& tap : leg.taps) {
    const auto* recording = as<RecordingTap>(tap);
    if (recording != nullptr && recording->recording().files() == files) {
      return recording->shared();
    }
  }
  return nullptr;
}

bool is_recorded(const SessionLeg& leg) {
  for (const auto& tap : leg.taps) {
    const auto* recording = as<RecordingTap>(tap);
    if (recording != nullptr && recording->recording().state() != Recording::State::broken_off) {
      return true;
    }
  }
  return false;
}

template <typename Chosen>
size_t detach_taps(HandlerContext& context, Session& session, LegId leg, Chosen chosen) {
  std::vector<const Tap*> taps;
  for (const auto& tap : session.leg(leg).taps) {
    if (chosen(tap)) taps.push_back(tap.get());
  }
  for (const Tap* tap : taps) context.sessions.detach(session, leg, *tap);
  return taps.size();
}

Result<void> record(HandlerContext& context, Session& session, LegId leg, const Wanted& wanted) {
  if (wanted.is_exclusive && is_recorded(session.leg(leg))) {
    return fail("the party is being recorded already");
  }
  if (const auto running = recording_into(session.leg(leg), wanted.files)) {
    if (running->state() != Recording::State::broken_off) return {};
    detach_taps(context, session, leg, [&](const auto& tap) {
      const auto* recording = as<RecordingTap>(tap);
      return recording != nullptr && &recording->recording() == running.get();
    });
  }
  auto recording = recording_into(session.leg(other(leg)), wanted.files);
  if (!recording || recording->state() == Recording::State::broken_off) {
    auto begun = context.recording.recorder->begin(wanted.files);
    if (!begun) return tl::unexpected(begun.error());
    recording = std::move(*begun);
  }
  if (!context.sessions.attach(session, leg, std::make_unique<RecordingTap>(recording))) {
    return fail("too many have to do with this party's media");
  }
  log_info("recording started call_id={} from_tag={} file={}", quoted(session.call_id),
           quoted(session.from_tag), quoted(wanted.files.rtp));
  return {};
}

// As rtpproxy: a party that is recorded with its other party into one file, by Rs or -a, is
// recorded as far as R goes.
Result<void> record_call(HandlerContext& context, Session& session, LegId leg, bool single_file) {
  if (context.recording.recorder == nullptr) return fail("there is no recording directory, -r");
  const Recorder& recorder = *context.recording.recorder;
  const Wanted wanted = files_of_call(recorder, session, leg, single_file);
  if (!wanted.is_exclusive) {
    const auto joint =
        recording_into(session.leg(leg), files_of_call(recorder, session, leg, true).files);
    if (joint && joint->state() != Recording::State::broken_off) return {};
  }
  return record(context, session, leg, wanted);
}

// Whom R and N mean: all media of the call whose tag is `from`, else `to`.
struct NamedLeg {
  Session* session;
  LegId leg;
};
std::vector<NamedLeg> named_legs(const HandlerContext& context, std::string_view call_id,
                                 std::string_view from, std::optional<std::string_view> to) {
  std::vector<NamedLeg> legs;
  for (Session* session : context.sessions.table().of_call(call_id)) {
    if (session->lingering) continue;
    if (match_tag(session->from_tag, from) != TagMatch::none) {
      legs.push_back({session, LegId::caller});
    } else if (to && match_tag(session->from_tag, *to) != TagMatch::none) {
      legs.push_back({session, LegId::callee});
    }
  }
  return legs;
}

void note_failure(HandlerContext& context, std::string_view verb, std::string_view call_id,
                  const std::string& reason) {
  context.refusals.warning("{} failed call_id={} reason={}", verb, quoted(call_id), reason);
}

// `udp:HOST:PORT` without the scheme; split at the last colon, as rtpproxy does.
Result<Endpoint> parse_copy_target(std::string_view text, bool with_rtcp) {
  const size_t colon = text.rfind(':');
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const auto address = IpAddress::parse(host);
  const std::string_view digits = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  unsigned port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, wrong] = std::from_chars(digits.data(), end, port);
  const unsigned port_max = with_rtcp ? 65534 : 65535;
  if (!address || address->is_any() || digits.empty() || wrong != std::errc{} || rest != end ||
      port == 0 || port > port_max) {
    return fail("target udp:" + quoted(text) + ": expected udp:ADDRESS:PORT with a numeric " +
                "address (names are not looked up) and a port up to " + std::to_string(port_max));
  }
  return Endpoint{*address, static_cast<uint16_t>(port)};
}

const UdpCopy* copy_to(const SessionLeg& leg, const Endpoint& to) {
  for (const auto& tap : leg.taps) {
    const auto* copy = as<UdpCopy>(tap);
    if (copy != nullptr && copy->to() == to) return copy;
  }
  return nullptr;
}

// The copy's local endpoint; one that runs already goes on.
Result<Endpoint> start_copy(HandlerContext& context, Session& session, LegId leg,
                            std::string_view target) {
  const bool with_rtcp = context.recording.copy_rtcp;
  const auto to = parse_copy_target(target, with_rtcp);
  if (!to) return tl::unexpected(to.error());
  if (const UdpCopy* running = copy_to(session.leg(leg), *to)) return running->local();
  auto ports = context.sessions.open_ports_towards(*to, session.leg(leg));
  if (!ports) return fail(std::move(ports.error().message));
  auto copy = std::make_unique<UdpCopy>(std::move(*ports), *to, with_rtcp);
  const Endpoint local = copy->local();
  if (!context.sessions.attach(session, leg, std::move(copy))) {
    return fail("too many have to do with this party's media");
  }
  log_info("copy started call_id={} from_tag={} to={} local={}", quoted(session.call_id),
           quoted(session.from_tag), to->to_string(), local.to_string());
  return local;
}

Result<void> copy_to_file(HandlerContext& context, Session& session, LegId leg,
                          const ctlproto::Copy& request) {
  if (context.recording.recorder == nullptr) return fail("there is no recording directory, -r");
  if (request.report_port) return fail("p is for copies to udp:");
  if (!is_plain_name(request.target)) {
    return fail("file " + quoted(request.target) + ": expected a name without /");
  }
  const Recorder& recorder = *context.recording.recorder;
  return record(context, session, leg,
                files_of_name(recorder, request.target, request.single_file));
}

}  // namespace

void record_new_session(HandlerContext& context, Session& session) {
  if (context.recording.recorder == nullptr) return;
  for (const LegId leg : kLegs) {
    const auto recorded = record_call(context, session, leg, true);
    if (!recorded) note_failure(context, "-a", session.call_id, recorded.error().message);
  }
}

std::string handle(HandlerContext& context, const ctlproto::Record& request) {
  bool any = false;
  for (const auto [session, leg] :
       named_legs(context, request.call_id, request.from_tag, view(request.to_tag))) {
    const auto listened_to = listen_as_recorded(context, *session, leg);
    any = any || listened_to;
    if (listened_to && listened_to->instead) continue;
    const auto recorded = record_call(context, *session, leg, request.single_file);
    if (!recorded) note_failure(context, "R", request.call_id, recorded.error().message);
    any = any || recorded;
  }
  return any ? "0" : error_reply(error::session_not_found);
}

std::string handle(HandlerContext& context, const ctlproto::Copy& request) {
  const auto match = context.sessions.find(request.call_id, request.from_tag, view(request.to_tag));
  if (!match) return error_reply(error::session_not_found);
  constexpr std::string_view kUdp = "udp:";
  const LegId leg = other(match->leg_of_update);
  if (request.target.starts_with(kVoicePrefix)) {
    const auto teed =
        start_voice_tee(context, *match->session, leg, request.target, request.single_file);
    if (teed) return "0";
    note_failure(context, "C", request.call_id, teed.error().message);
    return error_reply(error::copy_failed);
  }
  if (!request.target.starts_with(kUdp)) {
    const auto recorded = copy_to_file(context, *match->session, leg, request);
    if (recorded) return "0";
    note_failure(context, "C", request.call_id, recorded.error().message);
    return error_reply(error::copy_failed);
  }
  const auto local = start_copy(context, *match->session, leg,
                                std::string_view(request.target).substr(kUdp.size()));
  if (!local) {
    note_failure(context, "C", request.call_id, local.error().message);
    return error_reply(error::copy_failed);
  }
  if (!request.report_port) return "0";
  return std::to_string(local->port) + " " + local->address.to_string() +
         (local->address.is_ipv6() ? " 6" : "");
}

std::string handle(HandlerContext& context, const ctlproto::StopRecord& request) {
  size_t stopped = 0;
  for (const auto [session, named] :
       named_legs(context, request.call_id, request.from_tag, view(request.to_tag))) {
    for (const LegId leg : kLegs) {
      if (leg != named && !request.both_directions) continue;
      stopped += detach_taps(context, *session, leg, [](const auto& tap) {
        return as<RecordingTap>(tap) != nullptr || as<UdpCopy>(tap) != nullptr;
      });
      if (stop_voice(context, *session, leg, VoiceRole::listens)) ++stopped;
    }
  }
  return stopped > 0 ? "0" : error_reply(error::session_not_found);
}

}  // namespace relay
