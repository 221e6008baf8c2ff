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

// The program reads an Ethernet header, which tunnels do not have.
Result<void> check_link_type(int socket, const std::string& name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (::ioctl(socket, SIOCGIFHWADDR, &request) != 0) return fail_errno("interface " + name);
  const unsigned type = request.ifr_hwaddr.sa_family;
  if (type == ARPHRD_ETHER || type == ARPHRD_LOOPBACK) return {};
  return fail("interface " + name + " has no Ethernet header (link type " + std::to_string(type) +
              ")");
}

}  // namespace

Result<std::vector<Interface>> choose_interfaces(const std::vector<IpAddress>& addresses,
                                                 const std::vector<std::string>& names) {
  auto chosen = holders_of(addresses);
  if (!chosen) return tl::unexpected<Error>(chosen.error());
  chosen->insert(names.begin(), names.end());
  chosen->insert("lo");
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("cannot open a socket");
  std::vector<Interface> interfaces;
  for (const std::string& name : *chosen) {
    const uint32_t ifindex = ::if_nametoindex(name.c_str());
    if (ifindex == 0) return fail("there is no interface \"" + name + "\"");
    if (auto checked = check_link_type(socket.get(), name); !checked) {
      return tl::unexpected<Error>(checked.error());
    }
    interfaces.push_back({name, ifindex});
  }
  return interfaces;
}

}  // namespace relay
