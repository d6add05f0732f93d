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

/// Two bfloat16 numbers, the first in the low half.
using Bf16Pair = std::uint32_t;
template <>
struct Simd<Bf16Pair> {
  typedef Bf16Pair Vector __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
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

#if defined(__x86_64__)
#define NUCLEOSCOPE_REGISTER "+v"
#elif defined(__aarch64__)
#define NUCLEOSCOPE_REGISTER "+w"
#else
#define NUCLEOSCOPE_REGISTER "+m"
#endif

/// Holds a vector in a register. GCC would rather read it again with each product, and the loads,
/// not the products, would set the pace. (As a template it would take vectors by a reference that
/// expects them aligned in full, which these are not.)
inline void hold(Vector<float>& value) { asm("" : NUCLEOSCOPE_REGISTER(value)); }
inline void hold(Vector<double>& value) { asm("" : NUCLEOSCOPE_REGISTER(value)); }
inline void hold(Vector<Bf16Pair>& value) { asm("" : NUCLEOSCOPE_REGISTER(value)); }

/// Has a value made before the next that is settled. GCC would begin with what comes after, for
/// which there may be no register left, and lay a sum into memory in the innermost loop.
inline void settle(Vector<float>& value) { asm volatile("" : NUCLEOSCOPE_REGISTER(value)); }
inline void settle(Vector<double>& value) { asm volatile("" : NUCLEOSCOPE_REGISTER(value)); }
#undef NUCLEOSCOPE_REGISTER

/// One value in every lane. (x - 0 is x whatever its sign, and costs nothing; 0 + x is not.)
template <class T>
inline Vector<T> all(T value) {
  return value - Vector<T>{};
}

/// sum + value * weight, lane by lane.
template <class V>
inline V multiply_add(V sum, V value, V weight) {
  return sum + value * weight;
}

/// The same with both products of each pair, added in float.
inline Vector<float> multiply_add(Vector<float> sum, Vector<Bf16Pair> value,
                                  Vector<Bf16Pair> weight) {
#if defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(value),
                          reinterpret_cast<__m512bh>(weight));
#else
  const auto first = [](Vector<Bf16Pair> pair) {
    return reinterpret_cast<Vector<float> >(pair << 16);
  };
  const auto second = [](Vector<Bf16Pair> pair) {
    return reinterpret_cast<Vector<float> >(pair & 0xffff0000u);
  };
  return sum + first(value) * first(weight) + second(value) * second(weight);
#endif
}

/// The bits of the nearest bfloat16; a NaN stays one.
inline std::uint32_t to_bf16(float value) {
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return value == value ? rounded : bits >> 16 | 0x40;
}

/// Rows of numbers as pairs of bfloat16, two by two, the last of a row with a zero if `wide` is
/// odd.
inline void round_pairs(const float* given, std::int64_t rows, std::int64_t wide, Bf16Pair* pairs) {
  for (std::int64_t i = 0; i < rows; ++i, given += wide, pairs += (wide + 1) / 2) {
    for (std::int64_t p = 0; p < wide / 2; ++p)
      pairs[p] = to_bf16(given[2 * p]) | to_bf16(given[2 * p + 1]) << 16;
    if (wide % 2) pairs[wide / 2] = to_bf16(given[wide - 1]);
  }
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
