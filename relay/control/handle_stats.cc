// G: the counters of the whole relay.
#include <fmt/core.h>

#include <array>
#include <chrono>

#include "ctlproto/error_codes.h"
#include "relay/control/handlers.h"
#include "relay/control/prompts.h"

namespace relay {
namespace {

struct Sources {
  const SessionCounters& sessions;
  const EndedTotals& ended;
  const Prompts& prompts;
  const CommandCounters& commands;
  PlaneCounters traffic;
  uint64_t packets_received;
  double packets_per_second;
};

Sources collect(const HandlerContext& context) {
  context.prompts.sweep();
  const PlaneCounters traffic = context.plane.counters();
  return {context.sessions.counters(),
          context.sessions.ended(),
          context.prompts,
          context.commands,
          traffic,
          received_by_complete_sessions(traffic),
          context.packets_per_second};
}

std::string to_text(uint64_t value) {
  return fmt::format("{}", value);
}
std::string to_text(double value) {
  return fmt::format("{:.6f}", value);
}

struct Row {
  std::string_view name;
  std::string (*value)(const Sources& s);
};
constexpr std::array kRows{
#define STATS(name, expression) \
  Row{#name, [](const Sources& s) { return static_cast<void>(s), to_text(expression); }},
#include "relay/control/stats.def"
#undef STATS
};

const Row* find_row(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

uint64_t received_by_complete_sessions(const PlaneCounters& traffic) {
  const uint64_t early = traffic.drops[static_cast<size_t>(DropReason::session_incomplete)];
  return traffic.received > early ? traffic.received - early : 0;
}

std::string handle(HandlerContext& context, const ctlproto::Stats& request) {
  namespace error = ctlproto::error;
  const Sources sources = collect(context);
  std::string reply;
  for (const std::string& name : request.names) {
    const Row* row = find_row(name);
    if (row == nullptr) return error_reply(error::unknown_counter);
    if (!reply.empty()) reply += ' ';
    if (request.verbose) reply.append(row->name).append("=");
    reply += row->value(sources);
  }
  if (reply.size() > kReplyTextBytesMax) return error_reply(error::stats_reply_too_long);
  return reply;
}

}  // namespace relay
