#include "relay/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cctype>
#include <vector>

#include "relay/base/clock.h"

namespace relay {
namespace {

std::atomic<LogLevel> g_level{LogLevel::warning};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::critical:
      return spdlog::level::critical;
  }
  return spdlog::level::err;
}

}  // namespace

void log_start(const LogSettings& settings) {
  std::vector<spdlog::sink_ptr> sinks;
  if (settings.to_stderr) {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    sinks.push_back(std::move(sink));
  }
  if (settings.syslog_facility) {
    auto sink = std::make_shared<spdlog::sinks::syslog_sink_mt>("rtpp-relay", LOG_PID | LOG_CONS,
                                                                *settings.syslog_facility, true);
    sink->set_pattern("%v");
    sinks.push_back(std::move(sink));
  }
  auto logger = std::make_shared<spdlog::logger>("relay", sinks.begin(), sinks.end());
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
  log_set_level(settings.level);
}

void log_set_level(LogLevel level) {
  g_level.store(level, std::memory_order_relaxed);
}

bool log_enabled(LogLevel level) {
  return level >= g_level.load(std::memory_order_relaxed);
}

void log_flush() {
  spdlog::default_logger_raw()->flush();
}

void log_write(LogLevel level, std::string_view line) {
  spdlog::default_logger_raw()->log(to_spdlog(level), line);
}

bool LogLimit::admit() {
  const int64_t second = to_ns(steady_now()) / 1'000'000'000;
  if (second != second_) {
    if (left_out_ > 0) log_warning("more lines of this kind were left out count={}", left_out_);
    second_ = second;
    lines_ = 0;
    left_out_ = 0;
  }
  if (lines_ < lines_per_second_) {
    ++lines_;
    return true;
  }
  ++left_out_;
  return false;
}

std::optional<LogLevel> parse_log_level(std::string_view text) {
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower == "debug" || lower == "dbug") return LogLevel::debug;
  if (lower == "info") return LogLevel::info;
  if (lower == "warn" || lower == "warning") return LogLevel::warning;
  if (lower == "err" || lower == "error") return LogLevel::error;
  if (lower == "crit" || lower == "critical") return LogLevel::critical;
  return std::nullopt;
}

std::string quoted(std::string_view text, size_t limit) {
  std::string result = "\"";
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7F) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  result += text.size() > limit ? "\"…" : "\"";
  return result;
}

}  // namespace relay
