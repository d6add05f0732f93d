#pragma once

#include <cstdint>

#include "support/simd.h"

// Numbers in a row, a vector at a time, of which the last may be filled in part.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Calls body(begin, n) for every vector of [0, count): n lanes of it are used.
template <class T, class Body>
inline void for_blocks(std::int64_t count, const Body& body) {
  std::int64_t begin = 0;
  for (; begin + lanes<T> <= count; begin += lanes<T>) body(begin, std::int64_t{lanes<T>});
  if (begin < count) body(begin, count - begin);
}

/// The first n lanes from memory, zero in the others.
template <class T>
inline Vector<T> take(const T* from, std::int64_t n) {
  return n == lanes<T> ? load(from) : load_first(from, n);
}

/// Writes the first n lanes.
template <class T>
inline void put(T* to, Vector<T> value, std::int64_t n) {
  if (n == lanes<T>)
    store(to, value);
  else
    store_first(to, value, n);
}

/// The first n lanes, zero in the others.
template <class T>
inline Vector<T> first(Vector<T> value, std::int64_t n) {
  if (n == lanes<T>) return value;
  T held[lanes<T>];
  store(held, value);
  return load_first(held, n);
}

/// The sum of all lanes.
template <class T>
inline T sum_of(Vector<T> value) {
  T held[lanes<T>], sum = 0;
  store(held, value);
  for (int i = 0; i < lanes<T>; ++i) sum += held[i];
  return sum;
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
