#pragma once

#include <cstdint>

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// One value of a chain: its size, the step that makes it, and the last step that reads it.
struct Span {
  std::int64_t size, made, last;
};

/// Gives each value, the largest first, the lowest place where it overlaps none that is alive
/// beside it; returns the room they take together. A step's output does not overlap its inputs. (In
/// the order of making, each of a tower's values, wider than what it is made of, would lie behind
/// it.)
inline std::int64_t find_places(const Span* spans, std::int64_t count, std::int64_t* places) {
  std::int64_t room = 0;
  for (std::int64_t v = 0; v < count; ++v) places[v] = -1;
  for (std::int64_t placed = 0; placed < count; ++placed) {
    std::int64_t v = -1;
    for (std::int64_t u = 0; u < count; ++u)
      if (places[u] < 0 && (v < 0 || spans[u].size > spans[v].size)) v = u;
    std::int64_t place = 0;
    for (std::int64_t u = 0; u < count;) {
      const bool beside = spans[u].last >= spans[v].made && spans[v].last >= spans[u].made;
      const bool apart = places[u] + spans[u].size <= place || place + spans[v].size <= places[u];
      if (places[u] >= 0 && beside && !apart) {
        place = places[u] + spans[u].size;
        u = 0;
      } else {
        ++u;
      }
    }
    places[v] = place;
    if (place + spans[v].size > room) room = place + spans[v].size;
  }
  return room;
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
