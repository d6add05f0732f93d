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

 private:
  std::uint64_t state_;
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
