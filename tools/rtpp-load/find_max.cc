#include "tools/rtpp-load/find_max.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/common/text_table.h"
#include "tools/rtpp-load/knee_search.h"
#include "tools/rtpp-load/load_run.h"
#include "tools/rtpp-load/phone.h"
#include "tools/rtpp-load/report.h"

namespace relay::tools {
namespace {

constexpr double kLossPercent = 0.1;
constexpr double kDelayP99Us = 20'000;
constexpr double kRampSecondsMax = 10;

FoundMax::Try judged(uint32_t calls, const Thresholds& thresholds, LoadReport report) {
  FoundMax::Try tried{calls, limits_passed(thresholds, report), std::move(report)};
  if (tried.report.calls_failed > 0) {
    tried.broken.push_back(
        fmt::format("{} calls failed: {}", tried.report.calls_failed, tried.report.first_error));
  }
  return tried;
}

double p99_us(const Histogram& histogram) {
  return static_cast<double>(histogram.quantile_ns(0.99)) / 1000;
}

double packets_a_second(const LoadReport& report) {
  return report.window.seconds > 0
             ? static_cast<double>(report.window.arrived) / report.window.seconds
             : 0;
}

double relay_percent(const LoadReport& report) {
  if (!report.window.relay_cpu || report.window.seconds <= 0) return 0;
  return 100 * std::chrono::duration<double>(*report.window.relay_cpu).count() /
         report.window.seconds;
}

}  // namespace

Result<FoundMax> find_max(const LoadOptions& options, Thresholds thresholds) {
  thresholds.loss_percent = thresholds.loss_percent.value_or(kLossPercent);
  thresholds.delay_p99_us = thresholds.delay_p99_us.value_or(kDelayP99Us);
  const auto most = static_cast<uint32_t>(std::max<uint64_t>(1, calls_that_fit(options.phones)));
  KneeSearch search(std::min(options.calls, most), most);
  FoundMax found;
  while (const auto calls = search.next()) {
    LoadOptions run = options;
    run.calls = *calls;
    run.rate_per_s = std::max(options.rate_per_s, *calls / kRampSecondsMax);
    auto report = run_calls(run);
    if (!report) {
      if (found.tries.empty()) return tl::unexpected(report.error());
      found.no_room = true;  // somebody else has some of the ports
      break;
    }
    if (report->interrupted) {
      found.interrupted = true;
      break;
    }
    found.tries.push_back(judged(*calls, thresholds, std::move(*report)));
    const FoundMax::Try& last = found.tries.back();
    if (options.progress) {
      fmt::print(stderr, "{} calls: {}\n", *calls,
                 last.broken.empty() ? "kept" : fmt::format("{}", fmt::join(last.broken, "; ")));
    }
    if (last.report.signalling.commands == 0) break;  // nobody answers
    search.record(last.broken.empty());
  }
  found.calls = search.most_kept();
  found.no_room = found.no_room || search.ended_at_most();
  return found;
}

std::string found_max_table(const FoundMax& found) {
  TextTable table({{"calls", true},
                   {"packets/s", true},
                   {"lost %", true},
                   {"delay p99 us", true},
                   {"generator p99 us", true},
                   {"relay CPU %", true},
                   {""}});
  for (const FoundMax::Try& each : found.tries) {
    table.add_row({fmt::format("{}", each.calls),
                   fmt::format("{:.0f}", packets_a_second(each.report)),
                   fmt::format("{:.3f}", loss_percent(each.report.media)),
                   fmt::format("{:.0f}", p99_us(each.report.times.one_way_delay)),
                   fmt::format("{:.0f}", p99_us(each.report.times.send_lateness)),
                   fmt::format("{:.0f}", relay_percent(each.report)),
                   each.broken.empty() ? "kept" : each.broken.front()});
  }
  return table.to_string() + fmt::format("Within the limits: {} calls{}{}\n", found.calls,
                                         found.no_room ? "; more do not fit into this program" : "",
                                         found.interrupted ? " (interrupted)" : "");
}

std::string found_max_json(const LoadOptions& options, const FoundMax& found) {
  using Json = nlohmann::ordered_json;
  Json json = {{"max_calls", found.calls},
               {"no_room", found.no_room},
               {"interrupted", found.interrupted},
               {"tries", Json::array()}};
  for (const FoundMax::Try& each : found.tries) {
    LoadOptions of_try = options;
    of_try.calls = each.calls;
    json["tries"].push_back({{"calls", each.calls},
                             {"broken", each.broken},
                             {"report", Json::parse(report_json(of_try, each.report))}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace relay::tools
