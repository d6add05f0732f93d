#pragma once

#include <cstdint>

#include "support/isa.h"

// Sequences in another order with the same dinucleotides. A sequence's neighbouring pairs are the
// edges of a graph over its letters, and every order of the same pairs is a walk over each edge
// once. A walk is drawn uniformly: the edges by which letters are left for the last time form a
// tree to the last letter, which Wilson's loop-erased walks draw uniformly; all other edges of a
// letter come in any order. Pairs that are alike are not told apart: what follows a letter is drawn
// from an urn of counts, of several shuffles side by side, and then walked.

namespace nucleoscope {

struct DinucleotideShuffle {
  const std::int8_t* letters;  // [N, L]  -1: no letter; stays where it is
  std::int64_t N, n, L, A;
  std::uint64_t seed;
};

NUCLEOSCOPE_PER_ISA(
    /// out[i,k], one-hot [A, L], is a shuffle of letters[i]: every stretch between entries -1 is
    /// shuffled on its own and keeps its first and last letter. The random numbers follow from the
    /// seed, the letters of the sequence, k and where the stretch begins.
    ///
    /// Requires every letter in [-1, A) and A <= 127; nothing is checked here. Arrays are dense and
    /// row-major, out [N, n, A, L] is written in full. T is int8_t, float or double.
    template <class T>
    void dinucleotide_shuffle(const DinucleotideShuffle& call, T* out, int threads);)

}  // namespace nucleoscope
