#pragma once

#include "random_rows.h"

namespace nucleoscope::checks {

/// What the ops that multiply no channels are tried at. Now and then one of the sizes is zero; the
/// last of them all is enough for two threads.
struct RowSizes {
  std::int64_t S, E, C;
  Widths in, out;

  RowSizes(Random& random, std::uint32_t seed)
      : S(random.between(1, 5)),
        E(random.one_of({1, 2, 3, 3, 4})),
        C(random.one_of({1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 65})),
        in(random.widths(6)),
        out(random.widths(6)) {
    const auto empty = [](bool is, std::int64_t size) { return is ? 0 : size; };
    S = empty(seed % 23 == 5, S);
    E = empty(seed % 23 == 10, E);
    C = empty(seed % 23 == 15, C);
    if (seed == last) S = 5, E = 3, C = 67, in = {60, 30}, out = {90, 57};
  }

  static constexpr std::uint32_t last = 149;
};

}  // namespace nucleoscope::checks
