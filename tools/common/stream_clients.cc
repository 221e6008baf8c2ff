#include <fmt/core.h>

#include <deque>
#include <unordered_map>

#include "tools/common/control_clients.h"
#include "tools/common/reply_framing.h"
#include "tools/common/stream_connection.h"

namespace relay::tools {
namespace {

// unix: the relay closes the connection behind its reply; a reply that is complete earlier is taken
// at once.
class OneShotClient final : public ControlClient {
 public:
  OneShotClient(EventLoop& loop, ControlAddress address, ControlClientSettings settings)
      : loop_(loop), address_(std::move(address)), settings_(settings) {}

  void ask(std::string command, Done done) override {
    const uint64_t number = next_number_++;
    exchanges_.emplace(
        number, std::make_unique<Exchange>(*this, number, std::move(command), std::move(done)));
  }

 private:
  class Exchange final : public StreamObserver {
   public:
    Exchange(OneShotClient& client, uint64_t number, std::string command, Done done)
        : client_(client),
          number_(number),
          command_(std::move(command)),
          done_(std::move(done)),
          started_(steady_now()),
          timer_(client.loop_, [this] { give_up(); }),
          connection_(client.loop_, client.address_, {}, *this) {
      connection_.write(command_);
      timer_.start(client.settings_.patience());
    }

    void stream_received(std::string_view bytes) override {
      received_ += bytes;
      if (const auto reply = complete_reply(command_, received_)) finish_with(*reply);
    }
    void stream_ended(const std::string& why) override {
      if (received_.empty()) {
        finish(fail(fmt::format("{}: {}", client_.address_.to_string(), why)));
      } else {
        finish_with(received_);
      }
    }

   private:
    void give_up() {
      const auto waited = std::chrono::duration<double>(client_.settings_.patience()).count();
      finish(fail(fmt::format("{}: no answer within {} s", client_.address_.to_string(), waited)));
    }
    void finish_with(std::string_view reply) {
      finish(Answer{std::string(without_line_end(reply)), steady_now() - started_, 1});
    }
    void finish(Result<Answer> answer) {
      const auto self = std::move(client_.exchanges_.at(number_));
      client_.exchanges_.erase(number_);
      done_(std::move(answer));
    }

    OneShotClient& client_;
    const uint64_t number_;
    const std::string command_;
    const Done done_;
    const Instant started_;
    std::string received_;
    Timer timer_;
    StreamConnection connection_;
  };

  EventLoop& loop_;
  const ControlAddress address_;
  const ControlClientSettings settings_;
  uint64_t next_number_ = 0;
  std::unordered_map<uint64_t, std::unique_ptr<Exchange>> exchanges_;
};

// cunix and tcp. A reply is known by its place in line, so a lost one ends the connection; the next
// command opens a new one.
class LineClient final : public ControlClient, public StreamObserver {
 public:
  LineClient(EventLoop& loop, ControlAddress address, const Endpoint& resolved,
             ControlClientSettings settings)
      : loop_(loop),
        address_(std::move(address)),
        resolved_(resolved),
        settings_(settings),
        timer_(loop, [this] { check_patience(); }) {}

  void ask(std::string command, Done done) override {
    if (!connection_) {
      connection_ = std::make_unique<StreamConnection>(loop_, address_, resolved_, *this);
    }
    connection_->write(command + "\n");
    pending_.push_back({std::move(command), std::move(done), steady_now()});
    if (!timer_.armed()) timer_.start(settings_.patience());
  }

 private:
  struct Pending {
    std::string command;
    Done done;
    Instant asked;
  };

  void stream_received(std::string_view bytes) override {
    received_ += bytes;
    while (!pending_.empty()) {
      const auto reply = complete_reply(pending_.front().command, received_);
      if (!reply) return;
      const Pending answered = std::move(pending_.front());
      pending_.pop_front();
      std::string text(without_line_end(*reply));
      received_.erase(0, reply->size());
      answered.done(Answer{std::move(text), steady_now() - answered.asked, 1});
    }
  }
  void stream_ended(const std::string& why) override {
    const std::string message = fmt::format("{}: {}", address_.to_string(), why);
    const std::deque<Pending> failed = std::move(pending_);
    pending_.clear();
    received_.clear();
    timer_.stop();
    const auto ended = std::move(connection_);
    for (const Pending& pending : failed) pending.done(fail(message));
  }
  void check_patience() {
    if (pending_.empty()) return;
    const Duration left = pending_.front().asked + settings_.patience() - steady_now();
    if (left > Duration::zero()) {
      timer_.start(left);
      return;
    }
    const auto waited = std::chrono::duration<double>(settings_.patience()).count();
    stream_ended(fmt::format("no answer within {} s", waited));
  }

  EventLoop& loop_;
  const ControlAddress address_;
  const Endpoint resolved_;
  const ControlClientSettings settings_;
  Timer timer_;
  std::unique_ptr<StreamConnection> connection_;
  std::deque<Pending> pending_;
  std::string received_;
};

}  // namespace

std::unique_ptr<ControlClient> open_one_shot_client(EventLoop& loop, const ControlAddress& address,
                                                    ControlClientSettings settings) {
  return std::make_unique<OneShotClient>(loop, address, settings);
}

Result<std::unique_ptr<ControlClient>> open_line_client(EventLoop& loop,
                                                        const ControlAddress& address,
                                                        ControlClientSettings settings) {
  Endpoint resolved;
  if (address.kind == ControlAddress::Kind::tcp) {
    const auto found = resolve(address);
    if (!found) return tl::unexpected(found.error());
    resolved = *found;
  }
  return std::make_unique<LineClient>(loop, address, resolved, settings);
}

}  // namespace relay::tools
