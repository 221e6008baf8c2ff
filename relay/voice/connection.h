// One connection to an endpoint: a WebSocket as its client, or plain TCP. Loop thread only.
//
// Deviation from libwebsockets with its libuv plug-in: Debian's build of it looks names up on the
// calling thread (LWS_WITH_SYS_ASYNC_DNS is off), keeps client certificates a virtual host, not a
// connection, and hides the head of a refused upgrade; plain TCP would need a second way besides.
// So wslay does the framing, OpenSSL the encryption, libuv everything else.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/clock.h"
#include "relay/voice/counters.h"
#include "relay/voice/stream.h"
#include "relay/voice/url.h"
#include "relay/voice/voice_loop.h"
#include "relay/voice/websocket.h"

namespace relay {

// Called from the loop or from inside send() and close(), so neither is for a moment in which a
// connection_closed() would not do. It is the last call, and may not destroy the connection.
class ConnectionObserver {
 public:
  virtual ~ConnectionObserver() = default;
  virtual void connection_open() = 0;
  virtual void connection_text(std::string_view message) = 0;
  // Of plain TCP: any piece of the stream.
  virtual void connection_binary(Octets message) = 0;
  virtual void connection_closed(const Closure& closure) = 0;
};

struct ConnectionSettings {
  Duration connect_timeout = std::chrono::seconds(5);  // name, TCP, TLS and upgrade together
  Duration ping_interval = std::chrono::seconds(15);   // zero: none
  size_t message_bytes_max = 4 << 20;
  std::shared_ptr<const TlsContext> tls;  // wss only
  std::string tls_name;                   // empty: the URL's host
};

class Connection final : private StreamObserver, private WebsocketObserver {
 public:
  // Audio waiting longer than this is dropped, oldest first.
  static constexpr Duration kAudioWaitMax = std::chrono::milliseconds(500);
  // So long nothing could be written: the endpoint is dead.
  static constexpr Duration kStallMax = std::chrono::seconds(3);
  static constexpr Duration kCloseMax = std::chrono::seconds(1);
  static constexpr size_t kQueuedBytesMax = 1 << 20;

  Connection(VoiceLoop& loop, const VoiceUrl& url, const DialTarget& target,
             const ConnectionSettings& settings, VoiceCounters& counters,
             ConnectionObserver& observer);

  enum class Kind : uint8_t { text, binary };
  // Dropped unless open.
  void send(Kind kind, Octets message, VoiceSink::Send priority);
  // What is queued goes first; then the closing handshake, a second of it at most.
  void close(uint16_t code, std::string_view reason);

 private:
  enum class State : uint8_t { connecting, upgrading, open, closing, closed };
  struct Message {
    Kind kind;
    VoiceSink::Send priority;
    Instant queued;
    std::vector<uint8_t> bytes;
  };

  void stream_open() override;
  void stream_data(Octets data) override;
  void stream_writable() override;
  void stream_ended() override;
  void stream_failed(VoiceError error, const std::string& text) override;
  void websocket_message(bool is_text, Octets message) override;

  void read_upgrade(Octets data);
  void read_frames(Octets data);
  void become_open();
  void flush();
  void drop_late_audio();
  void watch();
  void watch_pings();
  void end(const Closure& closure);
  void fail(VoiceError error, std::string text);

  const VoiceUrl url_;
  const DialTarget target_;
  const ConnectionSettings settings_;
  VoiceCounters& counters_;
  ConnectionObserver& observer_;
  State state_ = State::connecting;
  std::string key_, head_;
  std::unique_ptr<Websocket> websocket_;  // none: plain TCP
  std::deque<Message> queue_;
  size_t queued_bytes_ = 0;
  bool writing_ = false;
  Instant writing_since_{}, pinged_{};
  int pings_unanswered_ = 0;
  Closure farewell_;  // of close()
  VoiceTimer limit_, watch_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace relay
