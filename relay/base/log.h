// The log: constant message text followed by key=value pairs. Never called on the packet path.
// Any thread may log; the sinks are set once at start-up, before threads exist.
//
//   log_info("session created call_id={} port={}", quoted(call_id), port);
#pragma once

#include <fmt/core.h>

#include <optional>
#include <string>
#include <string_view>

namespace relay {

enum class LogLevel { debug, info, warning, error, critical };

struct LogSettings {
  LogLevel level = LogLevel::warning;
  bool to_stderr = true;
  // A syslog facility number (LOG_DAEMON …); nothing means no syslog.
  std::optional<int> syslog_facility;
};

void log_start(const LogSettings& settings);
void log_set_level(LogLevel level);
bool log_enabled(LogLevel level);
void log_flush();
void log_write(LogLevel level, std::string_view line);

// "debug", "dbug", "info", "warn", "warning", "err", "error", "crit", "critical", any case.
std::optional<LogLevel> parse_log_level(std::string_view text);

// Text from outside, safe in a log line: control characters and non-ASCII become \xNN, at most
// `limit` bytes are shown.
std::string quoted(std::string_view text, size_t limit = 128);

template <typename... Args>
void log_at(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) log_write(level, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::debug, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::info, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::warning, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::error, format, std::forward<Args>(args)...);
}

// For lines that somebody outside can cause at will: so many a second, then only a count of what
// was left out. One thread.
class LogLimit {
 public:
  explicit LogLimit(uint32_t lines_per_second) : lines_per_second_(lines_per_second) {}

  template <typename... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) {
    if (!log_enabled(LogLevel::warning) || !admit()) return;
    log_write(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  // Says how many lines the second before left out.
  bool admit();

  const uint32_t lines_per_second_;
  int64_t second_ = 0;
  uint32_t lines_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace relay
