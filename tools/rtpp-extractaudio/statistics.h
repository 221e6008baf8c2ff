// The figures of one direction, in the words of rtpproxy's extractaudio.
#pragma once

#include <string>

#include "tools/rtpp-extractaudio/capture.h"

namespace relay::tools {

// Two lines, three of two packets and more; each ends in a line feed.
std::string describe(const Capture& capture);

}  // namespace relay::tools
