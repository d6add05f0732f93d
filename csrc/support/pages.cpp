#include "support/pages.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace nucleoscope {

void prefer_large_pages([[maybe_unused]] void* at, [[maybe_unused]] std::int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t page = 4096;
  constexpr std::int64_t least = 4 << 20;
  if (bytes < least) return;
  const auto first = (reinterpret_cast<std::uintptr_t>(at) + page - 1) / page * page;
  const auto last = (reinterpret_cast<std::uintptr_t>(at) + bytes) / page * page;
  // Advice: where the system does not take it, pages are small.
  (void)madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace nucleoscope
