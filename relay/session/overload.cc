#include "relay/session/overload.h"

#include <algorithm>

namespace relay {
namespace {

// Leaving needs this share of the bound that entering has.
constexpr double kLeaveShare = 0.9;

}  // namespace

void OverloadGuard::sample(Duration cpu_time, unsigned cpus, Instant now) {
  const bool first = last_sample_ == Instant{};
  const Duration wall = now - last_sample_;
  const Duration used = cpu_time - last_cpu_time_;
  if (!first && wall <= Duration::zero()) return;
  last_sample_ = now;
  last_cpu_time_ = cpu_time;
  if (first) return;
  cpu_percent_ = 100.0 * static_cast<double>(used.count()) /
                 (static_cast<double>(wall.count()) * std::max(cpus, 1U));
  const double bound = settings_.cpu_percent_max;
  overloaded_ = cpu_percent_ > (overloaded_ ? bound * kLeaveShare : bound);
}

bool OverloadGuard::refuses(size_t sessions) const {
  return overloaded() || (settings_.sessions_max != 0 && sessions >= settings_.sessions_max);
}

}  // namespace relay
