#include "relay/flow/latch_text.h"

namespace relay {

const char* to_text(LatchState::Rank rank) {
  switch (rank) {
    case LatchState::Rank::none:
      return "none";
    case LatchState::Rank::proven:
      return "proven";
    case LatchState::Rank::signalled_host:
      return "signalled_host";
    case LatchState::Rank::signalled:
      break;
  }
  return "signalled";
}

}  // namespace relay
