// How handles of libuv end: they must outlive their owner until the loop has closed them.
#pragma once

#include <uv.h>

namespace relay {

template <typename Handle>
uv_handle_t* as_uv_handle(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

// Closes `handle`, which was made by `new`, and deletes it once the loop has let go of it. Its
// callbacks find no owner any more.
template <typename Handle>
void close_uv_handle(Handle* handle) {
  handle->data = nullptr;
  uv_close(as_uv_handle(handle),
           [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
}

}  // namespace relay
