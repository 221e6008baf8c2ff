// A VoiceSink that writes down what a driver does, in order, as short lines.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <vector>

#include "relay/voice/driver.h"

namespace relay {

class RecordingSink final : public VoiceSink {
 public:
  void send_text(std::string_view message, Send kind) override {
    note("{} {}", kind == Send::audio ? "text-audio" : "text", message);
    sent.emplace_back(message);
  }
  void send_binary(Octets message, Send kind) override {
    note("{} {} bytes", kind == Send::audio ? "binary-audio" : "binary", message.size());
    sent.emplace_back(message.begin(), message.end());
  }
  void close(uint16_t code, std::string_view) override { note("close {}", code); }
  void play_samples(Samples samples, int rate_hz) override {
    note("play {} samples at {}", samples.size(), rate_hz);
    played.insert(played.end(), samples.begin(), samples.end());
  }
  void play_g711(AudioFormat::Encoding encoding, Octets octets) override {
    note("play {} octets of {}", octets.size(),
         encoding == AudioFormat::Encoding::pcmu ? "pcmu" : "pcma");
  }
  void end_of_reply() override { note("end of reply"); }
  void mark(MarkId id) override { note("mark {}", id); }
  Duration clear() override {
    note("clear");
    return std::exchange(unheard, Duration{});
  }
  void event(const VoiceEvent& event) override {
    std::string line = fmt::format("event {}", to_string(event.kind));
    if (event.kind == VoiceEventKind::user_interrupted) {
      line += fmt::format(" {}", event.played.count());
    }
    if (event.kind == VoiceEventKind::call_error) {
      line += fmt::format(" {}{}", to_string(event.error), event.fatal ? " fatal" : "");
    }
    if (event.kind == VoiceEventKind::ended) {
      constexpr const char* kOutcomes[] = {"stopped", "finished", "failed"};
      line += fmt::format(" {}", kOutcomes[static_cast<int>(event.outcome)]);
    }
    if (!event.text.empty()) line += ": " + event.text;
    lines.push_back(line);
  }

  // What has been noted since the last call.
  std::vector<std::string> take() { return std::exchange(lines, {}); }

  std::vector<std::string> lines;
  std::vector<std::string> sent;  // whole messages
  std::vector<int16_t> played;
  Duration unheard{};  // what the next clear() finds

 private:
  template <typename... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) {
    lines.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
};

}  // namespace relay
