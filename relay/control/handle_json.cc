// J: the same facts as Q, I and G and more, as one line of JSON for tools.
#include <nlohmann/json.hpp>

#include <array>
#include <charconv>

#include "ctlproto/error_codes.h"
#include "relay/control/handlers.h"
#include "relay/control/json_text.h"
#include "relay/control/prompts.h"
#include "relay/flow/latch_text.h"
#include "relay/session/udp_copy.h"

namespace relay {
namespace {

using nlohmann::json;

// A page of `J sessions` stays below 32 KiB.
constexpr size_t kPageBytesMax = 32 * 1024;
constexpr size_t kPageReserveBytes = 256;
constexpr size_t kPageStep = 64;
constexpr size_t kListedTextBytesMax = 1024;
// Sessions (media) shown of one call.
constexpr size_t kDetailedSessionsMax = 16;

struct NameAndHelp {
  const char* name;
  const char* help;
};
constexpr auto kDropNames = std::to_array<NameAndHelp>({
#define DROP_REASON(name, help) {#name, help},
#include "relay/flow/drop_reason.def"
#undef DROP_REASON
});
constexpr auto kPuntNames = std::to_array<NameAndHelp>({
#define PUNT_REASON(name, help) {#name, help},
#include "relay/flow/punt_reason.def"
#undef PUNT_REASON
});
constexpr auto kEventNames = std::to_array<NameAndHelp>({
#define SESSION_EVENT(name, help) {#name, help},
#include "relay/flow/event.def"
#undef SESSION_EVENT
});

json endpoint_or_null(const Endpoint& endpoint) {
  return endpoint.valid() ? json(endpoint.to_string()) : json(nullptr);
}

const char* to_text(LatchPolicy policy) {
  switch (policy) {
    case LatchPolicy::strict:
      return "strict";
    case LatchPolicy::compat:
      return "compat";
    case LatchPolicy::asymmetric:
      break;
  }
  return "asymmetric";
}

template <typename CountOf>
json drops_json(CountOf count_of) {
  json drops = json::object();
  for (size_t i = 0; i < kDropReasons; ++i) {
    const uint64_t count = count_of(i);
    if (count != 0) drops[std::string(to_string(static_cast<DropReason>(i)))] = count;
  }
  return drops;
}

json flow_json(const FlowFigures& figures) {
  return {{"received", figures.received},
          {"received_bytes", figures.received_bytes},
          {"forwarded", figures.forwarded},
          {"punted", figures.punted},
          {"consumed", figures.consumed},
          {"emitted", figures.emitted},
          {"dropped", drops_json([&](size_t i) { return figures.drops[i]; })}};
}

// A flow's figures in the kernel, over all the times it was there; null: it never was.
json kernel_json(const KernelShare& share, bool in_kernel) {
  const KernelFlowStats* live = share.live.load(std::memory_order_relaxed);
  const auto sum = [&](const __u64& before, const __u64* now) {
    return uint64_t{before} + (now != nullptr ? read_kernel_counter(*now) : 0);
  };
  const KernelFlowStats before = share.before ? *share.before : KernelFlowStats{};
  const uint64_t received = sum(before.received, live != nullptr ? &live->received : nullptr);
  if (received == 0 && !in_kernel) return nullptr;
  json punted = json::object();
  for (size_t i = 0; i < kPuntNames.size(); ++i) {
    const uint64_t count = sum(before.punts[i], live != nullptr ? &live->punts[i] : nullptr);
    if (count != 0) punted[kPuntNames[i].name] = count;
  }
  return {{"received", received},
          {"forwarded", sum(before.forwarded, live != nullptr ? &live->forwarded : nullptr)},
          {"dropped", drops_json([&](size_t i) {
             return sum(before.drops[i], live != nullptr ? &live->drops[i] : nullptr);
           })},
          {"punted", std::move(punted)}};
}

json path_json(const HandlerContext& context, const Session& session, LegId id,
               Component component) {
  const FlowPath path = context.plane.path_of(*session.flows, id, component);
  json result = {{"plane", path.in_kernel ? "kernel" : "user_space"}};
  if (path.in_kernel) {
    result["since_s"] = seconds(context.clock.now() - path.in_kernel_since);
  } else {
    result["reason"] = path.reason;
  }
  if (!path.came_back.empty()) result["came_back"] = path.came_back;
  json kernel = kernel_json(session.flows->kernel_of(id, component), path.in_kernel);
  if (!kernel.is_null()) result["kernel"] = std::move(kernel);
  return result;
}

json events_json(const HandlerContext& context, const Session& session) {
  json events = json::array();
  for (const PastEvent& past : past_events(*session.flows)) {
    json event = {{"event", to_string(past.event)},
                  {"age_s", seconds(context.clock.now() - past.at)}};
    if (past.of_leg) event["leg"] = past.leg == LegId::callee ? "callee" : "caller";
    events.push_back(std::move(event));
  }
  return events;
}

// What the names in a reply mean, so that a tool need not know this version's.
json help_json() {
  const auto texts = [](const auto& rows) {
    json result = json::object();
    for (const NameAndHelp& row : rows) result[row.name] = row.help;
    return result;
  };
  return {
      {"dropped", texts(kDropNames)}, {"punted", texts(kPuntNames)}, {"event", texts(kEventNames)}};
}

json rtp_json(const FlowFigures& figures) {
  json result = flow_json(figures);
  const AnalyserTotals& analysis = figures.analysis;
  if (analysis.ssrc_changes == 0) return result;
  result["stream"] = {{"ssrc", analysis.ssrc_last},
                      {"ssrc_changes", analysis.ssrc_changes},
                      {"payload_type", analysis.payload_type_last},
                      {"sent", analysis.sent},
                      {"received", analysis.received},
                      {"lost", analysis.lost()},
                      {"duplicates", analysis.duplicates},
                      {"parse_errors", analysis.parse_errors},
                      {"jitter_last", analysis.jitter_last},
                      {"jitter_max", analysis.jitter_max},
                      {"jitter_average", analysis.jitter_average},
                      {"longest_gap_s", seconds(analysis.longest_gap)}};
  return result;
}

json latch_json(const LatchState& latch, Instant now) {
  json result = {{"rank", to_text(latch.rank)},
                 {"holder", endpoint_or_null(latch.holder)},
                 {"holders", latch.holders},
                 {"contested", latch.contested},
                 {"egress", endpoint_or_null(latch.egress)}};
  if (latch.holder.valid()) result["held_s"] = seconds(now - latch.held_since);
  return result;
}

const char* to_text(Recording::State state) {
  switch (state) {
    case Recording::State::waiting:
      return "waiting";
    case Recording::State::running:
      return "running";
    case Recording::State::broken_off:
      break;
  }
  return "broken_off";
}

json recordings_json(const SessionLeg& leg) {
  json recordings = json::array();
  for (const auto& tap : leg.taps) {
    const auto* recorded = dynamic_cast<const RecordingTap*>(tap.get());
    if (recorded == nullptr) continue;
    const Recording& recording = recorded->recording();
    json entry = {{"file", recording.files().rtp},       {"rtcp_file", recording.files().rtcp},
                  {"state", to_text(recording.state())}, {"packets", recording.packets()},
                  {"bytes", recording.bytes()},          {"missing", recording.missing()}};
    if (const std::string why = recording.why_broken_off(); !why.empty()) entry["reason"] = why;
    recordings.push_back(std::move(entry));
  }
  return recordings;
}

json copies_json(const SessionLeg& leg) {
  json copies = json::array();
  for (const auto& tap : leg.taps) {
    const auto* copy = dynamic_cast<const UdpCopy*>(tap.get());
    if (copy == nullptr) continue;
    copies.push_back({{"to", copy->to().to_string()},
                      {"local", copy->local().to_string()},
                      {"sent", copy->sent()},
                      {"failed", copy->failed()}});
  }
  return copies;
}

json recorder_json(const Recorder* recorder) {
  if (recorder == nullptr) return nullptr;
  json counters = json::object();
  const RecordFigures figures = recorder->figures();
  for (size_t i = 0; i < figures.size(); ++i) {
    counters[std::string(kRecordCounterNames[i])] = figures[i];
  }
  return counters;
}

json prompt_json(const Session& session, LegId listener) {
  const Prompt* prompt = prompt_of(session, listener);
  if (prompt == nullptr) return nullptr;
  const Prompt::Progress progress = prompt->progress();
  const CodecTraits& codec = traits_of(prompt->audio().codec);
  return {{"name", prompt->prompt_name()},
          {"codec", codec.name},
          {"payload_type", codec.payload_type},
          {"packet_ms", prompt->packet_ms()},
          {"packets", progress.packets},
          {"position_s", seconds(progress.position)},
          {"times_left", progress.times_left < 0 ? json(nullptr) : json(progress.times_left)}};
}

json prompts_json(const Prompts& prompts) {
  return {{"created", prompts.created()}, {"destroyed", prompts.destroyed()}};
}

json leg_json(const HandlerContext& context, const Session& session, LegId id) {
  const LegSpec& spec = session.leg_spec(id);
  json codecs = json::array();
  for (const char type : session.leg(id).codecs) codecs.push_back(static_cast<uint8_t>(type));
  json rtcp = flow_json(figures_of(*session.flows, id, Component::rtcp));
  rtcp["path"] = path_json(context, session, id, Component::rtcp);
  return {{"open", spec.open()},
          {"local", spec.open() ? endpoint_or_null(spec.local) : json(nullptr)},
          {"signalled", spec.signalled ? endpoint_or_null(*spec.signalled) : json(nullptr)},
          {"policy", to_text(spec.policy)},
          {"codecs", std::move(codecs)},
          {"latch", latch_json(session.flows->latch_of(id), context.clock.now())},
          {"path", path_json(context, session, id, Component::rtp)},
          {"prompt", prompt_json(session, id)},
          {"recordings", recordings_json(session.leg(id))},
          {"copies", copies_json(session.leg(id))},
          {"rtp", rtp_json(figures_of(*session.flows, id, Component::rtp))},
          {"rtcp", std::move(rtcp)}};
}

json session_json(const HandlerContext& context, const Session& session) {
  json answered = json::array();
  for (const Answer& answer : session.answers) {
    answered.push_back(
        {{"tag", answer.tag},
         {"signalled", answer.signalled ? endpoint_or_null(*answer.signalled) : json(nullptr)}});
  }
  return {{"from_tag", session.from_tag},
          {"answered", std::move(answered)},
          {"complete", session.spec.complete},
          {"lingering", session.lingering},
          {"age_s", seconds(context.clock.now() - session.created)},
          {"ttl_s", context.sessions.remaining_ttl(session).count()},
          {"events", events_json(context, session)},
          {"events_forgotten", session.flows->events.forgotten()},
          {"callee", leg_json(context, session, LegId::callee)},
          {"caller", leg_json(context, session, LegId::caller)}};
}

std::string one_call(const HandlerContext& context, const std::string& call_id) {
  const std::vector<Session*> found = context.sessions.table().of_call(call_id);
  if (found.empty()) return error_reply(ctlproto::error::session_not_found);
  json sessions = json::array();
  for (const Session* session : found) {
    if (sessions.size() == kDetailedSessionsMax) break;
    sessions.push_back(session_json(context, *session));
  }
  return to_json_line({{"call_id", call_id},
                       {"help", help_json()},
                       {"sessions", std::move(sessions)},
                       {"not_shown", found.size() - std::min(found.size(), kDetailedSessionsMax)}});
}

json listed(const HandlerContext& context, const Session& session) {
  json result = {{"call_id", session.call_id.substr(0, kListedTextBytesMax)},
                 {"from_tag", session.from_tag.substr(0, kListedTextBytesMax)},
                 {"complete", session.spec.complete},
                 {"ttl_s", context.sessions.remaining_ttl(session).count()},
                 {"age_s", seconds(context.clock.now() - session.created)}};
  if (session.lingering) result["lingering"] = true;
  if (session.call_id.size() > kListedTextBytesMax) result["call_id_cut"] = true;
  return result;
}

// The cursor is the serial number of the last session shown: sessions that come or go between two
// pages neither hide others nor show them twice.
std::string list_sessions(const HandlerContext& context, const std::string& cursor) {
  uint64_t serial = 0;
  const char* end = cursor.data() + cursor.size();
  if (!cursor.empty() && std::from_chars(cursor.data(), end, serial).ptr != end) {
    return error_reply(ctlproto::error::session_not_found);
  }
  std::string page;
  bool full = false;
  for (auto step = context.sessions.table().after(serial, kPageStep); !step.empty() && !full;
       step = context.sessions.table().after(serial, kPageStep)) {
    for (const Session* session : step) {
      const std::string entry = to_json_line(listed(context, *session));
      full = !page.empty() && page.size() + entry.size() + kPageReserveBytes > kPageBytesMax;
      if (full) break;
      if (!page.empty()) page += ',';
      page += entry;
      serial = session->serial;
    }
  }
  const std::string next = full ? "\"" + std::to_string(serial) + "\"" : "null";
  return "{\"sessions\":[" + page + "],\"next\":" + next + "}";
}

json control_json(const ControlCounters* counters) {
  json result = json::object();
  if (counters == nullptr) return result;
  for (const ControlCounterRow& row : kControlCounterRows) result[row.name] = counters->*row.value;
  return result;
}

json accounting_json(const AcctCounters* counters) {
  json result = json::object();
  if (counters == nullptr) return result;
  for (const AcctCounterRow& row : kAcctCounterRows) {
    result[row.name] = (counters->*row.value).get();
  }
  return result;
}

json dtmf_json(const DtmfEvents* events) {
  if (events == nullptr) return nullptr;
  return {{"events_lost", events->lost()}};
}

std::string whole_relay(const HandlerContext& context) {
  context.prompts.sweep();
  const SessionManager& sessions = context.sessions;
  const SessionCounters& counters = sessions.counters();
  const EndedTotals& ended = sessions.ended();
  const PlaneCounters traffic = context.plane.counters();
  const CommandCounters& commands = context.commands;
  return to_json_line({{"sessions",
                        {{"active", sessions.active()},
                         {"created", counters.created},
                         {"destroyed", counters.destroyed},
                         {"completed", counters.completed},
                         {"timed_out", counters.timed_out},
                         {"resurrected", counters.resurrected},
                         {"lingering", sessions.table().size() - sessions.active()},
                         {"total_duration_s", seconds(counters.total_duration)},
                         {"without_rtp", ended.without_rtp},
                         {"one_way_rtp", ended.one_way_rtp},
                         {"without_rtcp", ended.without_rtcp},
                         {"one_way_rtcp", ended.one_way_rtcp}}},
                       {"ended_streams",
                        {{"sent", ended.sent},
                         {"received", ended.received},
                         {"lost", ended.lost},
                         {"duplicates", ended.duplicates},
                         {"parse_errors", ended.parse_errors}}},
                       {"packets",
                        {{"received", traffic.received},
                         {"received_bytes", traffic.received_bytes},
                         {"received_per_second", context.packets_per_second},
                         {"forwarded", traffic.forwarded},
                         {"punted", traffic.punted},
                         {"consumed", traffic.consumed},
                         {"transformed", traffic.transformed},
                         {"emitted", traffic.emitted},
                         {"forked", traffic.forked},
                         {"forks_lost", traffic.forks_lost},
                         {"played", traffic.played},
                         {"dropped", drops_json([&](size_t i) { return traffic.drops[i]; })}}},
                       {"ports",
                        {{"pairs_taken", sessions.ports().taken()},
                         {"pairs_per_address", sessions.ports().pairs_per_address()},
                         {"unsettled", sessions.unsettled()}}},
                       {"prompts", prompts_json(context.prompts)},
                       {"recordings", recorder_json(context.recording.recorder)},
                       {"commands",
                        {{"received", commands.received},
                         {"duplicates", commands.duplicates},
                         {"succeeded", commands.succeeded},
                         {"errors", commands.errors},
                         {"replied", commands.replied}}},
                       {"control", control_json(context.control)},
                       {"accounting", accounting_json(context.accounting)},
                       {"dtmf", dtmf_json(context.dtmf.events)},
                       {"draining", sessions.draining()},
                       {"overloaded", sessions.overload().overloaded()},
                       {"cpu_percent", sessions.overload().cpu_percent()}});
}

}  // namespace

std::string handle(HandlerContext& context, const ctlproto::Json& request) {
  switch (request.what) {
    case ctlproto::Json::What::session:
      return one_call(context, request.argument);
    case ctlproto::Json::What::sessions:
      return list_sessions(context, request.argument);
    case ctlproto::Json::What::voices:
    case ctlproto::Json::What::events:
    case ctlproto::Json::What::voicetest:
      return handle_voice(context, request);
    case ctlproto::Json::What::stats:
      break;
  }
  return whole_relay(context);
}

}  // namespace relay
