#include "relay/control/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <utility>
#include <vector>

#include "relay/base/allocator.h"
#include "relay/control/voice_calls.h"

namespace relay {
namespace {

class Page {
 public:
  void counter(std::string_view name, std::string_view help, uint64_t value) {
    head(name, help, "counter");
    fmt::format_to(std::back_inserter(text_), "rtpp_{} {}\n", name, value);
  }
  void counter(std::string_view name, std::string_view help, double value) {
    head(name, help, "counter");
    fmt::format_to(std::back_inserter(text_), "rtpp_{} {:.6f}\n", name, value);
  }
  void gauge(std::string_view name, std::string_view help, double value) {
    head(name, help, "gauge");
    fmt::format_to(std::back_inserter(text_), "rtpp_{} {}\n", name, value);
  }
  void head(std::string_view name, std::string_view help, std::string_view type) {
    fmt::format_to(std::back_inserter(text_), "# HELP rtpp_{} {}\n# TYPE rtpp_{} {}\n", name, help,
                   name, type);
  }
  void labelled(std::string_view name, std::string_view label, std::string_view label_value,
                uint64_t value) {
    fmt::format_to(std::back_inserter(text_), "rtpp_{}{{{}=\"{}\"}} {}\n", name, label, label_value,
                   value);
  }
  // One row of a histogram's, or of its sum and its count.
  void row(std::string_view name, std::string_view profile, std::string_view labels, double value) {
    fmt::format_to(std::back_inserter(text_), "rtpp_{}{{profile=\"{}\"{}}} {}\n", name, profile,
                   labels, value);
  }
  std::string take() { return fmt::to_string(text_); }

 private:
  fmt::memory_buffer text_;
};

void add_sessions(Page& page, const SessionManager& sessions) {
  const SessionCounters& counters = sessions.counters();
  const EndedTotals& ended = sessions.ended();
  page.gauge("sessions", "sessions that exist", static_cast<double>(sessions.active()));
  page.counter("sessions_created_total", "sessions begun", counters.created);
  page.counter("sessions_ended_total", "sessions that ended", counters.destroyed);
  page.counter("sessions_timed_out_total", "sessions ended for want of media", counters.timed_out);
  page.counter("sessions_completed_total", "sessions whose second leg came", counters.completed);
  page.counter("session_seconds_total", "life time of ended sessions",
               std::chrono::duration<double>(counters.total_duration).count());
  page.counter("sessions_without_rtp_total", "complete sessions that saw no RTP",
               ended.without_rtp);
  page.counter("sessions_one_way_rtp_total", "complete sessions with RTP from one party only",
               ended.one_way_rtp);
  page.counter("ended_streams_packets_sent_total", "RTP packets that parties sent", ended.sent);
  page.counter("ended_streams_packets_lost_total", "of these, lost before us", ended.lost);
  page.gauge("port_pairs_taken", "media port pairs in use",
             static_cast<double>(sessions.ports().taken()));
  page.gauge("draining", "1: new sessions are refused until none is left",
             sessions.draining() ? 1 : 0);
  page.gauge("overloaded", "1: new sessions are refused for want of CPU",
             sessions.overload().overloaded() ? 1 : 0);
}

void add_packets(Page& page, const PlaneCounters& traffic) {
  page.counter("packets_received_total", "datagrams at media ports", traffic.received);
  page.counter("packets_received_bytes_total", "their payload", traffic.received_bytes);
  page.counter("packets_forwarded_total", "sent on to the other party", traffic.forwarded);
  page.counter("packets_consumed_total", "taken by a re-packetiser, fork or event detector",
               traffic.consumed);
  page.counter("packets_emitted_total", "made of what a re-packetiser took", traffic.emitted);
  page.counter("packets_played_total", "of prompts and voices", traffic.played);
  page.head("packets_dropped_total", "datagrams dropped, by reason", "counter");
  for (size_t i = 0; i < kDropReasons; ++i) {
    page.labelled("packets_dropped_total", "reason", to_string(static_cast<DropReason>(i)),
                  traffic.drops[i]);
  }
}

void add_commands(Page& page, const CommandCounters& commands, const ControlCounters& control) {
  page.counter("commands_received_total", "control commands", commands.received);
  page.counter("commands_failed_total", "answered by an error", commands.errors);
  page.counter("commands_repeated_total", "answered from the reply cache", commands.duplicates);
  for (const ControlCounterRow& row : kControlCounterRows) {
    page.counter(fmt::format("control_{}_total", row.name), row.meaning, control.*row.value);
  }
}

constexpr std::string_view kVoiceErrorCodes[] = {
#define VOICE_ERROR(enumerator, code, retryable, help) code,
#include "relay/voice/voice_error.def"
#undef VOICE_ERROR
};

using Profiles = std::vector<std::pair<std::string_view, VoiceFigures>>;

// From 1 ms to 8.4 s by octaves, which is where the delays' own buckets end, too.
constexpr unsigned kExponentMin = 10, kExponentMax = 23;

void add_delays(Page& page, std::string_view name, std::string_view help, const Profiles& profiles,
                DelayHistogram VoiceMeasures::*delays) {
  page.head(name, help, "histogram");
  for (const auto& [profile, figures] : profiles) {
    const DelayHistogram& histogram = figures.measures.*delays;
    // Counted once: what comes in between belongs to the next page.
    const auto count = static_cast<double>(histogram.count());
    for (unsigned exponent = kExponentMin; exponent <= kExponentMax; ++exponent) {
      const double bound = static_cast<double>(uint64_t{1} << exponent) / 1e6;
      const auto below = static_cast<double>(histogram.count_below(exponent));
      page.row(fmt::format("{}_bucket", name), profile, fmt::format(",le=\"{}\"", bound),
               std::min(below, count));
    }
    page.row(fmt::format("{}_bucket", name), profile, ",le=\"+Inf\"", count);
    page.row(fmt::format("{}_sum", name), profile, "",
             std::chrono::duration<double>(histogram.sum()).count());
    page.row(fmt::format("{}_count", name), profile, "", count);
  }
}

void add_voices(Page& page, const VoiceCalls& voices) {
  Profiles profiles;
  for (const auto& [name, profile] : voices.profiles()) {
    profiles.emplace_back(name, voices.figures_of(name));
  }
  page.head("voice_sessions", "voice sessions that exist", "gauge");
  for (const auto& [name, figures] : profiles) {
    page.labelled("voice_sessions", "profile", name, figures.running);
  }
  for (const VoiceCounterRow& row : kVoiceCounterRows) {
    const std::string metric = fmt::format("voice_{}_total", row.name);
    page.head(metric, row.meaning, "counter");
    for (const auto& [name, figures] : profiles) {
      page.labelled(metric, "profile", name, (figures.counters.*row.value).get());
    }
  }
  page.head("voice_failures_total", "voice sessions that failed or were refused, by reason",
            "counter");
  for (const auto& [name, figures] : profiles) {
    for (size_t i = 0; i < kVoiceErrors; ++i) {
      page.row("voice_failures_total", name, fmt::format(",reason=\"{}\"", kVoiceErrorCodes[i]),
               static_cast<double>(figures.failures[i]));
    }
  }
  page.head("voice_heard_dropped_total", "packets of parties that voices did not hear", "counter");
  for (const auto& [name, figures] : profiles) {
    page.labelled("voice_heard_dropped_total", "profile", name, figures.heard_dropped);
  }
  add_delays(page, "voice_turn_seconds", "from a party's last voiced frame to the answer's first",
             profiles, &VoiceMeasures::turn);
  add_delays(page, "voice_up_seconds", "from a packet's arrival to its frame at the connection",
             profiles, &VoiceMeasures::up);
  add_delays(page, "voice_down_seconds", "from an idle endpoint's audio to its first frame",
             profiles, &VoiceMeasures::down);
}

void add_reports(Page& page, const HandlerContext& context) {
  if (context.accounting != nullptr) {
    for (const AcctCounterRow& row : kAcctCounterRows) {
      page.counter(fmt::format("acct_{}_total", row.name), row.meaning,
                   (context.accounting->*row.value).get());
    }
  }
  if (context.dtmf.events == nullptr) return;
  page.counter("dtmf_events_lost_total", "key presses not told because too many came at once",
               context.dtmf.events->lost());
}

// Without the daemon's allocator there is nothing to tell.
void add_memory(Page& page) {
  const auto memory = allocator_memory();
  if (!memory) return;
  const auto bytes = [&](std::string_view name, std::string_view help, uint64_t value) {
    page.gauge(fmt::format("memory_{}_bytes", name), help, static_cast<double>(value));
  };
  bytes("allocated", "heap in use", memory->allocated);
  bytes("active", "pages that some of it is in", memory->active);
  bytes("resident", "heap in RAM, with what is kept for reuse", memory->resident);
  bytes("retained", "addresses kept without RAM behind them", memory->retained);
}

}  // namespace

std::string prometheus_text(const HandlerContext& context, const ControlCounters& control) {
  Page page;
  add_sessions(page, context.sessions);
  add_packets(page, context.plane.counters());
  add_commands(page, context.commands, control);
  add_reports(page, context);
  if (context.voices != nullptr) add_voices(page, *context.voices);
  add_memory(page);
  return page.take();
}

}  // namespace relay
