// A run with media, from top to bottom: ramp → settle → window → drain → tear down.
#include "tools/rtpp-load/load_run.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <queue>
#include <random>

#include "tools/rtpp-load/usage_meter.h"

namespace relay::tools {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t kNatWarmUpMs = 1000;
constexpr Duration kRampTick = milliseconds(10);
constexpr Duration kDrainTick = milliseconds(100);
constexpr int kDrainTicksMax = 30;
// Between the end of a call's media and its deletion.
constexpr Duration kLastPackets = milliseconds(300);

class LoadRun {
 public:
  explicit LoadRun(const LoadOptions& options)
      : options_(options),
        meter_(options.pids),
        phones_(options.phones),
        ramp_timer_(loop_, [this] { start_due_calls(); }),
        change_timer_(loop_, [this] { make_due_changes(); }),
        phase_timer_(loop_, [this] { next_phase(); }),
        progress_timer_(loop_, [this] { show_progress(); }),
        signals_(loop_, [this] { interrupt(); }),
        gap_s_(options.rate_per_s),
        hold_s_(1 / (options.hold_s > 0 ? options.hold_s : 1)) {}

  Result<LoadReport> run();

 private:
  enum class Phase { ramp, settle, window, drain, tear_down };
  // Something that is to happen to a call.
  struct Change {
    Instant at{};
    Call* call = nullptr;
    void (LoadRun::*make)(Call&) = nullptr;
    friend bool operator<(const Change& a, const Change& b) {
      return a.at > b.at;
    }  // soonest on top
  };

  Result<void> prepare();
  void start_due_calls();
  void set_up(Call& call);
  void make_due_changes();
  void hang_up(Call& call);
  void replace(Call& call);
  void move(Call& call);
  void schedule_moves();
  void note(const Error& error) {
    if (report_.calls_failed++ == 0) report_.first_error = error.message;
  }
  void enter_settle();
  void next_phase();
  void enter_window();
  void enter_drain();
  void check_drained();
  void enter_tear_down();
  void tear_down_some();
  void interrupt();
  void show_progress() const;
  MediaCounters counters() const { return media_->counters(); }
  bool nobody_answers() const {
    return signalling_->counters().unanswered > 0 && signalling_->counters().commands == 0;
  }

  const LoadOptions& options_;
  EventLoop loop_;
  UsageMeter meter_;
  std::unique_ptr<ControlClient> client_;
  std::unique_ptr<Signalling> signalling_;
  std::vector<Call> calls_;
  PhoneMaker phones_;
  uint32_t run_ = std::random_device{}();
  uint32_t next_name_ = 0;
  std::priority_queue<Change> changes_;
  std::unique_ptr<MediaEngine> media_;
  Timer ramp_timer_;
  Timer change_timer_;
  Timer phase_timer_;
  Timer progress_timer_;
  StopSignals signals_;

  Phase phase_ = Phase::ramp;
  Instant ramp_began_{};
  double next_due_s_ = 0;
  std::mt19937 random_{1};  // the same arrivals in each run
  std::exponential_distribution<double> gap_s_;
  std::exponential_distribution<double> hold_s_;
  uint32_t next_call_ = 0;
  uint32_t busy_ = 0;  // set-ups or tear-downs under way
  size_t next_tear_down_ = 0;
  int drain_ticks_ = 0;
  uint64_t arrived_before_ = 0;
  LoadReport report_;
};

Result<void> LoadRun::prepare() {
  if (const auto there = meter_.check(); !there) return there;
  // A phone that moves keeps its old sockets: half a call more.
  const uint64_t moves = uint64_t{options_.calls} * options_.reinvite_percent / 100;
  const auto room = reserve_descriptors(options_.calls + moves / 2 + 1, options_.phones.rtcp);
  if (!room) return room;
  auto client = open_control_client(loop_, options_.socket);
  if (!client) return tl::unexpected(client.error());
  client_ = std::move(*client);
  signalling_ = options_.ng ? make_ng_signalling(*client_)
                            : make_rtpproxy_signalling(*client_, options_.signalling);
  calls_.resize(options_.calls);
  for (uint32_t i = 0; i < options_.calls; ++i) {
    calls_[i].index = i;
    if (const auto opened = phones_.open(calls_[i]); !opened) return opened;
  }
  MediaSettings media;
  media.run = run_;
  media.calls = options_.calls;
  media.threads = options_.threads;
  media.profile = options_.profile;
  media.ptime_ms = options_.ptime_ms;
  media.payload_bytes = options_.payload_bytes;
  media.rtcp = options_.phones.rtcp;
  if (options_.phones.nat_percent > 0) {
    media.warm_up_turns = kNatWarmUpMs / static_cast<uint32_t>(options_.ptime_ms);
  }
  media_ = std::make_unique<MediaEngine>(media);
  return {};
}

Result<LoadReport> LoadRun::run() {
  if (const auto ready = prepare(); !ready) return tl::unexpected(ready.error());
  if (meter_.has_pids()) report_.memory = ResidentMemory{meter_.resident_kib(), 0, 0};
  ramp_began_ = steady_now();
  ramp_timer_.start(kRampTick, kRampTick);
  change_timer_.start(kRampTick, kRampTick);
  if (options_.progress) progress_timer_.start(seconds(1), seconds(1));
  loop_.run();
  if (options_.progress) fmt::print(stderr, "\n");
  if (report_.memory) report_.memory->after_kib = meter_.resident_kib();
  report_.media = counters();
  report_.times = media_->times();
  report_.signalling = signalling_->counters();
  return std::move(report_);
}

void LoadRun::start_due_calls() {
  if (nobody_answers()) next_call_ = options_.calls;
  const double elapsed_s = std::chrono::duration<double>(steady_now() - ramp_began_).count();
  while (next_call_ < options_.calls && next_due_s_ <= elapsed_s && busy_ < options_.in_flight) {
    set_up(calls_[next_call_++]);
    next_due_s_ += options_.poisson ? gap_s_(random_) : 1 / options_.rate_per_s;
  }
  // Where calls end and begin all the time, there is always one under way.
  if (next_call_ == options_.calls && (busy_ == 0 || options_.hold_s > 0)) enter_settle();
}

void LoadRun::set_up(Call& call) {
  ++busy_;
  call.call_id = fmt::format("load-{:08x}-{}", run_, next_name_++);
  call.begun = true;
  signalling_->set_up(call, [this, &call](Result<void> done) {
    --busy_;
    if (!done) return note(done.error());
    ++report_.calls_up;
    if (phase_ >= Phase::drain) return;
    media_->start_call(call);
    call.talking = true;
    if (options_.hold_s <= 0) return;
    const std::chrono::duration<double> hold(hold_s_(random_));
    changes_.push(
        {steady_now() + std::chrono::duration_cast<Duration>(hold), &call, &LoadRun::hang_up});
  });
}

void LoadRun::make_due_changes() {
  const Instant now = steady_now();
  while (!changes_.empty() && changes_.top().at <= now) {
    const Change change = changes_.top();
    changes_.pop();
    if (phase_ < Phase::drain) (this->*change.make)(*change.call);
  }
}

void LoadRun::hang_up(Call& call) {
  call.talking = false;
  media_->stop_call(call);
  changes_.push({steady_now() + kLastPackets, &call, &LoadRun::replace});
}

void LoadRun::replace(Call& call) {
  ++busy_;
  call.begun = false;
  signalling_->tear_down(call, [this, &call](Result<void> done) {
    --busy_;
    if (!done) return note(done.error());
    if (phase_ >= Phase::drain) return;
    ++report_.calls_replaced;
    set_up(call);
  });
}

void LoadRun::schedule_moves() {
  std::uniform_real_distribution<double> when_s(0, options_.duration_s * 0.9);
  for (Call& call : calls_) {
    if (call.index * 61 % 100 >= options_.reinvite_percent) continue;
    const std::chrono::duration<double> when(when_s(random_));
    changes_.push(
        {steady_now() + std::chrono::duration_cast<Duration>(when), &call, &LoadRun::move});
  }
}

void LoadRun::move(Call& call) {
  if (!call.talking) return;
  if (const auto moved = phones_.move(call, 0); !moved) return note(moved.error());
  ++busy_;
  signalling_->move(call, [this, &call](Result<void> done) {
    --busy_;
    if (!done) return note(done.error());
    ++report_.reinvites;
    if (phase_ < Phase::tear_down) media_->move_call(call);
  });
}

void LoadRun::enter_settle() {
  ramp_timer_.stop();
  if (report_.calls_up == 0) return enter_drain();
  phase_ = Phase::settle;
  phase_timer_.start(milliseconds(500 + (options_.phones.nat_percent > 0 ? kNatWarmUpMs : 0)));
}

void LoadRun::next_phase() {
  switch (phase_) {
    case Phase::ramp:  // interrupted while commands were under way
      if (busy_ == 0) enter_drain();
      break;
    case Phase::settle:
      enter_window();
      break;
    case Phase::window:
      report_.window = meter_.end(counters(), signalling_->counters().commands);
      if (report_.memory) report_.memory->peak_kib = meter_.resident_kib();
      enter_drain();
      break;
    case Phase::drain:
      check_drained();
      break;
    case Phase::tear_down:
      break;
  }
}

void LoadRun::enter_window() {
  phase_ = Phase::window;
  media_->measure_times();
  schedule_moves();
  meter_.begin(counters(), signalling_->counters().commands);
  phase_timer_.start(
      std::chrono::ceil<milliseconds>(std::chrono::duration<double>(options_.duration_s)));
}

void LoadRun::enter_drain() {
  phase_ = Phase::drain;
  media_->stop_sending();
  arrived_before_ = counters().arrived;
  phase_timer_.start(kDrainTick, kDrainTick);
}

// Done when everything has come, or nothing has for three ticks running.
void LoadRun::check_drained() {
  const MediaCounters now = counters();
  drain_ticks_ = now.arrived == arrived_before_ ? drain_ticks_ + 10 : drain_ticks_ + 1;
  arrived_before_ = now.arrived;
  if ((now.lost() > 0 || busy_ > 0) && drain_ticks_ < kDrainTicksMax) return;
  phase_timer_.stop();
  enter_tear_down();
}

void LoadRun::enter_tear_down() {
  phase_ = Phase::tear_down;
  media_->finish();
  tear_down_some();
}

void LoadRun::tear_down_some() {
  while (next_tear_down_ < calls_.size() && busy_ < options_.in_flight) {
    const Call& call = calls_[next_tear_down_++];
    if (!call.begun) continue;
    ++busy_;
    signalling_->tear_down(call, [this](Result<void> done) {
      --busy_;
      if (!done && report_.first_error.empty()) report_.first_error = done.error().message;
      if (nobody_answers()) return loop_.stop();
      tear_down_some();
    });
  }
  if (busy_ == 0) loop_.stop();
}

void LoadRun::interrupt() {
  if (report_.interrupted) return;
  report_.interrupted = true;
  if (phase_ == Phase::ramp) {
    ramp_timer_.stop();
    phase_timer_.start(kRampTick, kRampTick);
  } else if (phase_ == Phase::settle) {
    enter_drain();
  } else if (phase_ == Phase::window) {
    next_phase();
  }
}

void LoadRun::show_progress() const {
  constexpr size_t kWidth = 24;
  const MediaCounters now = counters();
  const double elapsed_s = std::chrono::duration<double>(steady_now() - ramp_began_).count();
  const double total_s = options_.calls / options_.rate_per_s + options_.duration_s + 1;
  const double done = phase_ < Phase::drain ? std::min(elapsed_s / total_s, 0.99) : 1;
  const auto filled = static_cast<size_t>(done * kWidth);
  fmt::print(stderr, "\r[{:-<{}}] {:3.0f} %  {}/{} calls, {} failed  {} packets, {} under way   ",
             std::string(filled, '#'), kWidth, 100 * done, report_.calls_up, options_.calls,
             report_.calls_failed, now.sent, now.lost());
}

}  // namespace

Result<LoadReport> run_calls(const LoadOptions& options) {
  return LoadRun(options).run();
}

}  // namespace relay::tools
