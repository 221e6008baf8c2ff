#include "relay/voice/upgrade.h"

#include <fmt/core.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "relay/base/log.h"
#include "relay/voice/base64.h"

namespace relay {
namespace {

constexpr size_t kHeadBytesMax = 16 * 1024;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The first header of that name, which is in lower case.
std::string_view header(std::string_view head, std::string_view name) {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n")) {
    head.remove_prefix(at + 2);
    const std::string_view line = head.substr(0, head.find("\r\n"));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || lower(line.substr(0, colon)) != name) continue;
    return trimmed(line.substr(colon + 1));
  }
  return {};
}

int status_of(std::string_view head) {
  int status = 0;
  if (!head.starts_with("HTTP/1.")) return 0;
  const size_t blank = head.find(' ');
  if (blank == std::string_view::npos || head.size() < blank + 4) return 0;
  std::from_chars(head.data() + blank + 1, head.data() + blank + 4, status);
  return status;
}

VoiceError error_of(int status) {
  const bool may_pass = status == 408 || status == 429 || status >= 500;
  return may_pass ? VoiceError::unavailable : VoiceError::rejected;
}

bool has_token(std::string_view list, std::string_view token) {
  return (", " + lower(list) + ",").find(fmt::format(" {},", token)) != std::string::npos ||
         ("," + lower(list) + ",").find(fmt::format(",{},", token)) != std::string::npos;
}

// What is wrong with a reply of 101; nothing if it is good.
std::string complaint(std::string_view head, std::string_view key, std::string_view subprotocol) {
  if (lower(header(head, "upgrade")) != "websocket" ||
      !has_token(header(head, "connection"), "upgrade")) {
    return "the reply of 101 is not of a WebSocket";
  }
  if (header(head, "sec-websocket-accept") != accept_of(key)) {
    return "Sec-WebSocket-Accept does not answer our key";
  }
  if (!header(head, "sec-websocket-extensions").empty()) {
    return "an extension that was not asked for";
  }
  const std::string_view chosen = header(head, "sec-websocket-protocol");
  if (!chosen.empty() && chosen != subprotocol) {
    return fmt::format("the subprotocol {} that was not asked for", quoted(chosen));
  }
  return {};
}

}  // namespace

std::string upgrade_request(const VoiceUrl& url, const std::vector<HttpHeader>& headers,
                            std::string_view subprotocol, std::string_view key) {
  std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n",
      url.target, url.authority(), key);
  if (!subprotocol.empty()) request += fmt::format("Sec-WebSocket-Protocol: {}\r\n", subprotocol);
  for (const HttpHeader& row : headers) request += fmt::format("{}: {}\r\n", row.name, row.value);
  return request += "\r\n";
}

std::string accept_of(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha1(), nullptr);
  std::string accept;
  append_base64(accept, Octets(digest.data(), length));
  return accept;
}

std::optional<UpgradeReply> parse_upgrade_reply(std::string_view received, std::string_view key,
                                                std::string_view subprotocol) {
  const size_t end = received.substr(0, kHeadBytesMax).find("\r\n\r\n");
  UpgradeReply reply;
  if (end == std::string_view::npos) {
    if (received.size() < kHeadBytesMax) return std::nullopt;
    reply.text = "the head of the reply is longer than 16 KiB";
    return reply;
  }
  reply.bytes = end + 4;
  const std::string_view head = received.substr(0, end + 2);
  const int status = status_of(head);
  reply.log_id = header(head, "x-tt-logid");
  if (status != 101) {
    reply.error = error_of(status);
    const std::string_view line = head.substr(0, head.find("\r\n"));
    reply.text = fmt::format("answered {}{}", quoted(line),
                             status / 100 == 3 ? "; redirects are not followed" : "");
    return reply;
  }
  reply.text = complaint(head, key, subprotocol);
  reply.accepted = reply.text.empty();
  return reply;
}

}  // namespace relay
