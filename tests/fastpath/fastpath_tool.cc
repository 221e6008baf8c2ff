// A fast path without a relay, for tests and trials: reads commands, answers each with one line.
//   fastpath_tool INSTANCE MODE LISTEN-ADDRESS…    MODE: fresh, keep, clsact (fresh, without tcx)
//   install LOCAL SOURCE EGRESS DESTINATION [tee] [tos=N] [rtcp=EGRESS,DESTINATION] → "flow N"
//   update N LOCAL SOURCE EGRESS DESTINATION …     → "ok"
//   stats N, remove N                              → "received=1 forwarded=1 …"
//   become UID, status, mark, shutdown
// It starts with its status, and in mode keep with "adopted N LOCAL" lines. Endpoints are
// ADDRESS/PORT.
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "relay/fastpath/fastpath.h"
#include "relay/rtp/analyser.h"

namespace {

using namespace relay;

std::vector<KernelFlowId> flows;

template <typename Number>
Number to_number(const std::string& text) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Endpoint to_endpoint_value(const std::string& text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address || slash == std::string::npos) return {};
  return {*address, to_number<uint16_t>(text.substr(slash + 1))};
}

KernelFlowSpec read_spec(std::istream& words) {
  KernelFlowSpec spec;
  std::string word;
  for (Endpoint* each : {&spec.local, &spec.source, &spec.egress, &spec.destination}) {
    words >> word;
    *each = to_endpoint_value(word);
  }
  while (words >> word) {
    if (word == "tee") spec.tee_to_socket = true;
    if (word.starts_with("tos=")) spec.tos = to_number<int>(word.substr(4));
    if (word.starts_with("rtcp=")) {
      const size_t comma = word.find(',');
      spec.rtcp = {to_endpoint_value(word.substr(5, comma - 5)),
                   to_endpoint_value(word.substr(comma + 1))};
    }
  }
  return spec;
}

std::string describe(const KernelFlowReport& report) {
  const KernelFlowStats& s = report.stats;
  std::string line = fmt::format("received={} forwarded={} teed={} rtcp={}", s.received,
                                 s.forwarded, s.teed, s.rtcp_forwarded);
#define DROP_REASON(name, help) \
  line += fmt::format(" drop_" #name "={}", s.drops[kernel_drop_##name]);
#include "relay/flow/drop_reason.def"
#undef DROP_REASON
#define PUNT_REASON(name, help) \
  line += fmt::format(" punt_" #name "={}", s.punts[kernel_punt_##name]);
#include "relay/flow/punt_reason.def"
#undef PUNT_REASON
  const AnalyserTotals totals = totals_of(report.stream);
  return line + fmt::format(" unique={} lost={} duplicates={}", totals.received, totals.lost(),
                            totals.duplicates);
}

std::string answer(Fastpath& fastpath, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  words >> command;
  if (command == "status") return fastpath.status();
  if (command == "mark") return std::to_string(fastpath.tee_mark());
  if (command == "install") {
    const auto id = fastpath.install(read_spec(words), {});
    if (!id) return "error " + id.error().message;
    flows.push_back(*id);
    return "flow " + std::to_string(flows.size() - 1);
  }
  if (command == "shutdown") {
    fastpath.shut_down();
    return "ok";
  }
  size_t index = flows.size();
  words >> index;
  if (command == "become") {
    return ::setuid(static_cast<uid_t>(index)) == 0 ? "ok" : "error setuid";
  }
  if (index >= flows.size()) return "error unknown command or flow: " + line;
  if (command == "stats") return describe(fastpath.report(flows[index]));
  if (command == "remove") return describe(fastpath.remove(flows[index]));
  if (command != "update") return "error unknown command: " + line;
  const auto updated = fastpath.update(flows[index], read_spec(words));
  return updated ? "ok" : "error " + updated.error().message;
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void serve(Fastpath& fastpath) {
  std::string input;
  for (;;) {
    pollfd wait[2] = {{STDIN_FILENO, POLLIN, 0}, {fastpath.network_descriptor(), POLLIN, 0}};
    if (::poll(wait, 2, 1000) < 0) continue;
    fastpath.keep_alive();
    if (wait[0].revents == 0) continue;
    char bytes[4096];
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (got <= 0) return;
    input.append(bytes, static_cast<size_t>(got));
    for (size_t end = input.find('\n'); end != std::string::npos; end = input.find('\n')) {
      say(answer(fastpath, input.substr(0, end)));
      input.erase(0, end + 1);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: fastpath_tool INSTANCE fresh|keep|clsact LISTEN-ADDRESS...\n");
    return 2;
  }
  const std::string mode = argv[2];
  FastpathOptions options;
  options.mode = FastpathMode::require;
  options.instance = argv[1];
  options.keep_flows = mode == "keep";
  options.allow_tcx = mode != "clsact";
  options.flows_max = 256;
  for (int i = 3; i < argc; ++i) {
    const auto address = IpAddress::parse(argv[i]);
    if (!address) {
      std::fprintf(stderr, "not an address: %s\n", argv[i]);
      return 2;
    }
    options.listen.push_back(*address);
  }
  auto fastpath = Fastpath::open(options);
  if (!fastpath) {
    std::fprintf(stderr, "%s\n", fastpath.error().message.c_str());
    return 1;
  }
  for (const PinnedFlow& flow : (*fastpath)->adopted_flows()) {
    flows.push_back(flow.id);
    say(fmt::format("adopted {} {}", flows.size() - 1, flow.spec.local.to_string()));
  }
  say((*fastpath)->status());
  serve(**fastpath);
  return 0;
}
