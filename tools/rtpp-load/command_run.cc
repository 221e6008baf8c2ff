// A run without media: each of --in-flight calls is set up, deleted and begun anew until time is
// up.
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
        calls_(options.in_flight) {}

  Result<LoadReport> run() {
    if (const auto there = meter_.check(); !there) return tl::unexpected(there.error());
    auto client = open_control_client(loop_, options_.socket);
    if (!client) return tl::unexpected(client.error());
    client_ = std::move(*client);
    signalling_ = options_.ng ? make_ng_signalling(*client_)
                              : make_rtpproxy_signalling(*client_, options_.signalling);
    if (meter_.has_pids()) report_.memory = ResidentMemory{meter_.resident_kib(), 0, 0};
    meter_.begin({}, 0);
    end_timer_.start(std::chrono::ceil<std::chrono::milliseconds>(
        std::chrono::duration<double>(options_.duration_s)));
    for (Call& call : calls_) begin(call);
    loop_.run();
    report_.signalling = signalling_->counters();
    report_.window = meter_.end({}, report_.signalling.commands);
    if (report_.memory) {
      report_.memory->peak_kib = report_.memory->after_kib = meter_.resident_kib();
    }
    return std::move(report_);
  }

 private:
  void begin(Call& call) {
    if (ending_) {
      if (++ended_ == calls_.size()) loop_.stop();
      return;
    }
    call.index = next_index_++;
    call.call_id = fmt::format("load-{:08x}-{}", run_, call.index);
    for (size_t side = 0; side < 2; ++side) {
      const auto port = static_cast<uint16_t>(10000 + (call.index * 4 + side * 2) % 20000);
      call.phones[side].signalled = {options_.phones.addresses[side], port};
    }
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
    if (report_.calls_failed++ == 0) report_.first_error = error.message;
    if (signalling_->counters().unanswered > 0) {
      ending_ = true;
      begin(call);
    } else {
      signalling_->tear_down(call, [this, &call](Result<void>) { begin(call); });
    }
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
  std::vector<Call> calls_;
  uint32_t next_index_ = 0;
  size_t ended_ = 0;
  bool ending_ = false;
  LoadReport report_;
};

}  // namespace

Result<LoadReport> run_commands(const LoadOptions& options) {
  return CommandRun(options).run();
}

}  // namespace relay::tools
