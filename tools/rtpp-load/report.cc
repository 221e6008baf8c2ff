#include "tools/rtpp-load/report.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "tools/common/text_table.h"
#include "tools/rtpp-load/thresholds.h"

namespace relay::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr struct {
  const char* name;
  double fraction;
} kQuantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}};

double us(int64_t ns) {
  return static_cast<double>(ns) / 1000;
}
double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string times_text(const Histogram& histogram) {
  std::string text = fmt::format("min {:.0f}", us(histogram.min_ns()));
  for (const auto& [name, fraction] : kQuantiles) {
    text += fmt::format("  {} {:.0f}", name, us(histogram.quantile_ns(fraction)));
  }
  return text + fmt::format("  max {:.0f} us", us(histogram.max_ns()));
}

Json times_json(const Histogram& histogram) {
  Json json = {{"count", histogram.count()},
               {"min_us", us(histogram.min_ns())},
               {"mean_us", histogram.mean_ns() / 1000}};
  for (const auto& [name, fraction] : kQuantiles) {
    json[fmt::format("{}_us", name)] = us(histogram.quantile_ns(fraction));
  }
  json["max_us"] = us(histogram.max_ns());
  return json;
}

void add_media_rows(TextTable& table, const LoadReport& report) {
  const MediaCounters& media = report.media;
  const double rate = report.window.seconds > 0
                          ? static_cast<double>(report.window.arrived) / report.window.seconds
                          : 0;
  table.add_row({"packets sent", fmt::format("{}", media.sent)});
  table.add_row({"packets arrived", fmt::format("{} ({:.0f} a second)", media.arrived, rate)});
  table.add_row({"lost", fmt::format("{} of {} ({:.4f} %)", media.lost(), media.expected,
                                     loss_percent(media))});
  table.add_row(
      {"reordered, duplicated", fmt::format("{}, {}", media.reordered, media.duplicated)});
  table.add_row({"misdelivered, wrong source, foreign",
                 fmt::format("{}, {}, {}", media.misdelivered, media.wrong_source, media.foreign)});
  if (media.send_errors > 0) {
    table.add_row({"not taken by the kernel", fmt::format("{}", media.send_errors)});
  }
  table.add_row({"one-way delay", times_text(report.times.one_way_delay)});
  table.add_row({"variation of the delay", times_text(report.times.delay_variation)});
  table.add_row({"lateness of the generator", times_text(report.times.send_lateness)});
}

void add_command_rows(TextTable& table, const LoadOptions& options, const LoadReport& report) {
  const SignallingCounters& signalling = report.signalling;
  table.add_row({"commands", fmt::format("{} answered, {} refused, {} unanswered, {} sent again",
                                         signalling.commands, signalling.refused,
                                         signalling.unanswered, signalling.retransmissions)});
  table.add_row({"command latency", times_text(signalling.latency)});
  if (report.standing) {
    const SignallingCounters& first = report.standing->signalling;
    table.add_row({"standing calls",
                   fmt::format("set up in {:.2f} s, {} commands, {} sent again",
                               report.standing->seconds, first.commands, first.retransmissions)});
    table.add_row({"their commands' latency", times_text(first.latency)});
  }
  if (options.control_only && report.window.seconds > 0) {
    table.add_row(
        {"commands a second", fmt::format("{:.0f}", static_cast<double>(report.window.commands) /
                                                        report.window.seconds)});
  }
}

void add_usage_rows(TextTable& table, const LoadReport& report) {
  const MeasuredWindow& window = report.window;
  if (window.seconds <= 0) return;
  const auto share = [&](Duration cpu) {
    return fmt::format("{:.2f} s ({:.1f} % of one processor)", seconds(cpu),
                       100 * seconds(cpu) / window.seconds);
  };
  if (window.relay_cpu) table.add_row({"CPU of the relay", share(*window.relay_cpu)});
  if (const auto relay_us = relay_us_per_packet(window)) {
    table.add_row({"CPU of the relay a packet", fmt::format("{:.2f} us", *relay_us)});
  }
  if (window.relay_cpu && window.arrived == 0 && window.commands > 0) {
    table.add_row({"CPU of the relay a command",
                   fmt::format("{:.2f} us", seconds(*window.relay_cpu) * 1e6 /
                                                static_cast<double>(window.commands))});
  }
  table.add_row({"CPU of this program", share(window.own_cpu)});
  table.add_row({"CPU of the machine", share(window.machine_busy)});
  table.add_row({"of that, softirq", share(window.machine_softirq)});
  if (const auto machine_us = machine_us_per_packet(window)) {
    table.add_row(
        {"machine without this program, a packet", fmt::format("{:.2f} us", *machine_us)});
  }
  if (report.memory) {
    table.add_row(
        {"memory of the relay",
         fmt::format("{} KiB before, {} KiB with calls, {} KiB after", report.memory->before_kib,
                     report.memory->peak_kib, report.memory->after_kib)});
  }
}

Json media_json(const MediaCounters& media) {
  return {{"sent", media.sent},
          {"arrived", media.arrived},
          {"expected", media.expected},
          {"delivered", media.delivered},
          {"lost", media.lost()},
          {"reordered", media.reordered},
          {"duplicated", media.duplicated},
          {"misdelivered", media.misdelivered},
          {"wrong_source", media.wrong_source},
          {"foreign", media.foreign},
          {"send_errors", media.send_errors}};
}

Json signalling_json(const SignallingCounters& signalling) {
  return {{"answered", signalling.commands},
          {"refused", signalling.refused},
          {"unanswered", signalling.unanswered},
          {"retransmissions", signalling.retransmissions},
          {"latency", times_json(signalling.latency)}};
}

Json window_json(const MeasuredWindow& window) {
  Json json = {{"seconds", window.seconds},
               {"sent", window.sent},
               {"arrived", window.arrived},
               {"commands", window.commands},
               {"machine_busy_s", seconds(window.machine_busy)},
               {"machine_softirq_s", seconds(window.machine_softirq)},
               {"own_cpu_s", seconds(window.own_cpu)}};
  if (window.relay_cpu) json["relay_cpu_s"] = seconds(*window.relay_cpu);
  if (const auto relay_us = relay_us_per_packet(window)) json["relay_us_per_packet"] = *relay_us;
  if (const auto machine_us = machine_us_per_packet(window)) {
    json["machine_us_per_packet"] = *machine_us;
  }
  return json;
}

}  // namespace

std::string report_table(const LoadOptions& options, const LoadReport& report) {
  TextTable table({{""}, {""}});
  table.add_row({options.control_only ? "calls set up and deleted" : "calls",
                 fmt::format("{} up, {} failed", report.calls_up, report.calls_failed)});
  if (options.hold_s > 0 || options.reinvite_percent > 0) {
    table.add_row({"replaced, moved",
                   fmt::format("{} calls, {} phones", report.calls_replaced, report.reinvites)});
  }
  if (!report.first_error.empty()) table.add_row({"first error", report.first_error});
  if (report.interrupted) table.add_row({"interrupted", "yes"});
  if (!options.control_only) add_media_rows(table, report);
  add_command_rows(table, options, report);
  add_usage_rows(table, report);
  return table.to_string();
}

std::string report_json(const LoadOptions& options, const LoadReport& report) {
  Json json = {{"protocol", options.ng ? "ng" : "rtpproxy"},
               {"socket", options.socket.to_string()},
               {"calls", options.calls},
               {"calls_up", report.calls_up},
               {"calls_failed", report.calls_failed},
               {"calls_replaced", report.calls_replaced},
               {"reinvites", report.reinvites},
               {"interrupted", report.interrupted},
               {"first_error", report.first_error},
               {"commands", signalling_json(report.signalling)},
               {"window", window_json(report.window)}};
  if (report.standing) {
    json["standing"] = {{"calls", options.standing},
                        {"seconds", report.standing->seconds},
                        {"commands", signalling_json(report.standing->signalling)}};
  }
  if (!options.control_only) {
    json["profile"] = name_of(options.profile);
    json["media"] = media_json(report.media);
    json["one_way_delay"] = times_json(report.times.one_way_delay);
    json["delay_variation"] = times_json(report.times.delay_variation);
    json["send_lateness"] = times_json(report.times.send_lateness);
  }
  if (report.memory) {
    json["memory"] = {{"before_kib", report.memory->before_kib},
                      {"peak_kib", report.memory->peak_kib},
                      {"after_kib", report.memory->after_kib}};
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace relay::tools
