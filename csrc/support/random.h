#pragma once

#include <cstdint>

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

/// A stream of random numbers that its start alone decides.
class Random {
 public:
  explicit Random(std::uint64_t stream) : state_(stream) {}

  /// A number in [0, bound), all equally likely; bound > 0. (Lemire 2019)
  std::uint32_t below(std::uint32_t bound) {
    std::uint64_t product = (mixed(state_ += golden) >> 32) * bound;
    if (static_cast<std::uint32_t>(product) < bound) {  // rare; only then is the remainder worth it
      const std::uint32_t least = -bound % bound;       // 2**32 modulo bound
      while (static_cast<std::uint32_t>(product) < least)
        product = (mixed(state_ += golden) >> 32) * bound;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

  /// Numbers in [0, bound), [0, bound - 1), ... of one draw, each all equally likely; at most as
  /// many as leave the product of all bounds below 2**64. (Brackett-Rozinsky and Lemire 2024)
  template <int count>
  void below(std::uint32_t bound, std::uint32_t (&drawn)[count]) {
    std::uint64_t product = 1;
    for (int i = 0; i < count; ++i) product *= bound - i;
    std::uint64_t left = split(bound, drawn);
    if (left < product) {  // rarer than product / 2**64
      const std::uint64_t least = -product % product;
      while (left < least) left = split(bound, drawn);
    }
  }

 private:
  std::uint64_t state_;

  /// Whole parts of a draw as a fraction times one bound after the other, and what is left of it.
  template <int count>
  std::uint64_t split(std::uint32_t bound, std::uint32_t (&drawn)[count]) {
    std::uint64_t left = mixed(state_ += golden);
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) {
      const auto wide = static_cast<unsigned __int128>(left) * (bound - i);
      drawn[i] = static_cast<std::uint32_t>(wide >> 64);
      left = static_cast<std::uint64_t>(wide);
    }
    return left;
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
