#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <utility>
#include <vector>

#include "support/rows.h"

// What the checks are made of: numbers that are the same on every machine, and rows around where
// edits reach. All numbers are small multiples of a power of two, so that sums of products are
// exact in float, in whatever order they are taken, and results are compared to the bit.

namespace nucleoscope::checks {

using Widths = std::vector<std::int64_t>;  // of the pieces
using Positions = std::vector<std::int64_t>;

/// The standard's engine, not its distributions: those differ from library to library.
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}

  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least +
           static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(most - least + 1));
  }
  bool once_in(std::int64_t times) { return between(1, times) == 1; }
  std::int64_t one_of(std::initializer_list<std::int64_t> values) {
    return values.begin()[between(0, static_cast<std::int64_t>(values.size()) - 1)];
  }

  /// One to three pieces, some of them empty.
  Widths widths(std::int64_t widest) {
    Widths made(static_cast<std::size_t>(one_of({1, 1, 2, 3})));
    for (std::int64_t& each : made) each = between(0, widest);
    return made;
  }

  /// Whole numbers up to `most`, over `unit`.
  template <class T>
  std::vector<T> numbers(std::int64_t count, std::int64_t most, std::int64_t unit = 1) {
    std::vector<T> made(static_cast<std::size_t>(count));
    for (T& each : made) each = static_cast<T>(between(-most, most)) / static_cast<T>(unit);
    return made;
  }

  /// Deltas of `groups` sites and positions: many are zero, some for all edits of a site.
  template <class T>
  std::vector<T> deltas(std::int64_t groups, std::int64_t E, std::int64_t C, std::int64_t most,
                        std::int64_t unit) {
    std::vector<T> made = numbers<T>(groups * E * C, most, unit);
    for (std::int64_t i = 0; i < groups; ++i)
      for (std::int64_t c = 0; c < C; ++c) {
        const bool dead = once_in(3);
        for (std::int64_t e = 0; e < E; ++e)
          if (dead || once_in(5)) made[static_cast<std::size_t>((i * E + e) * C + c)] = 0;
      }
    return made;
  }

  template <class Int>
  std::vector<Int> integers(std::int64_t count, std::int64_t least, std::int64_t most) {
    std::vector<Int> made(static_cast<std::size_t>(count));
    for (Int& each : made) each = static_cast<Int>(between(least, most));
    return made;
  }

 private:
  std::mt19937 engine_;
};

inline std::int64_t total(const Widths& widths) {
  std::int64_t sum = 0;
  for (const std::int64_t each : widths) sum += each;
  return sum;
}

/// Rows with their own memory, of exactly their size.
struct HeldRows {
  std::vector<std::int64_t> starts, widths;
  std::int64_t S;

  Rows rows() const {
    return {starts.data(), widths.data(), static_cast<std::int64_t>(widths.size()), S};
  }
  std::int64_t groups() const { return total(widths) * S; }
};

/// Pieces in any order, 0 to 3 positions apart, that reach these positions but for the gaps.
inline HeldRows rows_around(Random& random, const Positions& positions, const Widths& widths) {
  const std::int64_t S = static_cast<std::int64_t>(positions.size());
  HeldRows made{std::vector<std::int64_t>(widths.size() * positions.size()), widths, S};
  std::vector<std::size_t> order(widths.size());
  for (std::size_t j = 0; j < order.size(); ++j) order[j] = j;
  for (std::int64_t s = 0; s < S; ++s) {
    for (std::size_t j = order.size(); j > 1; --j)
      std::swap(order[j - 1], order[static_cast<std::size_t>(random.between(0, j - 1))]);
    std::int64_t begin = positions[static_cast<std::size_t>(s)];
    begin -= random.between(0, std::max<std::int64_t>(total(widths), 1) - 1);
    for (const std::size_t j : order) {
      made.starts[j * positions.size() + static_cast<std::size_t>(s)] = begin;
      begin += widths[j] + random.between(0, 3);
    }
  }
  return made;
}

/// One piece a site, each a position further, as a scan makes them.
inline HeldRows neighbours(std::int64_t S, std::int64_t width, std::int64_t first) {
  HeldRows made{std::vector<std::int64_t>(static_cast<std::size_t>(S)), {width}, S};
  for (std::int64_t s = 0; s < S; ++s) made.starts[static_cast<std::size_t>(s)] = first + s;
  return made;
}

/// Activations of a few sequences, in halves, so that ties and zeros are met.
template <class T>
struct HeldOriginal {
  std::vector<T> values;
  std::int64_t first, L, C;

  HeldOriginal(Random& random, std::int64_t length, std::int64_t channels, std::int64_t first = 0)
      : values(random.numbers<T>(sequences * length * channels, 4, 2)),
        first(first),
        L(length),
        C(channels) {}

  Original<T> original(const std::vector<std::int32_t>& sequence) const {
    return {values.data(), sequence.data(), first, L, C};
  }
  static constexpr std::int64_t sequences = 3;
};

}  // namespace nucleoscope::checks
