// A run without media: --standing calls are set up and stay; then each of --in-flight further calls
// is set up, deleted and begun anew until time is up.
#include <fmt/core.h>

#include <random>

#include "tools/rtpp-load/load_run.h"
#include "tools/rtpp-load/usage_meter.h"

namespace relay::tools {
namespace {

class CommandRun {
 public:
  explicit CommandRun(const LoadOptions& options)
      : options_(options),
        run_(std::random_device{}()),
        meter_(options.pids),
        end_timer_(loop_, [this] { ending_ = true; }),
        signals_(loop_, [this] { interrupt(); }),
        standing_(options.standing),
        calls_(options.in_flight) {}

  Result<LoadReport> run() {
    if (const auto there = meter_.check(); !there) return tl::unexpected(there.error());
    auto client = open_control_client(loop_, options_.socket);
    if (!client) return tl::unexpected(client.error());
    client_ = std::move(*client);
    signalling_ = options_.ng ? make_ng_signalling(*client_)
                              : make_rtpproxy_signalling(*client_, options_.signalling);
    if (meter_.has_pids()) report_.memory = ResidentMemory{meter_.resident_kib(), 0, 0};
    if (!standing_.empty()) set_up_standing();
    if (!ending_) cycle();
    if (!standing_.empty()) delete_standing();
    if (report_.memory) report_.memory->after_kib = meter_.resident_kib();
    return std::move(report_);
  }

 private:
  void name(Call& call) {
    call.index = next_index_++;
    call.call_id = fmt::format("load-{:08x}-{}", run_, call.index);
    for (size_t side = 0; side < 2; ++side) {
      const auto port = static_cast<uint16_t>(10000 + (call.index * 4 + side * 2) % 20000);
      call.phones[side].signalled = {options_.phones.addresses[side], port};
    }
  }

  void set_up_standing() {
    const Instant began = steady_now();
    for (uint32_t i = 0; i < options_.in_flight; ++i) set_up_next();
    if (busy_ > 0) loop_.run();
    report_.standing = StandingCalls{std::chrono::duration<double>(steady_now() - began).count(),
                                     signalling_->take_counters()};
    ending_ = ending_ || report_.standing->signalling.unanswered > 0;
  }

  void set_up_next() {
    if (next_standing_ == standing_.size() || ending_ || nobody_answers()) return;
    Call& call = standing_[next_standing_++];
    name(call);
    ++busy_;
    signalling_->set_up(call, [this](Result<void> done) {
      --busy_;
      if (!done) {
        note(done.error());
      } else {
        ++report_.calls_up;
      }
      set_up_next();
      if (busy_ == 0) loop_.stop();
    });
  }

  void delete_standing() {
    for (uint32_t i = 0; i < options_.in_flight; ++i) delete_next();
    if (busy_ > 0) loop_.run();
  }

  void delete_next() {
    if (next_standing_ == 0 || nobody_answers()) return;
    ++busy_;
    signalling_->tear_down(standing_[--next_standing_], [this](Result<void> done) {
      --busy_;
      if (!done) note(done.error());
      delete_next();
      if (busy_ == 0) loop_.stop();
    });
  }

  void cycle() {
    meter_.begin({}, 0);
    end_timer_.start(std::chrono::ceil<std::chrono::milliseconds>(
        std::chrono::duration<double>(options_.duration_s)));
    for (Call& call : calls_) begin(call);
    loop_.run();
    report_.signalling = signalling_->counters();
    report_.window = meter_.end({}, report_.signalling.commands);
    if (report_.memory) report_.memory->peak_kib = meter_.resident_kib();
  }

  void begin(Call& call) {
    if (ending_) {
      if (++ended_ == calls_.size()) loop_.stop();
      return;
    }
    name(call);
    signalling_->set_up(call, [this, &call](Result<void> done) {
      if (!done) return give_up(call, done.error());
      signalling_->tear_down(call, [this, &call](Result<void> deleted) {
        if (!deleted) return give_up(call, deleted.error());
        ++report_.calls_up;
        begin(call);
      });
    });
  }

  // What was set up by half is deleted too. A relay that does not answer is not asked for ever.
  void give_up(Call& call, const Error& error) {
    note(error);
    if (nobody_answers()) {
      ending_ = true;
      begin(call);
    } else {
      signalling_->tear_down(call, [this, &call](Result<void>) { begin(call); });
    }
  }

  bool nobody_answers() const { return signalling_->counters().unanswered > 0; }
  void note(const Error& error) {
    if (report_.calls_failed++ == 0) report_.first_error = error.message;
  }

  void interrupt() {
    report_.interrupted = true;
    ending_ = true;
  }

  const LoadOptions& options_;
  const uint32_t run_;
  EventLoop loop_;
  UsageMeter meter_;
  std::unique_ptr<ControlClient> client_;
  std::unique_ptr<Signalling> signalling_;
  Timer end_timer_;
  StopSignals signals_;
  std::vector<Call> standing_;
  std::vector<Call> calls_;
  uint32_t next_index_ = 0;
  size_t next_standing_ = 0;
  uint32_t busy_ = 0;
  size_t ended_ = 0;
  bool ending_ = false;
  LoadReport report_;
};

}  // namespace

Result<LoadReport> run_commands(const LoadOptions& options) {
  return CommandRun(options).run();
}

}  // namespace relay::tools
