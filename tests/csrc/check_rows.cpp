#include <algorithm>
#include <limits>

#include "expect.h"
#include "ops/delta_concat.h"
#include "ops/delta_max_pool.h"
#include "ops/delta_pointwise.h"
#include "ops/delta_product.h"
#include "ops/delta_sum.h"
#include "ops/edit_lookup.h"
#include "row_sizes.h"

// The ops that multiply no channels: each row of the output is made on its own.

namespace nucleoscope::checks {
namespace {

constexpr std::int64_t letters = 4;

template <class T, class Call>
void report(const char* op, std::uint32_t seed, const std::vector<T>& got, const Call& call) {
  expect(std::string(op) + "<" + type_name<T> + ">, seed " + std::to_string(seed), got,
         meaning(call));
}

template <class T>
void look_up(std::uint32_t seed, int threads) {
  Random random(seed);
  RowSizes sizes(random, seed);
  const std::int64_t K = random.between(1, 6), W = seed == RowSizes::last ? 601 : total(sizes.out);
  const auto table = random.numbers<T>(K * letters * sizes.C, 16, 2);
  const auto taps = random.integers<std::int32_t>(W * sizes.S, -1, K - 1);
  const auto old = random.integers<std::int32_t>(sizes.S, -1, letters - 1);
  const auto fresh = random.integers<std::int32_t>(sizes.S * sizes.E, -1, letters - 1);
  std::vector<T> out = poisoned<T>(W * sizes.S * sizes.E * sizes.C);
  const EditLookup<T> call{table.data(), taps.data(), old.data(), fresh.data(), out.data(),
                           letters,      sizes.C,     W,          sizes.S,      sizes.E};
  NUCLEOSCOPE_RUN(edit_lookup<T>, call, threads);
  report("edit_lookup", seed, out, call);
}

template <class T>
void pool(std::uint32_t seed, int threads) {
  Random random(seed);
  RowSizes sizes(random, seed);
  const std::int64_t K = random.between(1, 4), stride = random.between(1, 3),
                     dilation = random.one_of({1, 1, 2}), pad = random.between(0, K),
                     length_in = random.between(1, 14), length = random.between(1, 9);
  const auto asked = random.integers<std::int64_t>(sizes.S, 0, length - 1);
  Positions read = asked;
  for (std::int64_t& each : read) each = each * stride - pad;
  const HeldRows in = rows_around(random, read, sizes.in),
                 out = rows_around(random, asked, sizes.out);
  const auto given = random.deltas<T>(in.groups(), sizes.E, sizes.C, 8, 2);
  const auto sequence = random.integers<std::int32_t>(sizes.S, 0, 2);
  HeldOriginal<T> original(random, random.between(1, 9), sizes.C, random.between(-1, 2));
  HeldOriginal<T> pooled(random, random.between(1, 5), sizes.C, random.between(-1, 2));
  if (random.once_in(2))  // as behind a pool whose cells are padding alone
    for (std::vector<T>* values : {&original.values, &pooled.values})
      for (T& each : *values)
        if (random.once_in(4)) each = -std::numeric_limits<T>::infinity();
  std::vector<T> delta = poisoned<T>(out.groups() * sizes.E * sizes.C);
  const DeltaMaxPool<T> call{.given = given.data(),
                             .in = in.rows(),
                             .out = out.rows(),
                             .original = original.original(sequence),
                             .pooled = pooled.original(sequence),
                             .delta = delta.data(),
                             .E = sizes.E,
                             .C = sizes.C,
                             .K = K,
                             .stride = stride,
                             .dilation = dilation,
                             .pad = pad,
                             .length_in = length_in,
                             .length = length,
                             .relu = random.once_in(2)};
  NUCLEOSCOPE_RUN(delta_max_pool<T>, call, threads);
  report("delta_max_pool", seed, delta, call);
}

template <class T>
void pointwise(std::uint32_t seed, int threads) {
  Random random(seed);
  RowSizes sizes(random, seed);
  const std::int64_t length = random.between(1, 14);
  const HeldRows on =
      rows_around(random, random.integers<std::int64_t>(sizes.S, 0, length - 1), sizes.out);
  std::vector<T> given = random.deltas<T>(on.groups(), sizes.E, sizes.C, 8, 2);
  const auto sequence = random.integers<std::int32_t>(sizes.S, 0, 2);
  const HeldOriginal<T> original(random, random.between(1, 9), sizes.C, random.between(-1, 2));
  std::vector<T> delta = poisoned<T>(on.groups() * sizes.E * sizes.C);
  DeltaPointwise<T> call{given.data(), on.rows(), original.original(sequence),
                         delta.data(), sizes.E,   sizes.C,
                         length,       {},        {T(0.75), T(1.5), T(0.5)}};
  for (std::int64_t f = 0; f <= static_cast<std::int64_t>(Function::abs); ++f) {
    call.function = static_cast<Function>(f);
    std::fill(delta.begin(), delta.end(), std::numeric_limits<T>::quiet_NaN());
    NUCLEOSCOPE_RUN(delta_pointwise<T>, call, threads);
    expect_near("delta_pointwise, function " + std::to_string(f) + ", seed " + std::to_string(seed),
                delta, meaning(call), sizeof(T) == sizeof(float) ? 2e-6 : 1e-13);
  }
  call.function = Function::relu;
  NUCLEOSCOPE_RUN(delta_pointwise<T>, call, threads);
  report("delta_pointwise", seed, delta, call);
  const Values expected = meaning(call);
  call.delta = given.data();
  NUCLEOSCOPE_RUN(delta_pointwise<T>, call, threads);
  expect("delta_pointwise in place, seed " + std::to_string(seed), given, expected);
}

template <class T>
void sum(std::uint32_t seed, int threads) {
  Random random(seed);
  RowSizes sizes(random, seed);
  const std::int64_t K = random.one_of({1, 1, 2, 3, 9}), stride = random.between(1, 3),
                     pad = random.between(-3, 3), length = random.between(1, 12);
  const auto asked = random.integers<std::int64_t>(sizes.S, 0, length - 1);
  Positions read = asked;
  for (std::int64_t& each : read) each = each * stride - pad;
  const HeldRows one = rows_around(random, read, sizes.in),
                 other = rows_around(random, read, random.widths(5)),
                 out = rows_around(random, asked, sizes.out);
  const auto first = random.deltas<T>(one.groups(), sizes.E, sizes.C, 8, 2);
  const auto second = random.deltas<T>(other.groups(), sizes.E, sizes.C, 8, 2);
  const auto scale = random.numbers<T>(sizes.C, 8, 4);
  const bool scaled = random.once_in(2), alone = random.once_in(2);
  std::vector<T> delta = poisoned<T>(out.groups() * sizes.E * sizes.C);
  const DeltaSum<T> call{
      .terms = {{first.data(), one.rows(), T(-0.5)},
                {alone ? nullptr : second.data(), alone ? Rows{} : other.rows(), T(3)}},
      .scale = scaled ? scale.data() : nullptr,
      .out = out.rows(),
      .delta = delta.data(),
      .E = sizes.E,
      .C = sizes.C,
      .K = K,
      .stride = stride,
      .pad = pad,
      .length = length};
  NUCLEOSCOPE_RUN(delta_sum<T>, call, threads);
  report("delta_sum", seed, delta, call);
}

template <class T>
void product(std::uint32_t seed, int threads) {
  Random random(seed);
  RowSizes sizes(random, seed);
  const std::int64_t length = random.between(1, 14);
  const auto asked = random.integers<std::int64_t>(sizes.S, 0, length - 1);
  const HeldRows one = rows_around(random, asked, sizes.in),
                 other = rows_around(random, asked, random.widths(5)),
                 out = rows_around(random, asked, sizes.out);
  const auto first = random.deltas<T>(one.groups(), sizes.E, sizes.C, 8, 2);
  const auto second = random.deltas<T>(other.groups(), sizes.E, sizes.C, 8, 2);
  const auto sequence = random.integers<std::int32_t>(sizes.S, 0, 2);
  const HeldOriginal<T> a(random, random.between(1, 9), sizes.C, random.between(-1, 2));
  const HeldOriginal<T> b(random, random.between(1, 9), sizes.C, random.between(-1, 2));
  const bool alone = random.once_in(3), turned = random.once_in(2);
  std::vector<T> delta = poisoned<T>(out.groups() * sizes.E * sizes.C);
  const Factor<T> changed{first.data(), one.rows(), a.original(sequence)};
  const Factor<T> beside{alone ? nullptr : second.data(), alone ? Rows{} : other.rows(),
                         b.original(sequence)};
  const DeltaProduct<T> call{.factors = {turned ? beside : changed, turned ? changed : beside},
                             .out = out.rows(),
                             .delta = delta.data(),
                             .E = sizes.E,
                             .C = sizes.C,
                             .length = length};
  NUCLEOSCOPE_RUN(delta_product<T>, call, threads);
  report("delta_product", seed, delta, call);
}

template <class T>
void concat(std::uint32_t seed, int threads) {
  Random random(seed);
  RowSizes sizes(random, seed);
  const std::int64_t length = random.between(1, 14), beside = random.between(0, 20),
                     gap = random.between(0, 3), C = sizes.C + gap + beside;
  const auto asked = random.integers<std::int64_t>(sizes.S, 0, length - 1);
  const HeldRows one = rows_around(random, asked, sizes.in),
                 other = rows_around(random, asked, random.widths(5)),
                 out = rows_around(random, asked, sizes.out);
  const auto first = random.deltas<T>(one.groups(), sizes.E, sizes.C, 8, 2);
  const auto second = random.deltas<T>(other.groups(), sizes.E, beside, 8, 2);
  const bool alone = random.once_in(3);
  std::vector<T> delta = poisoned<T>(out.groups() * sizes.E * C);
  const DeltaConcat<T> call{.parts = {{first.data(), one.rows(), sizes.C, 0},
                                      {alone ? nullptr : second.data(),
                                       alone ? Rows{} : other.rows(), beside, C - beside}},
                            .out = out.rows(),
                            .delta = delta.data(),
                            .E = sizes.E,
                            .C = C,
                            .length = length};
  NUCLEOSCOPE_RUN(delta_concat<T>, call, threads);
  report("delta_concat", seed, delta, call);
}

}  // namespace

#define NUCLEOSCOPE_CHECK(name, one)                               \
  void name(int threads) {                                         \
    for (std::uint32_t seed = 0; seed <= RowSizes::last; ++seed) { \
      one<float>(seed, threads);                                   \
      one<double>(seed, threads);                                  \
    }                                                              \
  }
NUCLEOSCOPE_CHECK(check_edit_lookup, look_up)
NUCLEOSCOPE_CHECK(check_delta_max_pool, pool)
NUCLEOSCOPE_CHECK(check_delta_pointwise, pointwise)
NUCLEOSCOPE_CHECK(check_delta_sum, sum)
NUCLEOSCOPE_CHECK(check_delta_product, product)
NUCLEOSCOPE_CHECK(check_delta_concat, concat)
#undef NUCLEOSCOPE_CHECK

}  // namespace nucleoscope::checks
