#include "support/indices.h"

namespace nucleoscope {

bool indices_within(const std::int32_t* indices, std::int64_t count, std::int64_t length) {
  std::int32_t low = -1;
  std::int32_t high = -1;
  for (std::int64_t i = 0; i < count; ++i) {
    low = indices[i] < low ? indices[i] : low;
    high = indices[i] > high ? indices[i] : high;
  }
  return low == -1 && high < length;
}

}  // namespace nucleoscope
