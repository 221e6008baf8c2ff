#include "relay/control/http_server.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace relay {
namespace {

constexpr int kTimeoutSeconds = 10;
constexpr size_t kHeaderBytesMax = 16 * 1024;
constexpr const char* kJson = "application/json";
constexpr const char* kText = "text/plain; version=0.0.4; charset=utf-8";

void reply(evhttp_request* request, int status, const char* type, std::string_view body) {
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", type);
  evhttp_add_header(headers, "Cache-Control", "no-store");
  evbuffer* out = evhttp_request_get_output_buffer(request);
  evbuffer_add(out, body.data(), body.size());
  evhttp_send_reply(request, status, nullptr, nullptr);
}

void refuse(evhttp_request* request, int status, std::string_view what) {
  reply(request, status, kJson, "{\"error\":\"" + std::string(what) + "\"}\n");
}

// Could be a token of the protocol.
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != '\x7f';
  });
}

// Percent-decoded; empty when it is not well-formed or cannot be a token of the protocol.
std::string to_token(std::string_view encoded) {
  size_t size = 0;
  char* decoded = evhttp_uridecode(std::string(encoded).c_str(), 0, &size);
  if (decoded == nullptr) return {};
  std::string token(decoded, size);
  ::free(decoded);
  return is_token(token) ? token : std::string();
}

std::string query_value(const evhttp_uri* uri, const char* name) {
  const char* query = evhttp_uri_get_query(uri);
  if (query == nullptr) return {};
  evkeyvalq values;
  if (evhttp_parse_query_str(query, &values) != 0) return {};
  const char* value = evhttp_find_header(&values, name);
  std::string result = value != nullptr ? to_token(value) : std::string();
  evhttp_clear_headers(&values);
  return result;
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::create(EventLoop& loop, const Endpoint& local,
                                                       Sources sources) {
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(sources)));
  server->http_ = evhttp_new(loop.base());
  if (server->http_ == nullptr) return fail("evhttp_new");
  evhttp_set_max_body_size(server->http_, kBodyBytesMax);
  evhttp_set_max_headers_size(server->http_, kHeaderBytesMax);
  evhttp_set_timeout(server->http_, kTimeoutSeconds);
  evhttp_set_allowed_methods(server->http_, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
  evhttp_set_gencb(
      server->http_,
      [](evhttp_request* request, void* self) {
        static_cast<const HttpServer*>(self)->on_request(request);
      },
      server.get());
  evhttp_bound_socket* bound =
      evhttp_bind_socket_with_handle(server->http_, local.address.to_string().c_str(), local.port);
  if (bound == nullptr) return fail_errno("cannot listen for HTTP on " + local.to_string());
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  if (::getsockname(evhttp_bound_socket_get_fd(bound), reinterpret_cast<sockaddr*>(&address),
                    &bytes) != 0) {
    return fail_errno("getsockname");
  }
  const in_port_t port = address.ss_family == AF_INET6
                             ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                             : reinterpret_cast<const sockaddr_in*>(&address)->sin_port;
  server->port_ = ntohs(port);
  return server;
}

HttpServer::~HttpServer() {
  if (http_ != nullptr) evhttp_free(http_);
}

void HttpServer::on_request(evhttp_request* request) const {
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  const char* path_text = uri != nullptr ? evhttp_uri_get_path(uri) : nullptr;
  const std::string_view path = path_text != nullptr ? path_text : "";
  if (evhttp_request_get_command(request) == EVHTTP_REQ_POST) return on_post(request, path);
  constexpr std::string_view kOneSession = "/sessions/";
  if (path == "/metrics") return reply(request, HTTP_OK, kText, sources_.metrics());
  if (path == "/healthz") {
    const bool ready = sources_.is_taking_calls();
    return reply(request, ready ? HTTP_OK : HTTP_SERVUNAVAIL, kJson,
                 ready ? "{\"status\":\"ok\"}\n" : "{\"status\":\"draining\"}\n");
  }
  if (path == "/stats") return answer_with_command(request, "J stats");
  if (path == "/sessions") {
    return answer_with_command(request, "J sessions " + query_value(uri, "cursor"));
  }
  if (path == "/voices") return answer_with_command(request, "J voices");
  if (path == "/events") {
    return answer_with_command(request, "J events " + query_value(uri, "after"));
  }
  if (path.starts_with(kOneSession)) {
    const std::string call_id = to_token(path.substr(kOneSession.size()));
    if (call_id.empty()) return refuse(request, HTTP_BADREQUEST, "not a call-id");
    return answer_with_command(request, "J session " + call_id);
  }
  refuse(request, HTTP_NOTFOUND,
         "not found: try /metrics, /healthz, /stats, /sessions, /voices, /events");
}

// {"call_id":…, "tag":…, "profile":…}: the party whose tag it is speaks with the endpoint, as by P;
// without a profile it does no longer, as by S.
void HttpServer::on_post(evhttp_request* request, std::string_view path) const {
  if (path != "/voices") return refuse(request, HTTP_BADMETHOD, "POST is for /voices");
  evbuffer* in = evhttp_request_get_input_buffer(request);
  std::string body(evbuffer_get_length(in), '\0');
  evbuffer_copyout(in, body.data(), body.size());
  const auto wanted = nlohmann::json::parse(body, nullptr, false);
  const auto text = [&](const char* key) {
    const bool is_there = wanted.is_object() && wanted.contains(key) && wanted[key].is_string();
    return is_there ? wanted[key].get<std::string>() : std::string();
  };
  const std::string call_id = text("call_id"), tag = text("tag"), profile = text("profile");
  if (!is_token(call_id) || !is_token(tag) || (!profile.empty() && !is_token(profile))) {
    return refuse(request, HTTP_BADREQUEST,
                  "expected call_id, tag and, unless it is to end, profile");
  }
  answer_with_command(request, profile.empty()
                                   ? "S " + call_id + " " + tag
                                   : "P-1 " + call_id + " ai:" + profile + " session " + tag);
}

void HttpServer::answer_with_command(evhttp_request* request, const std::string& command) const {
  const std::string text = sources_.commands.execute(command, {});
  if (text == "0\n") return reply(request, HTTP_OK, kJson, "{}\n");
  if (!text.starts_with('E')) return reply(request, HTTP_OK, kJson, text);
  refuse(request, HTTP_NOTFOUND, "no such call, page or profile");
}

}  // namespace relay
