// TLS of connections to endpoints, on OpenSSL with memory on both sides: no socket here.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"
#include "relay/config/voice_config.h"
#include "relay/voice/driver.h"

struct ssl_st;
struct ssl_ctx_st;

namespace relay {

// One a profile; connections share it. Immutable once made.
class TlsContext {
 public:
  // TLS 1.2 at least; the system's certificates or those of `ca_file`. The error names the file.
  static Result<std::shared_ptr<TlsContext>> make(const VoiceTlsConfig& config);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* native() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

// A client's session. `name` is what the certificate must be for, and is sent as SNI unless it is
// an address.
class TlsSession {
 public:
  TlsSession(std::shared_ptr<const TlsContext> context, const std::string& name);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Takes what came from the peer, none to begin with. Appends to `plain` what it says, and to
  // `out` what is to be sent. The error says what the handshake failed of.
  Result<void> receive(Octets cipher, std::vector<uint8_t>& plain, std::vector<uint8_t>& out);
  bool is_ready() const { return ready_; }
  bool peer_closed() const { return peer_closed_; }
  // Requires is_ready(). Appends the sealed bytes to `out`.
  Result<void> send(Octets plain, std::vector<uint8_t>& out);

 private:
  void take_out(std::vector<uint8_t>& out);
  tl::unexpected<Error> failure();

  std::shared_ptr<const TlsContext> context_;
  ssl_st* ssl_;
  bool ready_ = false, peer_closed_ = false;
};

}  // namespace relay
