#pragma once

#include <cstdint>

namespace nucleoscope {

/// Whether every one of `count` indices is -1 (none) or lies in [0, length).
/// What an op's argument check costs must stay far below the op; a reduction in torch did not.
bool indices_within(const std::int32_t* indices, std::int64_t count, std::int64_t length);

}  // namespace nucleoscope
