#pragma once

#include <cstdint>

#include "support/isa.h"

// The first layer of the delta engine. Putting one letter for another changes one input column, and
// a convolution's response to a one-hot column is a row of its weight table: the delta is the new
// letter's row less the old one's. One subtraction, no multiplication.

namespace nucleoscope {

template <class T>
struct EditLookup {
  const T* table;             // [K, A, C]     weight of tap k, letter a, output channel c
  const std::int32_t* taps;   // [W, S]        tap through which row w sees site s, -1: none
  const std::int32_t* old;    // [S]           letter that stood there, -1: none
  const std::int32_t* fresh;  // [S, E]        letters put in its place, -1: none
  T* out;                     // [W, S, E, C]  written in full
  std::int64_t A, C, W, S, E;
};

NUCLEOSCOPE_PER_ISA(
    /// out[w,s,e] = table[taps[w,s], fresh[s,e]] - table[taps[w,s], old[s]], where the term of a
    /// letter -1 is zero, and zero throughout where the tap is -1.
    ///
    /// Requires every tap in [-1, K) and every letter in [-1, A); nothing is checked here.
    /// Arrays are dense, row-major and do not overlap out. T is float or double.
    template <class T> void edit_lookup(const EditLookup<T>& call, int threads);)

}  // namespace nucleoscope
