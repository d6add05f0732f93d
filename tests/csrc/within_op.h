#pragma once

#include <cstdint>

// What an op allocates, it allocates where AddressSanitizer sees one byte too far: csrc's Scratch
// begins at a cache line's first byte and asks for a line more than it needs, which would hide it.
// It holds nothing useful before it is written: every byte is 0xff, a NaN or an index of -1.

namespace nucleoscope::checks {

/// While one lives, operator new does so, on every thread.
class WithinOp {
 public:
  /// `allocations` succeed, then std::bad_alloc is thrown; -1: all do.
  explicit WithinOp(std::int64_t allocations = -1);
  ~WithinOp();
  WithinOp(const WithinOp&) = delete;
  WithinOp& operator=(const WithinOp&) = delete;
};

}  // namespace nucleoscope::checks
