#include "tools/rtpp-load/system_usage.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <sstream>

namespace relay::tools {
namespace {

std::vector<uint64_t> numbers_in(std::string_view text) {
  std::vector<uint64_t> numbers;
  size_t begin = text.find_first_not_of(' ');
  while (begin != std::string_view::npos) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    uint64_t value = 0;  // stays zero for a letter or a negative number, which nobody asks for
    std::from_chars(text.data() + begin, text.data() + end, value);
    numbers.push_back(value);
    begin = text.find_first_not_of(' ', end);
  }
  return numbers;
}

Duration from_ticks(uint64_t ticks, long ticks_a_second) {
  return Duration(static_cast<int64_t>(ticks) * (1'000'000'000 / ticks_a_second));
}

Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || text.str().empty()) return fail(fmt::format("{} cannot be read", path));
  return text.str();
}

}  // namespace

Result<ProcessUsage> parse_process_stat(std::string_view text, long ticks_a_second,
                                        uint64_t page_kib) {
  // The second field is the program's name in parentheses and may hold anything, blanks too.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return fail("/proc/PID/stat has no program name");
  const auto fields = numbers_in(text.substr(name_end + 1));  // the first one is field 3
  if (fields.size() < 22) return fail("/proc/PID/stat is cut off");
  return ProcessUsage{from_ticks(fields[11] + fields[12], ticks_a_second), fields[21] * page_kib};
}

Result<MachineUsage> parse_machine_stat(std::string_view text, long ticks_a_second) {
  if (!text.starts_with("cpu ")) return fail("/proc/stat does not begin with `cpu`");
  const auto fields = numbers_in(text.substr(4, text.find('\n') - 4));
  if (fields.size() < 8) return fail("/proc/stat is cut off");
  // user nice system idle iowait irq softirq steal; guest time is in user already.
  const uint64_t busy = fields[0] + fields[1] + fields[2] + fields[5] + fields[6];
  return MachineUsage{from_ticks(busy, ticks_a_second), from_ticks(fields[6], ticks_a_second)};
}

Result<ProcessUsage> read_process_usage(const std::vector<int>& pids) {
  ProcessUsage sum;
  for (const int pid : pids) {
    const auto text = read_text(fmt::format("/proc/{}/stat", pid));
    if (!text) return fail(fmt::format("no process {}: {}", pid, text.error().message));
    const auto usage = parse_process_stat(*text, ::sysconf(_SC_CLK_TCK),
                                          static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024);
    if (!usage) return usage;
    sum.cpu += usage->cpu;
    sum.resident_kib += usage->resident_kib;
  }
  return sum;
}

Result<MachineUsage> read_machine_usage() {
  const auto text = read_text("/proc/stat");
  if (!text) return tl::unexpected(text.error());
  return parse_machine_stat(*text, ::sysconf(_SC_CLK_TCK));
}

Duration own_cpu() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto time = [](const timeval& tv) {
    return Duration(int64_t{tv.tv_sec} * 1'000'000'000 + int64_t{tv.tv_usec} * 1000);
  };
  return time(usage.ru_utime) + time(usage.ru_stime);
}

}  // namespace relay::tools
