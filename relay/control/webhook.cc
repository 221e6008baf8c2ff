#include "relay/control/webhook.h"

#include <event2/http.h>
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "relay/base/log.h"
#include "relay/voice/variables.h"

namespace relay {
namespace {

using Kind = DeliveryOutcome::Kind;

constexpr uint16_t kHttpPort = 80;
constexpr size_t kBatchBytes = 64 * 1024;

std::string or_empty(const char* text) {
  return text != nullptr ? text : "";
}

// What may stand in logs: a query may hold a secret.
std::string without_query(const std::string& url) {
  return url.substr(0, url.find('?'));
}

Result<WebhookTarget> parse(const VoiceWebhook& webhook) {
  const auto refused = [&](std::string_view expected) {
    return fail(
        fmt::format("{}: {}: {}", webhook.source, quoted(without_query(webhook.url)), expected));
  };
  constexpr std::string_view kExpected = "expected http://HOST[:PORT]/PATH";
  const std::unique_ptr<evhttp_uri, decltype(&evhttp_uri_free)> uri(
      evhttp_uri_parse(webhook.url.c_str()), &evhttp_uri_free);
  if (uri == nullptr) return refused(kExpected);
  const std::string scheme = or_empty(evhttp_uri_get_scheme(uri.get()));
  if (scheme == "https") {
    return refused(
        "https is not spoken here: expected http://, to a proxy that adds TLS if needed");
  }
  std::string host = or_empty(evhttp_uri_get_host(uri.get()));
  if (scheme != "http" || host.empty()) return refused(kExpected);
  if (evhttp_uri_get_userinfo(uri.get()) != nullptr) {
    return refused("user and password do not go into the URL: expected them in webhook_headers");
  }
  const int port = evhttp_uri_get_port(uri.get());
  if (port == 0) return refused("expected a port from 1 to 65535");
  WebhookTarget target;
  target.name = without_query(webhook.url);
  target.server.port = port > 0 ? static_cast<uint16_t>(port) : kHttpPort;
  const std::string authority = port > 0 ? fmt::format("{}:{}", host, port) : host;
  target.server.headers.emplace_back("Host", authority);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  target.server.host = host;
  const std::string path = or_empty(evhttp_uri_get_path(uri.get()));
  target.server.path = path.empty() ? std::string(1, '/') : path;
  if (const char* query = evhttp_uri_get_query(uri.get()); query != nullptr) {
    target.server.path.append("?").append(query);
  }
  return target;
}

// Of a call. An event's request is of none: nothing but secrets is filled in.
bool has_other_variables(std::string_view text) {
  for (size_t at = text.find("${"); at != text.npos; at = text.find("${", at)) {
    text.remove_prefix(at + 2);
    at = 0;
    if (!text.starts_with("env:") && !text.starts_with("file:")) return true;
  }
  return false;
}

Result<std::string> header_value(const std::string& written) {
  if (auto checked = check_variables(written); !checked) return tl::unexpected(checked.error());
  if (has_other_variables(written)) return fail("expected ${env:NAME} or ${file:PATH} only");
  auto value = read_secrets(written);
  if (value &&
      std::any_of(value->begin(), value->end(), [](char c) { return c >= 0 && c < ' '; })) {
    return fail("a secret with control characters cannot be a header");
  }
  return value;
}

std::string body_of(std::string lines) {
  std::replace(lines.begin(), lines.end(), '\n', ',');
  if (lines.ends_with(',')) lines.pop_back();
  return "{\"events\":[" + lines + "]}";
}

DeliveryOutcome read_reply(int status, std::string_view reason, std::string_view) {
  if (status >= 200 && status < 300) return {};
  const bool may_pass = status >= 500 || status == 408 || status == 429;
  return {may_pass ? Kind::in_doubt : Kind::refused,
          fmt::format("HTTP status {} {}", status, reason)};
}

}  // namespace

Result<std::vector<WebhookTarget>> load_webhooks(const VoiceConfig& config) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const VoiceParameter& header : config.webhook_headers) {
    auto value = header_value(header.value);
    if (!value) {
      return tl::unexpected(with_context(config.webhook_headers_source, value.error()));
    }
    headers.emplace_back(header.name, std::move(*value));
  }
  std::vector<WebhookTarget> targets;
  for (const VoiceWebhook& webhook : config.webhooks) {
    auto target = parse(webhook);
    if (!target) return tl::unexpected(target.error());
    // Two that differ in what is not shown are two.
    target->name += fmt::format("#{}", targets.size() + 1);
    target->server.headers.insert(target->server.headers.end(), headers.begin(), headers.end());
    targets.push_back(std::move(*target));
  }
  return targets;
}

HttpManner webhook_manner() {
  return {kBatchBytes, &body_of, &read_reply};
}

}  // namespace relay
