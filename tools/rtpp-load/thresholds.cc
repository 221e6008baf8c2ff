#include "tools/rtpp-load/thresholds.h"

#include <fmt/core.h>

#include <algorithm>

namespace relay::tools {

double loss_percent(const MediaCounters& media) {
  if (media.expected == 0) return 0;
  return 100 * static_cast<double>(media.lost()) / static_cast<double>(media.expected);
}

std::vector<std::string> limits_passed(const Thresholds& thresholds, const LoadReport& report) {
  std::vector<std::string> passed;
  const auto check = [&](const char* what, const char* unit, const std::optional<double>& limit,
                         double value) {
    if (!limit || value <= *limit) return;
    passed.push_back(
        fmt::format("{} {:.6g} {}, at most {:g} {} allowed", what, value, unit, *limit, unit));
  };
  int64_t slowest_ns = report.signalling.latency.max_ns();
  if (report.standing) {
    slowest_ns = std::max(slowest_ns, report.standing->signalling.latency.max_ns());
  }
  check("loss", "%", thresholds.loss_percent, loss_percent(report.media));
  check("p99 of the delay", "us", thresholds.delay_p99_us,
        static_cast<double>(report.times.one_way_delay.quantile_ns(0.99)) / 1000);
  check("slowest command", "ms", thresholds.command_ms, static_cast<double>(slowest_ns) / 1e6);
  return passed;
}

}  // namespace relay::tools
