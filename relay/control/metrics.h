// The relay's counters as Prometheus text (exposition format 0.0.4). Control thread.
#pragma once

#include <string>

#include "relay/control/control_counters.h"
#include "relay/control/handlers.h"

namespace relay {

std::string prometheus_text(const HandlerContext& context, const ControlCounters& control);

}  // namespace relay
