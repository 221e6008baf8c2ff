// RELAY_ASSERT: for our own mistakes only, on in every build. What a peer can send is a counted
// drop or an error value, never an assertion.
#pragma once

#include <cstdio>
#include <cstdlib>

#define RELAY_ASSERT(condition)                                                              \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
