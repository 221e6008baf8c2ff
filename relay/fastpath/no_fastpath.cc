#include <utility>

#include "relay/fastpath/fastpath.h"

namespace relay {
namespace {

class NoFastpath final : public Fastpath {
 public:
  explicit NoFastpath(std::string status) : status_(std::move(status)) {}

  bool available() const override { return false; }
  const std::string& status() const override { return status_; }
  Result<KernelFlowId> install(const KernelFlowSpec&, const RtpStreamState&) override {
    return fail(status_);
  }
  Result<void> update(KernelFlowId, const KernelFlowSpec&) override { return fail(status_); }
  KernelFlowReport remove(KernelFlowId) override { return {}; }
  KernelFlowReport report(KernelFlowId) const override { return {}; }
  const KernelFlowStats* stats(KernelFlowId) const override { return nullptr; }
  uint32_t tee_mark() const override { return 0; }
  int network_descriptor() const override { return -1; }
  void on_network_change() override {}
  void keep_alive() override {}
  const std::vector<PinnedFlow>& adopted_flows() const override { return none_; }
  void shut_down() override {}

 private:
  std::string status_;
  std::vector<PinnedFlow> none_;
};

}  // namespace

std::unique_ptr<Fastpath> no_fastpath(std::string status) {
  return std::make_unique<NoFastpath>(std::move(status));
}

}  // namespace relay
