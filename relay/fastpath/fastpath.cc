#include "relay/fastpath/fastpath.h"

#include <sys/random.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "relay/base/log.h"
#include "relay/fastpath/abi.h"
#include "relay/fastpath/attachment.h"
#include "relay/fastpath/bpf_program.h"
#include "relay/fastpath/flow_table.h"
#include "relay/fastpath/interfaces.h"
#include "relay/fastpath/pins.h"
#include "relay/fastpath/routes.h"
#include "relay/fastpath/self_test.h"

namespace relay {
namespace {

constexpr int kPuntBurst = 20;
// A routing daemon may bring thousands of changes a second; asking for the ways of 10,000 flows
// takes about 0.1 s.
constexpr Duration kRefreshInterval = std::chrono::seconds(1);

uint64_t until() {
  return static_cast<uint64_t>(to_ns(steady_now() + kKernelWatch));
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

class KernelFastpath final : public Fastpath {
 public:
  explicit KernelFastpath(const FastpathOptions& options) : options_(options) {}
  Result<void> start();

  bool available() const override { return true; }
  const std::string& status() const override { return status_; }
  Result<KernelFlowId> install(const KernelFlowSpec& spec, const RtpStreamState& stream) override {
    return flows_->install(spec, stream, steady_now());
  }
  Result<void> update(KernelFlowId id, const KernelFlowSpec& spec) override {
    return flows_->update(id, spec);
  }
  KernelFlowReport remove(KernelFlowId id) override { return flows_->remove(id, steady_now()); }
  KernelFlowReport report(KernelFlowId id) const override { return flows_->report(id); }
  const KernelFlowStats* stats(KernelFlowId id) const override { return flows_->stats(id); }
  uint32_t tee_mark() const override { return config_.tee_mark; }
  int network_descriptor() const override { return routes_->change_descriptor(); }
  void on_network_change() override;
  void keep_alive() override;
  const std::vector<PinnedFlow>& adopted_flows() const override { return adopted_; }
  void shut_down() override;

 private:
  Result<void> load();
  Result<void> configure();
  void take_over_flows();
  Result<void> attach_all();
  void describe(const std::vector<std::string>& refused);
  std::string link_path(const Interface& interface) const;
  void refresh(Instant now);

  const FastpathOptions options_;
  std::optional<Pins> pins_;
  std::optional<Routes> routes_;
  std::optional<BpfProgram> program_;
  std::optional<FlowTable> flows_;
  std::vector<Attachment> attachments_;
  std::vector<PinnedFlow> adopted_;
  bool took_over_ = false;
  bool changed_ = false;  // the network has, since `refreshed_`
  Instant refreshed_{};
  FastpathConfig config_{};
  std::string status_;
};

// In an order that leaves a predecessor's program relaying until ours has passed its test.
Result<void> KernelFastpath::start() {
  auto routes = Routes::open();
  if (!routes) return tl::unexpected<Error>(routes.error());
  routes_.emplace(std::move(*routes));
  return load()
      .and_then([&] { return configure(); })
      .and_then([&]() -> Result<void> {
        take_over_flows();
        return self_test(*program_, *flows_, steady_now());
      })
      .and_then([&]() -> Result<void> {
        if (!options_.pin || took_over_) return {};
        return pins_->pin_maps(*program_);
      })
      .and_then([&] { return attach_all(); })
      .map([&] { keep_alive(); });
}

Result<void> KernelFastpath::load() {
  std::optional<BpfMapFds> maps;
  if (options_.pin) {
    auto pins = Pins::open(options_.bpffs, options_.instance);
    if (!pins) return tl::unexpected<Error>(pins.error());
    auto adopted = pins->adopt();
    if (!adopted) return tl::unexpected<Error>(adopted.error());
    maps = std::move(*adopted);
    pins_.emplace(std::move(*pins));  // ours to remove from here on, not before
  }
  took_over_ = maps.has_value();
  auto program = BpfProgram::load(options_.flows_max, maps ? &*maps : nullptr);
  if (!program) return tl::unexpected<Error>(program.error());
  program_.emplace(std::move(*program));
  auto flows = FlowTable::open(*program_, *routes_);
  if (!flows) return tl::unexpected<Error>(flows.error());
  flows_.emplace(std::move(*flows));
  return {};
}

// The mark of copies is kept on a take-over: some may be on their way.
Result<void> KernelFastpath::configure() {
  auto config = program_->read_config();
  if (!config) return tl::unexpected<Error>(config.error());
  config_ = *config;
  config_.magic = kFastpathMagic;
  config_.layout = kFastpathLayout;
  config_.punt_interval_ns = static_cast<uint64_t>(options_.punt_interval.count());
  config_.punt_burst_ns = config_.punt_interval_ns * kPuntBurst;
  config_.needs_owner = options_.pin ? 0 : 1;
  config_.hops_until_ns = until();
  while (config_.tee_mark == 0) {
    if (::getrandom(&config_.tee_mark, sizeof config_.tee_mark, 0) < 0) {
      return fail_errno("cannot choose a mark");
    }
  }
  return program_->write_config(config_);
}

void KernelFastpath::take_over_flows() {
  if (!took_over_) return;
  for (AdoptedFlow& flow : flows_->adopt()) {
    if (options_.keep_flows) {
      adopted_.push_back({flow.id, std::move(flow.spec)});
    } else {
      flows_->remove(flow.id, steady_now());
    }
  }
  flows_->refresh_routes();
}

std::string KernelFastpath::link_path(const Interface& interface) const {
  return pins_ ? pins_->link_path(interface.ifindex) : std::string();
}

// An interface that cannot be used is left to the slow path and named in the status.
Result<void> KernelFastpath::attach_all() {
  auto choice = choose_interfaces(options_.listen, options_.interfaces);
  if (!choice) return tl::unexpected<Error>(choice.error());
  std::erase_if(attachments_, [](const Attachment& each) { return !is_attached(each); });
  for (const Interface& interface : choice->usable) {
    const bool attached = std::any_of(
        attachments_.begin(), attachments_.end(),
        [&](const Attachment& each) { return each.interface.ifindex == interface.ifindex; });
    if (attached) continue;
    auto made = attach(*program_, interface, link_path(interface), options_.allow_tcx);
    if (made) {
      attachments_.push_back(std::move(*made));
    } else {
      choice->refused.push_back(interface.name + ": " + made.error().message);
    }
  }
  describe(choice->refused);
  if (attachments_.empty()) return fail("no interface can be used: " + join(choice->refused));
  if (options_.mode == FastpathMode::require && !choice->refused.empty()) {
    return fail("not every interface can be used: " + join(choice->refused));
  }
  return {};
}

void KernelFastpath::describe(const std::vector<std::string>& refused) {
  std::vector<std::string> active;
  for (const Attachment& each : attachments_) {
    active.push_back(each.interface.name + " (" + to_string(each.kind) + ")");
  }
  status_ = "fast path: active on " + join(active);
  if (!refused.empty()) status_ += "; not on " + join(refused);
}

void KernelFastpath::on_network_change() {
  changed_ = routes_->drain_changes() || changed_;
  const Instant now = steady_now();
  if (changed_ && now - refreshed_ >= kRefreshInterval) refresh(now);
}

void KernelFastpath::refresh(Instant now) {
  changed_ = false;
  refreshed_ = now;
  const std::string before = status_;
  if (auto attached = attach_all(); !attached) {
    log_warning("fast path: interfaces are left to the slow path reason={}",
                quoted(attached.error().message));
  }
  if (status_ != before) log_info("fast path: the interfaces have changed status={}", status_);
  flows_->refresh_routes();
}

void KernelFastpath::keep_alive() {
  on_network_change();  // first: what follows vouches for the flows' next hops
  config_.hops_until_ns = until();
  if (auto written = program_->write_config(config_); !written) {
    log_warning("fast path: next hops cannot be vouched for reason={}",
                quoted(written.error().message));
  }
}

void KernelFastpath::shut_down() {
  for (Attachment& attachment : attachments_) detach(attachment);
  attachments_.clear();
  if (pins_) pins_->remove_all();
  pins_.reset();
}

}  // namespace

Result<std::unique_ptr<Fastpath>> Fastpath::open(const FastpathOptions& options) {
  if (options.mode == FastpathMode::off) return no_fastpath("fast path: off, as configured");
  auto fastpath = std::make_unique<KernelFastpath>(options);
  auto started = fastpath->start();
  if (started) return std::unique_ptr<Fastpath>(std::move(fastpath));
  // Half a fast path must not go on relaying what nobody looks after.
  fastpath->shut_down();
  const std::string reason = "fast path: off, " + started.error().message;
  if (options.mode == FastpathMode::require) return fail(reason);
  return no_fastpath(reason);
}

}  // namespace relay
