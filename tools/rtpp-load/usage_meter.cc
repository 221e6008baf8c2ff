#include "tools/rtpp-load/usage_meter.h"

namespace relay::tools {
namespace {

double micro_seconds(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

}  // namespace

std::optional<double> relay_us_per_packet(const MeasuredWindow& window) {
  if (!window.relay_cpu || window.arrived == 0) return std::nullopt;
  return micro_seconds(*window.relay_cpu) / static_cast<double>(window.arrived);
}

std::optional<double> machine_us_per_packet(const MeasuredWindow& window) {
  if (window.arrived == 0) return std::nullopt;
  return micro_seconds(window.machine_busy - window.own_cpu) / static_cast<double>(window.arrived);
}

Result<void> UsageMeter::check() const {
  const auto usage = read_process_usage(pids_);
  if (!usage) return tl::unexpected(usage.error());
  return {};
}

// A relay that died in the meantime reads as zero; its calls fail, which is what is reported.
UsageMeter::Reading UsageMeter::read(const MediaCounters& media, uint64_t commands) const {
  return {steady_now(),
          media,
          commands,
          read_process_usage(pids_).value_or(ProcessUsage{}),
          read_machine_usage().value_or(MachineUsage{}),
          own_cpu()};
}

void UsageMeter::begin(const MediaCounters& media, uint64_t commands) {
  begin_ = read(media, commands);
}

MeasuredWindow UsageMeter::end(const MediaCounters& media, uint64_t commands) const {
  const Reading end = read(media, commands);
  MeasuredWindow window;
  window.seconds = std::chrono::duration<double>(end.at - begin_.at).count();
  window.sent = end.media.sent - begin_.media.sent;
  window.arrived = end.media.arrived - begin_.media.arrived;
  window.commands = end.commands - begin_.commands;
  if (has_pids()) window.relay_cpu = end.relay.cpu - begin_.relay.cpu;
  window.machine_busy = end.machine.busy - begin_.machine.busy;
  window.machine_softirq = end.machine.softirq - begin_.machine.softirq;
  window.own_cpu = end.own - begin_.own;
  return window;
}

uint64_t UsageMeter::resident_kib() const {
  return read_process_usage(pids_).value_or(ProcessUsage{}).resident_kib;
}

}  // namespace relay::tools
