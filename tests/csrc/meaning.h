#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "ops/delta_concat.h"
#include "ops/delta_conv.h"
#include "ops/delta_max_pool.h"
#include "ops/delta_pointwise.h"
#include "ops/delta_product.h"
#include "ops/delta_sum.h"
#include "ops/edit_lookup.h"

// What each op comes to, in plain loops and in double, written from the headers alone.

namespace nucleoscope::checks {

using Values = std::vector<double>;

inline std::int64_t wide(const Rows& rows) {
  std::int64_t sum = 0;
  for (std::int64_t j = 0; j < rows.P; ++j) sum += rows.widths[j];
  return sum;
}

/// Positions of the rows of one site, in turn.
inline std::vector<std::int64_t> positions_of(const Rows& rows, std::int64_t s) {
  std::vector<std::int64_t> made;
  for (std::int64_t j = 0; j < rows.P; ++j)
    for (std::int64_t k = 0; k < rows.widths[j]; ++k)
      made.push_back(rows.starts[j * rows.S + s] + k);
  return made;
}

inline std::int64_t row_at(const std::vector<std::int64_t>& positions, std::int64_t position) {
  for (std::size_t w = 0; w < positions.size(); ++w)
    if (positions[w] == position) return static_cast<std::int64_t>(w);
  return -1;
}

template <class T>
double original_at(const Original<T>& original, std::int64_t position, std::int64_t s,
                   std::int64_t c) {
  std::int64_t row = position - original.first;
  if (row < 0) row = 0;
  if (row >= original.L) row = original.L - 1;
  return original.values[(original.sequence[s] * original.L + row) * original.C + c];
}

inline double relu_change(double d, double z) {
  return std::fmax(d + std::fmin(z, 0.0), -std::fmax(z, 0.0));
}

/// Calls each(position, s, e, c, place) for every element whose row is inside the layer; the
/// others stay zero.
template <class Each>
void for_each_inside(const Rows& out, std::int64_t E, std::int64_t C, std::int64_t length,
                     const Each& each) {
  for (std::int64_t s = 0; s < out.S; ++s) {
    const std::vector<std::int64_t> positions = positions_of(out, s);
    for (std::size_t w = 0; w < positions.size(); ++w)
      for (std::int64_t e = 0; e < E; ++e)
        for (std::int64_t c = 0; c < C; ++c)
          if (positions[w] >= 0 && positions[w] < length)
            each(positions[w], s, e, c,
                 ((static_cast<std::int64_t>(w) * out.S + s) * E + e) * C + c);
  }
}

template <class T>
Values meaning(const EditLookup<T>& call) {
  Values made(static_cast<std::size_t>(call.W * call.S * call.E * call.C));
  const auto entry = [&call](std::int64_t tap, std::int64_t letter, std::int64_t c) {
    return letter < 0 ? 0.0 : double{call.table[(tap * call.A + letter) * call.C + c]};
  };
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(made.size()); ++i) {
    const std::int64_t c = i % call.C, e = i / call.C % call.E, ws = i / call.C / call.E;
    const std::int64_t s = ws % call.S, tap = call.taps[ws];
    if (tap >= 0)
      made[static_cast<std::size_t>(i)] =
          entry(tap, call.fresh[s * call.E + e], c) - entry(tap, call.old[s], c);
  }
  return made;
}

inline double of_bf16(std::uint32_t bits) {
  const std::uint32_t whole = bits << 16;
  float value;
  std::memcpy(&value, &whole, sizeof value);
  return value;
}

/// Eight binary digits, ties to even.
inline double to_eight_digits(double value) {
  int exponent;
  const double fraction = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}

/// Weight of tap t from channel i to column j of group g.
template <class T>
double weight_at(const DeltaConv<T>& call, std::int64_t g, std::int64_t t, std::int64_t i,
                 std::int64_t j) {
  const std::int64_t wide = call.C_in / call.G, kept = call.bf16 ? (wide + 1) / 2 : wide;
  const std::int64_t blocks = (call.C_out / call.G + 15) / 16, row = call.bf16 ? i / 2 : i;
  if (wide == 1)
    return static_cast<const T*>(call.weight)[t * call.C_out + g * (call.C_out / call.G) + j];
  const std::int64_t place = (((g * blocks + j / 16) * call.K + t) * kept + row) * 16 + j % 16;
  if (!call.bf16) return static_cast<const T*>(call.weight)[place];
  const std::uint32_t pair = static_cast<const std::uint32_t*>(call.weight)[place];
  return of_bf16(i % 2 ? pair >> 16 : pair & 0xffff);
}

template <class T>
Values meaning(const DeltaConv<T>& call) {
  Values made(static_cast<std::size_t>(wide(call.out) * call.out.S * call.E * call.C_out));
  const std::int64_t in_each = call.C_in / call.G, out_each = call.C_out / call.G;
  std::vector<std::vector<std::int64_t>> in, beside;
  for (std::int64_t s = 0; s < call.out.S; ++s) {
    in.push_back(positions_of(call.in, s));
    beside.push_back(call.residual ? positions_of(call.beside, s) : std::vector<std::int64_t>());
  }
  for_each_inside(
      call.out, call.E, call.C_out, call.length, [&](auto o, auto s, auto e, auto c, auto to) {
        const std::int64_t g = c / out_each;
        double sum = 0;
        for (std::int64_t t = 0; t < call.K; ++t) {
          const std::int64_t row = row_at(in[s], o * call.stride - call.pad + t * call.dilation);
          if (row < 0) continue;
          for (std::int64_t i = 0; i < in_each; ++i) {
            const double d =
                call.given[((row * call.in.S + s) * call.E + e) * call.C_in + g * in_each + i];
            sum += (call.bf16 ? to_eight_digits(d) : d) * weight_at(call, g, t, i, c % out_each);
          }
        }
        const std::int64_t row = row_at(beside[s], o);
        const double joined =
            row < 0 ? 0.0
                    : call.residual[((row * call.beside.S + s) * call.E + e) * call.C_out + c];
        if (call.residual_first) sum += joined;
        if (call.original.values) sum = relu_change(sum, original_at(call.original, o, s, c));
        made[to] = call.residual_first ? sum : sum + joined;
      });
  return made;
}

template <class T>
Values meaning(const DeltaMaxPool<T>& call) {
  Values made(static_cast<std::size_t>(wide(call.out) * call.out.S * call.E * call.C));
  for_each_inside(
      call.out, call.E, call.C, call.length, [&](auto o, auto s, auto e, auto c, auto to) {
        const std::vector<std::int64_t> in = positions_of(call.in, s);
        const double m = original_at(call.pooled, o, s, c);
        double best = call.relu ? -m : -std::numeric_limits<double>::infinity();
        for (std::int64_t t = 0; t < call.K; ++t) {
          const std::int64_t p = o * call.stride - call.pad + t * call.dilation;
          if (p < 0 || p >= call.length_in) continue;
          const std::int64_t row = row_at(in, p);
          const double d =
              row < 0 ? 0.0 : call.given[((row * call.in.S + s) * call.E + e) * call.C + c];
          const double z = original_at(call.original, p, s, c);
          best = std::fmax(best, z == m ? d : d - (m - z));
        }
        made[to] = best;
      });
  return made;
}

inline double value(Function function, double x, double a, double b, double c) {
  switch (function) {
    case Function::relu:
      return std::fmax(x, 0.0);
    case Function::clamp:
      return std::fmin(std::fmax(x, a), b);
    case Function::leaky_relu:
      return x > 0 ? x : a * x;
    case Function::elu:
      return b * (x > 0 ? x : a * std::expm1(c * x));
    case Function::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Function::tanh:
      return std::tanh(x);
    case Function::silu:
      return x / (1 + std::exp(-x));
    case Function::gelu:
      return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case Function::gelu_tanh:
      return x / (1 + std::exp(-std::sqrt(8 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Function::softplus:
      return a * x > b ? x : std::log1p(std::exp(a * x)) / a;
    case Function::threshold:
      return x > a ? x : b;
    case Function::exp:
      return std::exp(x);
    case Function::log:
      return std::log(x);
    case Function::log1p:
      return std::log1p(x);
    case Function::sqrt:
      return std::sqrt(x);
    case Function::reciprocal:
      return 1 / x;
    case Function::square:
      return x * x;
    case Function::abs:
      return std::fabs(x);
  }
  return 0;
}

template <class T>
Values meaning(const DeltaPointwise<T>& call) {
  Values made(static_cast<std::size_t>(wide(call.rows) * call.rows.S * call.E * call.C));
  const auto g = [&call](double x) {
    return value(call.function, x, call.parameters[0], call.parameters[1], call.parameters[2]);
  };
  for_each_inside(call.rows, call.E, call.C, call.length,
                  [&](auto o, auto s, auto, auto c, auto to) {
                    const double z = original_at(call.original, o, s, c);
                    made[to] = g(z + call.given[to]) - g(z);
                  });
  return made;
}

/// A value's delta at a position of site s, zero where it is not kept.
template <class T>
double delta_at(const T* given, const Rows& in, std::int64_t E, std::int64_t C, std::int64_t o,
                std::int64_t s, std::int64_t e, std::int64_t c) {
  const std::int64_t row = given ? row_at(positions_of(in, s), o) : -1;
  return row < 0 ? 0.0 : given[((row * in.S + s) * E + e) * C + c];
}

template <class T>
Values meaning(const DeltaProduct<T>& call) {
  Values made(static_cast<std::size_t>(wide(call.out) * call.out.S * call.E * call.C));
  for_each_inside(call.out, call.E, call.C, call.length,
                  [&](auto o, auto s, auto e, auto c, auto to) {
                    const auto& [a, b] = call.factors;
                    const double of_a = delta_at(a.given, a.in, call.E, call.C, o, s, e, c);
                    const double of_b = delta_at(b.given, b.in, call.E, call.C, o, s, e, c);
                    const double at_a = original_at(a.original, o, s, c),
                                 at_b = original_at(b.original, o, s, c);
                    made[to] = (at_a + of_a) * (at_b + of_b) - at_a * at_b;
                  });
  return made;
}

template <class T>
Values meaning(const DeltaConcat<T>& call) {
  Values made(static_cast<std::size_t>(wide(call.out) * call.out.S * call.E * call.C));
  for_each_inside(
      call.out, call.E, call.C, call.length, [&](auto o, auto s, auto e, auto c, auto to) {
        for (const Part<T>& part : call.parts)
          if (c >= part.first && c < part.first + part.C)
            made[to] = delta_at(part.given, part.in, call.E, part.C, o, s, e, c - part.first);
      });
  return made;
}

template <class T>
Values meaning(const DeltaSum<T>& call) {
  Values made(static_cast<std::size_t>(wide(call.out) * call.out.S * call.E * call.C));
  for_each_inside(
      call.out, call.E, call.C, call.length, [&](auto o, auto s, auto e, auto c, auto to) {
        for (const Term<T>& term : call.terms) {
          if (!term.given) continue;
          const std::vector<std::int64_t> in = positions_of(term.in, s);
          for (std::int64_t t = 0; t < call.K; ++t) {
            const std::int64_t row = row_at(in, o * call.stride - call.pad + t);
            if (row >= 0)
              made[to] +=
                  term.factor * term.given[((row * term.in.S + s) * call.E + e) * call.C + c];
          }
        }
        if (call.scale) made[to] *= call.scale[c];
      });
  return made;
}

}  // namespace nucleoscope::checks
