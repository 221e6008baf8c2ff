// What this relay can do, by the dates the control protocol names capabilities with. Listed is what
// works: a client that VF tells yes uses it.
//
// Known but not offered: 20170313, OpenSIPS's TTL letters t and T, which rtpproxy denies too.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace relay {

struct Feature {
  std::string_view date;
  std::string_view meaning;
};

inline constexpr std::string_view kBasicVersion = "20040107";
inline constexpr std::string_view kNotificationFeature = "20081224";

inline constexpr std::array kFeatures = {
    Feature{kBasicVersion, "the basic protocol"},
    Feature{"20050322", "several media a call"},
    Feature{"20060704", "VF, asking for a capability"},
    Feature{"20071116", "z, re-packetising"},
    Feature{"20071218", "R and C, recording and copying"},
    Feature{"20080403", "Q, the counters of a session"},
    Feature{"20081102", "codec lists in U and L"},
    Feature{kNotificationFeature, "notification of time-outs, with -n"},
    Feature{"20090810", "l and r, choosing the local address"},
    Feature{"20140617", "the time until a session is complete is counted"},
    Feature{"20140323", "Il, the load"},
    Feature{"20141004", "G, the counters of the relay"},
    Feature{"20150330", "n, new ports for a leg"},
    Feature{"20150420", "sequence statistics in Q and G"},
    Feature{"20150617", "notification of the command's sender, tcp:%%CC_SELF%%:PORT"},
    Feature{"20191015", "&&, several commands in one"},
    Feature{"20200226", "N, the end of a recording"},
    Feature{"20230205", "rtpa_nlost; h of M3, DTMF events"},
    Feature{"20230314", "&& D behind Q"},
    Feature{"20230424", "longest gap and jitter in Q"},
    Feature{"20250523", "Cp, a copy's port in the reply"},
    Feature{"20251015", "&& S, time-out and TOS of a session"},
    Feature{"20260306", "l{label}, local addresses by name"},
    Feature{"20260308", "&& L behind U"},
    Feature{"20260309", "&& C behind U, copying a session into another"},
};

// What -v prints.
inline std::string feature_list() {
  std::string text = "Basic version: " + std::string(kBasicVersion) + "\n";
  for (const Feature& feature : kFeatures) {
    text += "Extension " + std::string(feature.date) + ": " + std::string(feature.meaning) + "\n";
  }
  return text;
}

}  // namespace relay
