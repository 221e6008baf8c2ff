// RFC 6455 after the upgrade, as a client: frames to messages and back, on wslay. Pure: bytes in,
// bytes out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/voice/driver.h"

struct wslay_event_context;

namespace relay {

class WebsocketObserver {
 public:
  virtual ~WebsocketObserver() = default;
  // A whole message; must not destroy the WebSocket.
  virtual void websocket_message(bool is_text, Octets message) = 0;
};

class Websocket {
 public:
  Websocket(size_t message_bytes_max, WebsocketObserver& observer);
  ~Websocket();
  Websocket(const Websocket&) = delete;
  Websocket& operator=(const Websocket&) = delete;

  // False: the peer broke the rules, or a message was too long; failure() says how, and a close
  // frame with its code is to be sent.
  bool receive(Octets data);
  void queue_message(bool is_text, Octets message);
  void queue_ping();
  void queue_close(uint16_t code, std::string_view reason);
  // Appends what is to be sent: all that is queued, pongs and close frames.
  void take_out(std::vector<uint8_t>& out);

  // How many messages, pongs among them, take_out() would take.
  size_t queued() const;
  bool close_sent() const;
  bool close_received() const { return close_received_; }
  const Closure& close_frame() const { return close_frame_; }  // once close_received()
  VoiceError failure() const { return too_big_ ? VoiceError::too_big : VoiceError::protocol; }
  std::string failure_text() const;

 private:
  struct Callbacks;

  WebsocketObserver& observer_;
  const size_t message_bytes_max_;
  wslay_event_context* context_ = nullptr;
  Octets input_;
  std::vector<uint8_t>* output_ = nullptr;
  std::vector<uint8_t> message_;  // being assembled
  bool in_control_ = false, too_big_ = false, close_received_ = false;
  Closure close_frame_;
};

}  // namespace relay
