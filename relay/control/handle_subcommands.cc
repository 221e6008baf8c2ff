// What follows `&&`: run in order, stopped by the first failure.
#include <algorithm>
#include <chrono>
#include <variant>

#include "relay/control/dtmf_reporter.h"
#include "relay/control/handlers.h"

namespace relay {
namespace {

constexpr int kDtmfModule = 3;  // rtpproxy's number of catch_dtmf

struct Outcome {
  bool failed = false;
  std::string text;  // may be empty on success
};

class Runner {
 public:
  Runner(HandlerContext& context, const SubCommandTarget& target)
      : context_(context), target_(target) {}

  Outcome operator()(const ctlproto::SubDelete& command) {
    const Session* session = find();
    if (session == nullptr) return {true, {}};
    // By value: the session goes while remove() compares.
    const std::string call_id = session->call_id, from_tag = session->from_tag;
    return {context_.sessions.remove(call_id, from_tag, std::nullopt, command.weak) == 0, {}};
  }

  Outcome operator()(const ctlproto::SubSet& command) {
    Session* session = find();
    if (session == nullptr) return {true, {}};
    const LegId leg = command.on_out_stream ? other(target_.in) : target_.in;
    if (command.name == ctlproto::SubSet::Name::tos) {
      return {!context_.sessions.set_tos(*session, leg, command.value), {}};
    }
    context_.sessions.set_ttl(*session, leg, std::chrono::seconds(command.value));
    return {};
  }

  Outcome operator()(const ctlproto::SubLookup& command) {
    MediaRequest request = to_media_request(command.modifiers, command.media);
    request.call_id = target_.call_id;
    request.from_tag = target_.from_tag;
    request.to_tag = target_.to_tag;
    const auto answer = context_.sessions.lookup(request);
    if (!answer) return {true, {}};
    repacketise(context_.sessions, *answer->session, other(answer->answered));
    target_.in = other(target_.in);
    return {false, media_reply(*answer)};
  }

  // The party whose tag comes first is heard by the party of the `out` leg.
  Outcome operator()(const ctlproto::SubFork& command) {
    Session* session = find();
    const auto source =
        context_.sessions.find(command.call_id, command.from_tag, std::string_view(command.to_tag));
    if (session == nullptr || !source) return {true, {}};
    const LegId first = other(source->leg_of_update);
    return {!context_.sessions.fork(*source->session, first, *session, other(target_.in)), {}};
  }
  // subcommands_supported() has refused all but M3.
  Outcome operator()(const ctlproto::SubModule& command) {
    Session* session = find();
    if (session == nullptr) return {true, {}};
    return {!watch_dtmf(context_.sessions, *session, target_.in, command, *context_.dtmf.events),
            {}};
  }

 private:
  Session* find() const {
    Session* session = context_.sessions.table().by_serial(target_.session_serial);
    return session != nullptr && !session->lingering ? session : nullptr;
  }

  HandlerContext& context_;
  SubCommandTarget target_;
};

}  // namespace

bool subcommands_supported(const HandlerContext& context,
                           const std::vector<ctlproto::SubCommand>& subcommands) {
  return std::all_of(subcommands.begin(), subcommands.end(), [&](const auto& subcommand) {
    const auto* command = std::get_if<ctlproto::SubModule>(&subcommand);
    if (command == nullptr) return true;
    return context.dtmf.events != nullptr && command->module == kDtmfModule &&
           command->instance <= context.dtmf.instances;
  });
}

void run_subcommands(HandlerContext& context, SubCommandTarget target,
                     const std::vector<ctlproto::SubCommand>& subcommands, std::string& reply) {
  constexpr std::string_view kFailed = " && -1";
  Runner runner(context, target);
  std::string silent_successes;
  for (const ctlproto::SubCommand& subcommand : subcommands) {
    const Outcome outcome = std::visit(runner, subcommand);
    if (!outcome.failed && outcome.text.empty()) {
      silent_successes += " && 0";
      continue;
    }
    const std::string result =
        silent_successes + (outcome.failed ? std::string(kFailed) : " && " + outcome.text);
    silent_successes.clear();
    if (reply.size() + result.size() > kReplyTextBytesMax) {
      reply += kFailed;
      return;
    }
    reply += result;
    if (outcome.failed) return;
  }
}

}  // namespace relay
