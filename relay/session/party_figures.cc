#include "relay/session/party_figures.h"

namespace relay {
namespace {

uint64_t refused_packets(const FlowFigures& figures) {
  uint64_t sum = 0;
  for (const DropReason reason : {DropReason::session_incomplete, DropReason::source_refused,
                                  DropReason::candidate, DropReason::not_rtp}) {
    sum += figures.drops[static_cast<size_t>(reason)];
  }
  return sum;
}

}  // namespace

uint64_t packets_in(const FlowFigures& figures) {
  const uint64_t refused = refused_packets(figures);
  // Read while the plane counts on: never below zero.
  return figures.received > refused ? figures.received - refused : 0;
}

uint64_t packets_dropped(const FlowFigures& figures) {
  return figures.dropped() - refused_packets(figures);
}

}  // namespace relay
