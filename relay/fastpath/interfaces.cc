#include "relay/fastpath/interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "relay/base/unique_fd.h"

namespace relay {
namespace {

bool wanted(const IpAddress& address, const std::vector<IpAddress>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(), [&](const IpAddress& each) {
    return each == address || (each.is_any() && each.family() == address.family());
  });
}

Result<std::set<std::string>> holders_of(const std::vector<IpAddress>& addresses) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail_errno("cannot list the interfaces' addresses");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
  std::set<std::string> names;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    const IpAddress address = to_endpoint(each->ifa_addr).address;
    if (!address.valid() || !wanted(address, addresses)) continue;
    const std::string label = each->ifa_name;  // of an alias: eth0:1
    names.insert(label.substr(0, label.find(':')));
  }
  return names;
}

// Why an interface cannot be used; empty: it can. The program reads an Ethernet header, which
// tunnels do not have.
std::string obstacle(int socket, const std::string& name) {
  ifreq request{};
  if (name.size() >= IFNAMSIZ || ::if_nametoindex(name.c_str()) == 0) return "no such interface";
  std::memcpy(request.ifr_name, name.c_str(), name.size());
  if (::ioctl(socket, SIOCGIFHWADDR, &request) != 0) return std::strerror(errno);
  const unsigned type = request.ifr_hwaddr.sa_family;
  if (type == ARPHRD_ETHER || type == ARPHRD_LOOPBACK) return {};
  return "no Ethernet header (link type " + std::to_string(type) + ")";
}

}  // namespace

Result<InterfaceChoice> choose_interfaces(const std::vector<IpAddress>& addresses,
                                          const std::vector<std::string>& names) {
  auto chosen = holders_of(addresses);
  if (!chosen) return tl::unexpected<Error>(chosen.error());
  chosen->insert(names.begin(), names.end());
  chosen->insert("lo");
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("cannot open a socket");
  InterfaceChoice choice;
  for (const std::string& name : *chosen) {
    const std::string why = obstacle(socket.get(), name);
    if (why.empty()) {
      choice.usable.push_back({name, ::if_nametoindex(name.c_str())});
    } else {
      choice.refused.push_back(name + ": " + why);
    }
  }
  return choice;
}

}  // namespace relay
