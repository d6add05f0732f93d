#pragma once

#include "support/blocks.h"

// Winograd's convolution along one axis (Toom and Cook's polynomial product, transposed): 4
// neighbouring outputs of 3 taps take 6 products in the place of 12, of 4 taps 7 in the place
// of 16. Both sides are made values at points, multiplied there, and brought back. It is the same
// sum, added up otherwise. Lavin and Gray, "Fast algorithms for convolutional neural networks",
// 2016; the points are those whose rounding is least (Barabasz et al., 2020).

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Products of P points: the finite ones, and infinity.
template <int P>
struct Winograd {
  static constexpr int outputs = 4, taps = P - outputs + 1;

  double input[P][P] = {};         // what the inputs are multiplied with
  double output[outputs][P] = {};  // and the products

  /// Input row k is the polynomial that is zero at all finite points but the k-th; its value there
  /// is divided out of the weights. Output row i is x^i at each point.
  constexpr Winograd() {
    constexpr double points[] = {0, 1, -1, 0.5, -2, 2};
    for (int k = 0; k < P; ++k) {
      input[k][0] = 1;
      int degree = 0;
      for (int l = 0; l < P - 1; ++l) {
        if (l == k) continue;
        for (int i = ++degree; i >= 0; --i)
          input[k][i] = (i ? input[k][i - 1] : 0) - points[l] * input[k][i];
      }
    }
    for (int k = 0; k < P - 1; ++k) {
      double power = 1;
      for (int i = 0; i < outputs; ++i, power *= points[k]) output[i][k] = power;
    }
    output[outputs - 1][P - 1] = 1;
  }
};

template <int P>
constexpr Winograd<P> winograd;

/// The sum of factors * given, whose factors are the compiler's to know: those of 0 and 1 cost
/// none.
template <class T, int P>
inline __attribute__((always_inline)) Vector<T> weighted(const double (&factors)[P],
                                                         const Vector<T> (&given)[P]) {
  Vector<T> sum{};
  bool begun = false;
#pragma GCC unroll 8
  for (int i = 0; i < P; ++i) {
    if (factors[i] == 0) continue;
    const Vector<T> term = all<T>(static_cast<T>(factors[i])) * given[i];
    sum = begun ? sum + term : term;
    begun = true;
  }
  return sum;
}

/// The values at P points of P neighbouring rows of `count` numbers, point p's at made + p * apart.
/// False where one is not finite, whereby it would reach outputs that it does not belong to.
template <class T, int P>
inline bool at_points(const T* const (&rows)[P], std::int64_t count, T* made, std::int64_t apart) {
  Vector<T> finite{};
  for_blocks<T>(count, [&](std::int64_t c, std::int64_t n) {
    Vector<T> given[P];
#pragma GCC unroll 8
    for (int i = 0; i < P; ++i) given[i] = take(rows[i] + c, n);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      const Vector<T> value = weighted<T>(winograd<P>.input[p], given);
      put(made + p * apart + c, value, n);
      if (p == 0 || p == P - 1) finite += value * T{0};  // between them, they read all rows
    }
  });
  return sum_of<T>(finite) == 0;
}

/// Four outputs of the products at P points.
template <class T, int P>
inline __attribute__((always_inline)) void from_points(const Vector<T> (&products)[P],
                                                       Vector<T> (&made)[Winograd<P>::outputs]) {
#pragma GCC unroll 8
  for (int i = 0; i < Winograd<P>::outputs; ++i)
    made[i] = weighted<T>(winograd<P>.output[i], products);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
