#pragma once

#include <cstdint>

namespace nucleoscope {

/// Asks the system for large pages under memory that is about to be written for the first time. A
/// page costs some 2 us when it is first touched, which for pages of 4 kB is more than the writing
/// of what they hold. Less than 4 MB, and memory that is in use, stay as they are.
void prefer_large_pages(void* at, std::int64_t bytes);

}  // namespace nucleoscope
