#include "relay/base/resolver.h"

#include <netdb.h>
#include <pthread.h>

#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "relay/base/blocked_signals.h"

namespace relay {

struct Resolver::Shared {
  std::mutex mutex;
  Post post;             // under mutex; empty: the resolver has gone
  size_t under_way = 0;  // under mutex

  void tell(const std::weak_ptr<const Done>& request, Result<Addresses> answer) {
    if (!post) return;
    post([request, answer = std::move(answer)] {
      if (const auto done = request.lock()) (*done)(answer);
    });
  }
};

Result<Resolver::Addresses> Resolver::by_getaddrinfo(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) return fail(::gai_strerror(error));
  Addresses addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    address.length = each->ai_addrlen;
  }
  ::freeaddrinfo(found);
  return addresses;
}

Resolver::Resolver(Post post, Lookup look_up)
    : look_up_(std::move(look_up)), shared_(std::make_shared<Shared>()) {
  shared_->post = std::move(post);
}

Resolver::~Resolver() {
  const std::lock_guard lock(shared_->mutex);
  shared_->post = nullptr;
}

Resolver::Request Resolver::look_up(const std::string& host, uint16_t port, Done done) {
  const auto request = std::make_shared<const Done>(std::move(done));
  if (const auto numeric = IpAddress::parse(host)) {
    answer_soon(request, Addresses{to_socket_address({*numeric, port})});
    return request;
  }
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->under_way == kUnderWayMax) {
      shared_->tell(request, fail("too many names are being looked up"));
      return request;
    }
    ++shared_->under_way;
  }
  const auto run = [shared = shared_, look_up = look_up_, host, port,
                    interest = std::weak_ptr<const Done>(request)] {
    Result<Addresses> answer = look_up(host, port);
    const std::lock_guard lock(shared->mutex);
    --shared->under_way;
    shared->tell(interest, std::move(answer));
  };
  try {
    const BlockedSignals none;
    std::thread thread(run);
    pthread_setname_np(thread.native_handle(), "relay/resolver");
    thread.detach();
  } catch (const std::system_error& error) {
    const std::lock_guard lock(shared_->mutex);
    --shared_->under_way;
    shared_->tell(request, fail(std::string("no thread to look it up: ") + error.what()));
  }
  return request;
}

void Resolver::answer_soon(const std::weak_ptr<const Done>& request, Result<Addresses> answer) {
  const std::lock_guard lock(shared_->mutex);
  shared_->tell(request, std::move(answer));
}

}  // namespace relay
