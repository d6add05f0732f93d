#pragma once

#include <cstdint>
#include <cstring>

#include "support/simd.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {

constexpr std::uint64_t golden = 0x9E3779B97F4A7C15;  // 2**64 over the golden ratio

/// SplitMix64's mixing of 64 bits (Steele, Lea and Flood 2014).
inline std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

/// Seed and letters in 64 bits (FNV-1a); a letter may be -1.
inline std::uint64_t hashed(const std::int8_t* letters, std::int64_t count, std::uint64_t seed) {
  std::uint64_t state = mixed(seed);
  for (std::int64_t i = 0; i < count; ++i)
    state = (state ^ static_cast<std::uint64_t>(letters[i] + 1)) * 0x100000001B3;
  return mixed(state);
}

/// value * factor in 64 bits, lane by lane: the upper 32, and the lower in `low`.
inline Vector<std::uint32_t> upper_product(Vector<std::uint32_t> value, std::uint32_t factor,
                                           Vector<std::uint32_t>& low) {
  low = value * factor;
#if defined(__AVX2__) && !defined(__AVX512F__)  // which has a product of 64 bits, and needs no help
  const auto from = reinterpret_cast<__m256i>(value), by = _mm256_set1_epi32(factor);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(from, 32), by);
  return reinterpret_cast<Vector<std::uint32_t> >(
      _mm256_blend_epi32(_mm256_srli_epi64(_mm256_mul_epu32(from, by), 32), odd, 0xaa));
#else
  typedef std::uint64_t Wide __attribute__((vector_size(vector_bytes)));
  const auto pairs = reinterpret_cast<Wide>(value);
  const Wide even = (pairs & 0xffffffff) * factor, odd = (pairs >> 32) * factor;
  return reinterpret_cast<Vector<std::uint32_t> >(even >> 32 | (odd >> 32) << 32);
#endif
}

/// Whether any bit is set.
inline bool any(Vector<std::uint32_t> value) {
  std::uint64_t parts[vector_bytes / 8], joined = 0;
  std::memcpy(parts, &value, vector_bytes);
  for (const std::uint64_t part : parts) joined |= part;
  return joined != 0;
}

/// As many streams of random numbers as a vector has lanes, side by side. Each is decided by its
/// own start alone: xoshiro128++ (Blackman and Vigna 2021), begun by two numbers of SplitMix64.
class Streams {
 public:
  static constexpr int count = lanes<std::uint32_t>;
  using Row = Vector<std::uint32_t>;

  void start(int lane, std::uint64_t stream) {
    for (int i = 0; i < 4; i += 2) {
      const std::uint64_t bits = mixed(stream += golden);
      state_[i][lane] = static_cast<std::uint32_t>(bits);
      state_[i + 1][lane] = static_cast<std::uint32_t>(bits >> 32);
    }
  }

  /// The next number of one stream in [0, bound), all equally likely; bound > 0. (Lemire 2019)
  std::uint32_t below(int lane, std::uint32_t bound) {
    std::uint32_t state[4];
    for (int i = 0; i < 4; ++i) state[i] = state_[i][lane];
    const std::uint32_t least = -bound % bound;  // 2**32 modulo bound
    std::uint64_t product;
    do product = std::uint64_t{step(state)} * bound;
    while (static_cast<std::uint32_t>(product) < least);
    for (int i = 0; i < 4; ++i) state_[i][lane] = state[i];
    return static_cast<std::uint32_t>(product >> 32);
  }

  /// The same of every stream.
  Row below(std::uint32_t bound) {
    Row low, drawn = upper_product(step(state_), bound, low);
    if (any(reinterpret_cast<Row>(low < bound)))
        [[unlikely]] {       // only then is the remainder worth it
      Streams held = *this;  // what a call may reach is not kept in registers
      drawn = held.drawn_again(bound, low, drawn);
      *this = held;
    }
    return drawn;
  }

 private:
  Row state_[4];

  template <class T>
  static T turned(T value, int bits) {
    return value << bits | value >> (32 - bits);
  }

  /// One number, or one of each lane.
  template <class T>
  static T step(T (&state)[4]) {
    const T sum = state[0] + state[3], moved = state[1] << 9;
    const T made = turned(sum, 7) + state[0];
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= moved;
    state[3] = turned(state[3], 11);
    return made;
  }

  __attribute__((noinline)) Row drawn_again(std::uint32_t bound, Row low, Row drawn) {
    const std::uint32_t least = -bound % bound;
    for (int lane = 0; lane < count; ++lane)
      if (low[lane] < least) drawn[lane] = below(lane, bound);
    return drawn;
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
