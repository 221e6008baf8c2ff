// One TCP connection of the voice loop, with TLS or without. Loop thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "relay/voice/driver.h"
#include "relay/voice/tls.h"
#include "relay/voice/voice_event.h"
#include "relay/voice/voice_loop.h"

struct uv_tcp_s;

namespace relay {

// Called from the loop, never from inside a call of the stream's. Each may destroy the stream.
class StreamObserver {
 public:
  virtual ~StreamObserver() = default;
  virtual void stream_open() = 0;
  virtual void stream_data(Octets data) = 0;
  // The kernel has taken what write() could not hand over at once.
  virtual void stream_writable() = 0;
  // The peer closed; in order, that is after a FIN or TLS's close_notify. Nothing comes after it.
  virtual void stream_ended() = 0;
  // Nothing comes after it. `tls` or `unreachable`, also when it had been open.
  virtual void stream_failed(VoiceError error, const std::string& text) = 0;
};

class Stream {
 public:
  // Looks `host` up in the background, tries its addresses in turn. Without `tls`: plain.
  Stream(VoiceLoop& loop, std::string host, uint16_t port, std::shared_ptr<const TlsContext> tls,
         const std::string& tls_name, StreamObserver& observer);
  // Closes at once; what the kernel has taken is still sent.
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Requires: open. True when the kernel has taken it all; otherwise stream_writable() follows.
  bool write(Octets data);

 private:
  struct Callbacks;
  struct Write;

  void looked_up(const Result<Resolver::Addresses>& found);
  bool has_next_address() const { return next_address_ < addresses_.size(); }
  void connect_next();
  void connected();
  void read_on();
  void give_way();
  void received(Octets data);
  void lost(int status);
  bool write_raw(std::vector<uint8_t> bytes);
  void fail(VoiceError error, const std::string& text);

  VoiceLoop& loop_;
  const std::string host_;
  const uint16_t port_;
  StreamObserver& observer_;
  std::unique_ptr<TlsSession> tls_;
  Resolver::Request lookup_;
  Resolver::Addresses addresses_;
  size_t next_address_ = 0;
  uv_tcp_s* socket_ = nullptr;
  bool open_ = false;
  size_t writes_ = 0;  // under way
  VoiceTimer resume_;
  std::vector<uint8_t> plain_, sealed_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace relay
