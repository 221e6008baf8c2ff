// Q: what one session has seen.
#include <fmt/core.h>

#include <array>
#include <chrono>

#include "ctlproto/error_codes.h"
#include "relay/control/handlers.h"
#include "relay/session/party_figures.h"

namespace relay {
namespace {

// The session from the point of view of the party whose tag came first.
struct QueryView {
  const Session& session;
  LegId first;
  std::chrono::seconds ttl;

  std::array<FlowFigures, 2> figures;  // of RTP, by LegId

  const FlowFigures& rtp(LegId leg) const { return figures[index(leg)]; }
  const AnalyserTotals& analysis() const { return rtp(first).analysis; }
};

std::string to_text(uint64_t value) {
  return fmt::format("{}", value);
}
std::string to_text(double value) {
  return fmt::format("{:.6f}", value);
}

struct Field {
  std::string_view name;
  std::string (*value)(const QueryView& view);
};

constexpr std::array kFields{
    Field{"ttl", [](const QueryView& v) { return fmt::format("{}", v.ttl.count()); }},
    Field{"npkts_ina", [](const QueryView& v) { return to_text(packets_in(v.rtp(v.first))); }},
    Field{"npkts_ino",
          [](const QueryView& v) { return to_text(packets_in(v.rtp(other(v.first)))); }},
    Field{"nrelayed",
          [](const QueryView& v) {
            uint64_t relayed = 0;
            for (const FlowFigures& rtp : v.figures) relayed += rtp.forwarded + rtp.emitted;
            return to_text(relayed);
          }},
    Field{"ndropped",
          [](const QueryView& v) {
            uint64_t dropped = 0;
            for (const LegId leg : kLegs) {
              dropped += packets_dropped(v.rtp(leg));
            }
            return to_text(dropped);
          }},
    Field{"longest_ipi",
          [](const QueryView& v) {
            return to_text(std::chrono::duration<double>(v.analysis().longest_gap).count());
          }},
    Field{"rtpa_nsent", [](const QueryView& v) { return to_text(v.analysis().sent); }},
    Field{"rtpa_nrcvd", [](const QueryView& v) { return to_text(v.analysis().received); }},
    Field{"rtpa_ndups", [](const QueryView& v) { return to_text(v.analysis().duplicates); }},
    Field{"rtpa_nlost", [](const QueryView& v) { return to_text(v.analysis().lost()); }},
    Field{"rtpa_perrs", [](const QueryView& v) { return to_text(v.analysis().parse_errors); }},
    Field{"rtpa_jlast", [](const QueryView& v) { return to_text(v.analysis().jitter_last); }},
    Field{"rtpa_jmax", [](const QueryView& v) { return to_text(v.analysis().jitter_max); }},
    Field{"rtpa_javg", [](const QueryView& v) { return to_text(v.analysis().jitter_average); }},
};
// The first of kFields are what Q shows when it is not told what.
constexpr size_t kDefaultFields = 5;

const Field* find_field(std::string_view name) {
  for (const Field& field : kFields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

void append(std::string& reply, const Field& field, const QueryView& view, bool verbose) {
  if (!reply.empty()) reply += ' ';
  if (verbose) reply.append(field.name).append("=");
  reply += field.value(view);
}

}  // namespace

std::string handle(HandlerContext& context, const ctlproto::Query& request) {
  namespace error = ctlproto::error;
  if (!subcommands_supported(context, request.subcommands))
    return error_reply(error::subcommand_refused);
  std::optional<std::string_view> to;
  if (request.to_tag) to = *request.to_tag;
  const auto match = context.sessions.find(request.call_id, request.from_tag, to);
  if (!match) return error_reply(error::session_not_found);
  const QueryView view{*match->session,
                       other(match->leg_of_update),
                       context.sessions.remaining_ttl(*match->session),
                       {figures_of(*match->session->flows, LegId::callee, Component::rtp),
                        figures_of(*match->session->flows, LegId::caller, Component::rtp)}};
  std::string reply;
  if (request.fields.empty()) {
    for (size_t i = 0; i < kDefaultFields; ++i) append(reply, kFields[i], view, request.verbose);
  }
  for (const std::string& name : request.fields) {
    const Field* field = find_field(name);
    if (field == nullptr) return error_reply(error::unknown_query_field);
    append(reply, *field, view, request.verbose);
  }
  if (reply.size() > kReplyTextBytesMax) return error_reply(error::query_reply_too_long);
  const SubCommandTarget target{match->session->serial, view.first, request.call_id,
                                request.from_tag, to};
  run_subcommands(context, target, request.subcommands, reply);
  return reply;
}

}  // namespace relay
