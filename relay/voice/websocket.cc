#include "relay/voice/websocket.h"

#include <fmt/core.h>
#include <openssl/rand.h>
#include <wslay/wslay.h>

#include <algorithm>
#include <cstring>

#include "relay/base/assert.h"

namespace relay {

struct Websocket::Callbacks {
  static ssize_t receive(wslay_event_context_ptr context, uint8_t* buffer, size_t size, int,
                         void* user) {
    auto& self = *static_cast<Websocket*>(user);
    if (self.input_.empty()) {
      wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      return -1;
    }
    const size_t taken = std::min(size, self.input_.size());
    std::memcpy(buffer, self.input_.data(), taken);
    self.input_ = self.input_.subspan(taken);
    return static_cast<ssize_t>(taken);
  }
  static ssize_t send(wslay_event_context_ptr, const uint8_t* data, size_t size, int, void* user) {
    auto& out = *static_cast<Websocket*>(user)->output_;
    out.insert(out.end(), data, data + size);
    return static_cast<ssize_t>(size);
  }
  static int mask(wslay_event_context_ptr, uint8_t* buffer, size_t size, void*) {
    return RAND_bytes(buffer, static_cast<int>(size)) == 1 ? 0 : -1;
  }
  // Without wslay's own buffering, which costs a block of memory a fragment: a peer that sends
  // empty ones without end would eat it all.
  static void frame_begins(wslay_event_context_ptr context,
                           const wslay_event_on_frame_recv_start_arg* frame, void* user) {
    auto& self = *static_cast<Websocket*>(user);
    self.in_control_ = wslay_is_ctrl_frame(frame->opcode) != 0;
    if (self.in_control_) return;
    if (frame->payload_length > self.message_bytes_max_ - self.message_.size()) {
      self.too_big_ = true;
      wslay_event_shutdown_read(context);
    }
  }
  static void frame_goes_on(wslay_event_context_ptr,
                            const wslay_event_on_frame_recv_chunk_arg* chunk, void* user) {
    auto& self = *static_cast<Websocket*>(user);
    if (self.in_control_ || self.too_big_) return;
    self.message_.insert(self.message_.end(), chunk->data, chunk->data + chunk->data_length);
  }
  static void message(wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* message,
                      void* user) {
    auto& self = *static_cast<Websocket*>(user);
    if (message->opcode == WSLAY_CONNECTION_CLOSE) {
      self.close_received_ = true;
      self.close_frame_.code = message->status_code == 0 ? 1005 : message->status_code;
      const size_t skipped = std::min<size_t>(message->msg_length, 2);
      self.close_frame_.reason.assign(reinterpret_cast<const char*>(message->msg) + skipped,
                                      message->msg_length - skipped);
      return;
    }
    if (wslay_is_ctrl_frame(message->opcode) != 0 || self.too_big_) return;
    const std::vector<uint8_t> whole = std::exchange(self.message_, {});
    self.observer_.websocket_message(message->opcode == WSLAY_TEXT_FRAME, whole);
  }
};

Websocket::Websocket(size_t message_bytes_max, WebsocketObserver& observer)
    : observer_(observer), message_bytes_max_(message_bytes_max) {
  wslay_event_callbacks callbacks{};
  callbacks.recv_callback = Callbacks::receive;
  callbacks.send_callback = Callbacks::send;
  callbacks.genmask_callback = Callbacks::mask;
  callbacks.on_frame_recv_start_callback = Callbacks::frame_begins;
  callbacks.on_frame_recv_chunk_callback = Callbacks::frame_goes_on;
  callbacks.on_msg_recv_callback = Callbacks::message;
  RELAY_ASSERT(wslay_event_context_client_init(&context_, &callbacks, this) == 0);
  wslay_event_config_set_no_buffering(context_, 1);
  wslay_event_config_set_max_recv_msg_length(context_, UINT64_MAX);  // frame_begins() sees to it
}

Websocket::~Websocket() {
  wslay_event_context_free(context_);
}

bool Websocket::receive(Octets data) {
  input_ = data;
  const int result = wslay_event_recv(context_);
  input_ = {};
  if (too_big_) {
    queue_close(WSLAY_CODE_MESSAGE_TOO_BIG, "");
    return false;
  }
  // wslay has queued a close frame for what it did not like, and reads no more.
  return result == 0 && (wslay_event_get_read_enabled(context_) != 0 || close_received_);
}

void Websocket::queue_message(bool is_text, Octets message) {
  wslay_event_msg queued{};
  queued.opcode = is_text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME;
  queued.msg = message.data();
  queued.msg_length = message.size();
  wslay_event_queue_msg(context_, &queued);
}

void Websocket::queue_ping() {
  wslay_event_msg ping{};
  ping.opcode = WSLAY_PING;
  wslay_event_queue_msg(context_, &ping);
}

void Websocket::queue_close(uint16_t code, std::string_view reason) {
  reason = reason.substr(0, 123);  // of a control frame
  wslay_event_queue_close(context_, code, reinterpret_cast<const uint8_t*>(reason.data()),
                          reason.size());
}

void Websocket::take_out(std::vector<uint8_t>& out) {
  output_ = &out;
  wslay_event_send(context_);
  output_ = nullptr;
}

size_t Websocket::queued() const {
  return wslay_event_get_queued_msg_count(context_);
}

bool Websocket::close_sent() const {
  return wslay_event_get_close_sent(context_) != 0;
}

std::string Websocket::failure_text() const {
  if (too_big_) return fmt::format("a message of more than {} bytes", message_bytes_max_);
  return "frames or text against RFC 6455";
}

}  // namespace relay
