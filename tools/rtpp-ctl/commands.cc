#include "tools/rtpp-ctl/commands.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "tools/common/text_table.h"
#include "tools/rtpp-ctl/session_view.h"
#include "tools/rtpp-ctl/why_view.h"

namespace relay::tools {
namespace {

CommandResult no_answer(const Error& error) {
  return {ExitCode::no_answer, "", error.message + "\n"};
}

CommandResult not_understood(const Error& error) {
  return {ExitCode::relay_error, "", error.message + "\n"};
}

CommandResult refused(const CommandContext& context, const std::string& command, int code) {
  const std::string explanation = fmt::format("E{}: {}", code, explain_error(code));
  CommandResult result{ExitCode::relay_error, "", explanation + "\n"};
  if (context.json) {
    result.out = to_json({{"command", command},
                          {"error", std::to_string(code)},
                          {"explanation", explain_error(code)}}) +
                 "\n";
  }
  return result;
}

std::string two_columns(const NamedValues& values) {
  TextTable table({{""}, {"", true}});
  for (const NamedValue& value : values) table.add_row({value.name, value.value});
  return table.to_string();
}

CommandResult shown(const CommandContext& context, const NamedValues& values) {
  return {ExitCode::ok, context.json ? to_json(values) + "\n" : two_columns(values), ""};
}

std::string micro_seconds(Duration duration) {
  return fmt::format("{:.0f}", std::chrono::duration<double, std::micro>(duration).count());
}

// A reply with its error code taken apart.
struct Asked {
  std::string reply;
  std::optional<int> error;
};

Result<Asked> ask(const CommandContext& context, const std::string& command) {
  const auto answer = context.ask(command);
  if (!answer) return tl::unexpected(answer.error());
  return Asked{answer->reply, error_code(answer->reply)};
}

// Asks `command`, takes the reply apart and shows it.
CommandResult ask_and_show(const CommandContext& context, const std::string& command,
                           Result<NamedValues> (*parse)(std::string_view)) {
  const auto asked = ask(context, command);
  if (!asked) return no_answer(asked.error());
  if (asked->error) return refused(context, command, *asked->error);
  const auto values = parse(asked->reply);
  return values ? shown(context, *values) : not_understood(values.error());
}

// The counters genuine rtpproxy has, in two commands: one takes at most 22 names.
constexpr const char* kCounterCommands[] = {
    "Gv nsess_created nsess_destroyed nsess_timeout nsess_complete nsess_nortp nsess_owrtp "
    "nsess_nortcp nsess_owrtcp nplrs_created nplrs_destroyed npkts_rcvd npkts_played npkts_relayed "
    "npkts_resizer_in npkts_resizer_out npkts_resizer_discard npkts_discard",
    "Gv total_duration ncmds_rcvd ncmds_rcvd_ndups ncmds_succd ncmds_errs ncmds_repld rtpa_nsent "
    "rtpa_nrcvd rtpa_ndups rtpa_nlost rtpa_perrs pps_in",
};

struct Counters {
  NamedValues values;
  std::string note;
};

// J stats, or what an rtpproxy has to say instead. A failure is in `failed`.
Result<Counters> read_counters(const CommandContext& context, CommandResult& failed) {
  const auto extended = ask(context, "J stats");
  if (!extended) {
    failed = no_answer(extended.error());
    return fail("");
  }
  if (!extended->error) {
    const auto values = flatten_json(extended->reply);
    if (!values) failed = not_understood(values.error());
    return values ? Result<Counters>(Counters{*values, ""}) : fail("");
  }
  Counters counters{{}, "This relay has no J command: only rtpproxy's counters can be shown.\n"};
  for (const char* command : kCounterCommands) {
    const auto asked = ask(context, command);
    const auto values = asked ? parse_name_value_words(asked->reply) : fail("");
    if (!asked || asked->error || !values) {
      failed = !asked         ? no_answer(asked.error())
               : asked->error ? refused(context, "Gv", *asked->error)
                              : not_understood(values.error());
      return fail("");
    }
    counters.values.insert(counters.values.end(), values->begin(), values->end());
  }
  return counters;
}

// The names a query of genuine rtpproxy knows; it takes eleven at once.
constexpr const char* kQueryFields[] = {
    "ttl npkts_ina npkts_ino nrelayed ndropped longest_ipi rtpa_jlast rtpa_jmax rtpa_javg",
    "rtpa_nsent rtpa_nrcvd rtpa_ndups rtpa_nlost rtpa_perrs",
};

CommandResult query_by_q(const CommandContext& context, const std::string& call_id,
                         const std::string& from_tag, const std::string& to_tag) {
  const std::string tags = fmt::format("{} {}", call_id, from_tag);
  if (to_tag.empty()) {
    return ask_and_show(context, "Q " + tags, parse_short_query);
  }
  NamedValues all;
  for (const char* fields : kQueryFields) {
    const std::string command = fmt::format("Qv {} {} {}", tags, to_tag, fields);
    const auto asked = ask(context, command);
    if (!asked) return no_answer(asked.error());
    if (asked->error) return refused(context, command, *asked->error);
    const auto values = parse_name_value_words(asked->reply);
    if (!values) return not_understood(values.error());
    all.insert(all.end(), values->begin(), values->end());
  }
  return shown(context, all);
}

// What every relay is expected to tell comes first, in this order; the rest as the relay names it.
constexpr const char* kFirstColumns[] = {"call_id", "from_tag", "to_tag", "age_s", "ttl_s"};

size_t place_of(const Column& column) {
  const auto found = std::find(std::begin(kFirstColumns), std::end(kFirstColumns), column.title);
  return static_cast<size_t>(found - std::begin(kFirstColumns));
}

// The top level of each session as a row.
Result<std::string> sessions_table(const std::vector<std::string>& sessions) {
  std::vector<Column> columns;
  std::vector<NamedValues> rows;
  for (const std::string& session : sessions) {
    auto values = flatten_json(session);
    if (!values) return tl::unexpected(values.error());
    std::erase_if(*values, [](const NamedValue& v) {
      return std::count(v.name.begin(), v.name.end(), '.') > 0;
    });
    for (const NamedValue& value : *values) {
      const bool known = std::any_of(columns.begin(), columns.end(),
                                     [&](const Column& c) { return c.title == value.name; });
      if (!known) columns.push_back({value.name});
    }
    rows.push_back(std::move(*values));
  }
  if (columns.empty()) return std::string("no sessions\n");
  std::stable_sort(columns.begin(), columns.end(),
                   [](const Column& a, const Column& b) { return place_of(a) < place_of(b); });
  TextTable table(columns);
  for (const NamedValues& row : rows) {
    std::vector<std::string> cells;
    for (const Column& column : columns) {
      const std::string* value = find_value(row, column.title);
      cells.push_back(value != nullptr ? *value : "");
    }
    table.add_row(std::move(cells));
  }
  return table.to_string();
}

CommandResult sessions_of_rtpproxy(const CommandContext& context) {
  CommandResult result = ask_and_show(context, "I", parse_info);
  result.err += "This relay has no J command: it cannot list its sessions, only count them.\n";
  return result;
}

CommandResult delete_one(const CommandContext& context, const std::string& call_id,
                         const std::string& from_tag, const std::string& to_tag) {
  std::string command = fmt::format("D {} {}", call_id, from_tag);
  if (!to_tag.empty()) command += " " + to_tag;
  const auto asked = ask(context, command);
  if (!asked) return no_answer(asked.error());
  if (asked->error) return refused(context, command, *asked->error);
  NamedValues deleted = {{"deleted", call_id}, {"from_tag", from_tag}};
  if (!to_tag.empty()) deleted.push_back({"to_tag", to_tag});
  return shown(context, deleted);
}

}  // namespace

CommandResult run_raw(const CommandContext& context, const std::string& command) {
  const auto answer = context.ask(command);
  if (!answer) return no_answer(answer.error());
  const auto code = error_code(answer->reply);
  CommandResult result{code ? ExitCode::relay_error : ExitCode::ok, answer->reply + "\n", ""};
  NamedValues values = {{"command", command},
                        {"reply", answer->reply},
                        {"latency_us", micro_seconds(answer->latency)},
                        {"transmissions", std::to_string(answer->transmissions)}};
  if (code) {
    values.push_back({"error", std::to_string(*code)});
    values.push_back({"explanation", explain_error(*code)});
    result.err = fmt::format("E{}: {}\n", *code, explain_error(*code));
  }
  if (context.json) result.out = to_json(values) + "\n";
  return result;
}

CommandResult run_ping(const CommandContext& context) {
  const auto answer = context.ask("V");
  if (!answer) return no_answer(answer.error());
  if (const auto code = error_code(answer->reply)) return refused(context, "V", *code);
  if (context.json) {
    return shown(context, {{"socket", context.socket},
                           {"protocol", answer->reply},
                           {"latency_us", micro_seconds(answer->latency)},
                           {"transmissions", std::to_string(answer->transmissions)}});
  }
  return {ExitCode::ok,
          fmt::format("{} answers in {} us, protocol {}\n", context.socket,
                      micro_seconds(answer->latency), answer->reply),
          ""};
}

CommandResult run_info(const CommandContext& context) {
  return ask_and_show(context, "I", parse_info);
}

CommandResult run_sessions(const CommandContext& context) {
  std::vector<std::string> sessions;
  std::string cursor;
  do {
    const auto asked = ask(context, cursor.empty() ? "J sessions" : "J sessions " + cursor);
    if (!asked) return no_answer(asked.error());
    if (asked->error) return sessions_of_rtpproxy(context);
    auto page = parse_session_page(asked->reply);
    if (!page) return not_understood(page.error());
    if (page->next == cursor) page->next.clear();  // a relay that does not move on
    sessions.insert(sessions.end(), page->sessions.begin(), page->sessions.end());
    cursor = page->next;
  } while (!cursor.empty());

  if (context.json) {
    std::string list;
    for (const std::string& session : sessions) list += (list.empty() ? "" : ",") + session;
    return {ExitCode::ok, "{\"sessions\":[" + list + "]}\n", ""};
  }
  const auto table = sessions_table(sessions);
  return table ? CommandResult{ExitCode::ok, *table, ""} : not_understood(table.error());
}

CommandResult run_query(const CommandContext& context, const std::string& call_id,
                        const std::string& from_tag, const std::string& to_tag) {
  const auto extended = ask(context, "J session " + call_id);
  if (!extended) return no_answer(extended.error());
  if (extended->error == 50) return refused(context, "J session", 50);
  if (!extended->error) {
    if (context.json) return {ExitCode::ok, extended->reply + "\n", ""};
    const auto text = show_session(extended->reply);
    return text ? CommandResult{ExitCode::ok, *text, ""} : not_understood(text.error());
  }
  if (from_tag.empty()) {
    return {ExitCode::usage, "", "This relay has no J command: name the FROM tag as well.\n"};
  }
  CommandResult result = query_by_q(context, call_id, from_tag, to_tag);
  result.err +=
      "This relay has no J command: addresses, latching and the path taken cannot be shown.\n";
  return result;
}

CommandResult run_why(const CommandContext& context, const std::string& call_id) {
  const auto asked = ask(context, "J session " + call_id);
  if (!asked) return no_answer(asked.error());
  if (asked->error == 50) return refused(context, "J session", 50);
  if (asked->error) {
    CommandResult result = refused(context, "J session", *asked->error);
    result.err += "This relay has no J command: it cannot explain its calls.\n";
    return result;
  }
  if (context.json) return {ExitCode::ok, asked->reply + "\n", ""};
  const auto text = explain_session(asked->reply);
  return text ? CommandResult{ExitCode::ok, *text, ""} : not_understood(text.error());
}

CommandResult run_delete(const CommandContext& context, const std::string& call_id,
                         const std::string& from_tag, const std::string& to_tag) {
  if (!from_tag.empty()) return delete_one(context, call_id, from_tag, to_tag);
  const auto listed = ask(context, "J session " + call_id);
  if (!listed) return no_answer(listed.error());
  if (listed->error == 50) return refused(context, "J session", 50);
  if (listed->error) {
    return {ExitCode::usage, "", "This relay has no J command: name the FROM tag as well.\n"};
  }
  const auto tags = parse_session_tags(listed->reply);
  if (!tags) return not_understood(tags.error());
  CommandResult result;
  for (const SessionTags& pair : *tags) {
    CommandResult one = delete_one(context, call_id, pair.from_tag, pair.to_tag);
    result.out += one.out;
    result.err += one.err;
    result.code = std::max(result.code, one.code);
  }
  return result;
}

CommandResult StatsCommand::run(const CommandContext& context) {
  CommandResult failed;
  const auto counters = read_counters(context, failed);
  if (!counters) return failed;
  const Instant now = steady_now();
  CommandResult result{ExitCode::ok, "", counters->note};
  if (context.json) {
    result.out = to_json(counters->values) + "\n";
    return result;
  }
  const bool has_rates = !previous_.empty();
  const double seconds = std::chrono::duration<double>(now - previous_at_).count();
  TextTable table(has_rates ? std::vector<Column>{{"counter"}, {"value", true}, {"per s", true}}
                            : std::vector<Column>{{"counter"}, {"value", true}});
  for (const NamedValue& value : counters->values) {
    const std::string* before = find_value(previous_, value.name);
    std::string rate;
    if (before != nullptr) {
      const double change =
          std::strtod(value.value.c_str(), nullptr) - std::strtod(before->c_str(), nullptr);
      if (change != 0) rate = fmt::format("{:.1f}", change / seconds);
    }
    table.add_row({value.name, value.value, rate});
  }
  result.out = table.to_string();
  previous_ = counters->values;
  previous_at_ = now;
  return result;
}

}  // namespace relay::tools
