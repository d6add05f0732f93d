#pragma once

#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Calls body(begin, end) on disjoint ranges that together cover [0, rows), one range a thread.
/// Work of fewer than 2 * grain rows stays on the calling thread: opening a region costs some 3 us.
///
/// The team is `threads` or one, nothing between: the OpenMP runtime is shared with torch and ends
/// pooled threads whenever a team shrinks, which then have to be started anew.
template <class Body>
void parallel_ranges(std::int64_t rows, std::int64_t grain, int threads, const Body& body) {
#ifdef _OPENMP
  if (threads > 1 && rows >= 2 * grain) {
#pragma omp parallel num_threads(threads)
    {
      const std::int64_t team = omp_get_num_threads();
      const std::int64_t member = omp_get_thread_num();
      const std::int64_t begin = rows * member / team;
      const std::int64_t end = rows * (member + 1) / team;
      if (begin < end) body(begin, end);
    }
    return;
  }
#else
  (void)grain;
  (void)threads;
#endif
  if (rows > 0) body(std::int64_t{0}, rows);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
