// A second socket on the port of another one, for one party alone. Nothing here blocks.
#pragma once

#include "relay/base/endpoint.h"
#include "relay/base/unique_fd.h"

namespace relay {

// A socket with the receive buffer and the type of service of `bound`; not valid() without
// descriptors.
UniqueFd make_party_socket(int bound, Family family);
// Binds it to the address and port that `bound` has, which is no wildcard address. Until it is
// connected, anybody's packets to that port may come by it.
bool bind_beside(int bound, int socket);
// Connects it to another place. False: it is as it was.
bool connect_to(int socket, const Endpoint& party);
// Connects it to itself: from now on nothing comes by it.
void turn_away(int socket);
// Gives `to` the type of service of `from`.
void copy_type_of_service(int from, int to, Family family);

}  // namespace relay
