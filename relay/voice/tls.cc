#include "relay/voice/tls.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>

#include "relay/base/assert.h"
#include "relay/base/endpoint.h"
#include "relay/base/log.h"

namespace relay {
namespace {

std::string openssl_error() {
  std::array<char, 256> text{};
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "unknown error";
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

tl::unexpected<Error> bad_file(std::string_view what, const std::string& path) {
  return fail(fmt::format("{} {}: {}", what, quoted(path), openssl_error()));
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::make(const VoiceTlsConfig& config) {
  ERR_clear_error();
  SSL_CTX* const native = SSL_CTX_new(TLS_client_method());
  RELAY_ASSERT(native != nullptr);
  std::shared_ptr<TlsContext> context(new TlsContext(native));
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_verify(native, config.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (config.ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(native);
  } else if (SSL_CTX_load_verify_file(native, config.ca_file.c_str()) != 1) {
    return bad_file("ca_file", config.ca_file);
  }
  if (config.certificate_file.empty()) return context;
  if (SSL_CTX_use_certificate_chain_file(native, config.certificate_file.c_str()) != 1) {
    return bad_file("certificate_file", config.certificate_file);
  }
  if (SSL_CTX_use_PrivateKey_file(native, config.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(native) != 1) {
    return bad_file("key_file", config.key_file);
  }
  return context;
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, const std::string& name)
    : context_(std::move(context)), ssl_(SSL_new(context_->native())) {
  RELAY_ASSERT(ssl_ != nullptr);
  SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(ssl_);
  if (IpAddress::parse(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), name.c_str());
  } else {
    SSL_set1_host(ssl_, name.c_str());
    SSL_set_tlsext_host_name(ssl_, name.c_str());
  }
}

TlsSession::~TlsSession() {
  SSL_free(ssl_);
}

Result<void> TlsSession::receive(Octets cipher, std::vector<uint8_t>& plain,
                                 std::vector<uint8_t>& out) {
  ERR_clear_error();
  if (!cipher.empty()) {
    BIO_write(SSL_get_rbio(ssl_), cipher.data(), static_cast<int>(cipher.size()));
  }
  if (!ready_) {
    const int result = SSL_do_handshake(ssl_);
    take_out(out);
    if (result != 1 && SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) return failure();
    ready_ = result == 1;
    if (!ready_) return {};
  }
  std::array<uint8_t, 16 * 1024> piece;
  for (;;) {
    const int result = SSL_read(ssl_, piece.data(), static_cast<int>(piece.size()));
    take_out(out);
    if (result > 0) {
      plain.insert(plain.end(), piece.begin(), piece.begin() + result);
      continue;
    }
    const int error = SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_ZERO_RETURN) peer_closed_ = true;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) return {};
    return failure();
  }
}

Result<void> TlsSession::send(Octets plain, std::vector<uint8_t>& out) {
  RELAY_ASSERT(ready_);
  ERR_clear_error();
  const int result = SSL_write(ssl_, plain.data(), static_cast<int>(plain.size()));
  take_out(out);
  if (result <= 0) return failure();
  return {};
}

void TlsSession::take_out(std::vector<uint8_t>& out) {
  BIO* const bio = SSL_get_wbio(ssl_);
  const size_t pending = BIO_ctrl_pending(bio);
  const size_t at = out.size();
  out.resize(at + pending);
  if (pending > 0) BIO_read(bio, out.data() + at, static_cast<int>(pending));
}

tl::unexpected<Error> TlsSession::failure() {
  const long verified = SSL_get_verify_result(ssl_);
  if (!ready_ && verified != X509_V_OK) {
    ERR_clear_error();
    return fail(fmt::format("certificate: {}", X509_verify_cert_error_string(verified)));
  }
  return fail(openssl_error());
}

}  // namespace relay
