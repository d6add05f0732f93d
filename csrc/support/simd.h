#pragma once

#include <cstdint>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

// Vectors of the instruction set in force, in the compiler's own vector extension: one source for
// AVX-512, AVX2, SSE2 and NEON.

namespace nucleoscope::NUCLEOSCOPE_ISA {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class T>
struct Simd;
template <>
struct Simd<float> {
  typedef float Vector __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
};
template <>
struct Simd<double> {
  typedef double Vector __attribute__((vector_size(vector_bytes), aligned(8), may_alias));
};

template <class T>
using Vector = typename Simd<T>::Vector;

template <class T>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

template <class T>
inline Vector<T> load(const T* from) {
  return *reinterpret_cast<const Vector<T>*>(from);
}

template <class T>
inline void store(T* to, Vector<T> value) {
  *reinterpret_cast<Vector<T>*>(to) = value;
}

/// Holds a vector in a register. GCC would rather read it again with each product, and the loads,
/// not the products, would set the pace.
template <class V>
inline void hold(V& value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
#elif defined(__aarch64__)
  asm("" : "+w"(value));
#endif
}

/// One value in every lane. (x - 0 is x whatever its sign, and costs nothing; 0 + x is not.)
template <class T>
inline Vector<T> all(T value) {
  return value - Vector<T>{};
}

/// The first n lanes; zero in the others. Nothing beyond them is read.
template <class T>
inline Vector<T> load_first(const T* from, std::int64_t n) {
  T held[lanes<T>] = {};
  for (std::int64_t i = 0; i < n; ++i) held[i] = from[i];
  return load(held);
}

/// Writes the first n lanes and nothing beyond them.
template <class T>
inline void store_first(T* to, Vector<T> value, std::int64_t n) {
  T held[lanes<T>];
  store(held, value);
  for (std::int64_t i = 0; i < n; ++i) to[i] = held[i];
}

/// The larger of each lane; a NaN in x stays.
template <class V>
inline V larger(V x, V y) {
  return y > x ? y : x;
}

/// The smaller of each lane; a NaN in x stays.
template <class V>
inline V smaller(V x, V y) {
  return y < x ? y : x;
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
