#include "expect.h"
#include "norm_meaning.h"
#include "row_sizes.h"

// LayerNorm and attention pooling, each row of the output on its own.

namespace nucleoscope::checks {
namespace {

/// Near what is meant, and NaN where that is meant.
template <class T>
void expect_normed(const std::string& what, const std::vector<T>& got, const Values& expected) {
  expect_near(what, got, expected, sizeof(T) == sizeof(float) ? 1e-5 : 1e-13);
  for (std::size_t i = 0; i < got.size(); ++i)
    if (std::isnan(expected[i]) != std::isnan(got[i]))
      throw std::runtime_error(isa_name() + ", " + what + ": element " + std::to_string(i) +
                               " is " + std::to_string(got[i]) + ", must be " +
                               std::to_string(expected[i]));
}

template <class T, class Call>
void report(const char* op, std::uint32_t seed, const std::vector<T>& got, const Call& call) {
  expect_normed(std::string(op) + "<" + type_name<T> + ">, seed " + std::to_string(seed), got,
                meaning(call));
}

template <class T>
void layer_norm(std::uint32_t seed, int threads) {
  Random random(seed);
  RowSizes sizes(random, seed);
  const std::int64_t length = random.between(1, 14), groups = random.between(1, 4),
                     C = groups * sizes.C;
  const HeldRows on =
      rows_around(random, random.integers<std::int64_t>(sizes.S, 0, length - 1), sizes.out);
  std::vector<T> given = random.deltas<T>(on.groups(), sizes.E, C, 8, 2);
  const auto sequence = random.integers<std::int32_t>(sizes.S, 0, 2);
  const HeldOriginal<T> original(random, random.between(1, 9), C, random.between(-1, 2));
  const auto weight = random.numbers<T>(sizes.C, 8, 4);
  std::vector<T> delta = poisoned<T>(on.groups() * sizes.E * C);
  DeltaLayerNorm<T> call{.given = given.data(),
                         .rows = on.rows(),
                         .original = original.original(sequence),
                         .weight = random.once_in(3) ? nullptr : weight.data(),
                         .delta = delta.data(),
                         .E = sizes.E,
                         .C = C,
                         .N = sizes.C,
                         .eps = T(0.125),
                         .limit = std::numeric_limits<T>::infinity(),
                         .length = length};
  if (random.once_in(2)) call.limit = T(1.9375);
  NUCLEOSCOPE_RUN(delta_layer_norm<T>, call, threads);
  report("delta_layer_norm", seed, delta, call);
  const Values expected = meaning(call);
  call.delta = given.data();
  NUCLEOSCOPE_RUN(delta_layer_norm<T>, call, threads);
  expect_normed("delta_layer_norm in place, seed " + std::to_string(seed), given, expected);
}

template <class T>
void softmax_pool(std::uint32_t seed, int threads) {
  Random random(seed);
  RowSizes sizes(random, seed);
  const std::int64_t K = random.between(1, 5), stride = random.between(1, 5),
                     length_in = random.between(1, 30), length = random.between(1, 9);
  const auto asked = random.integers<std::int64_t>(sizes.S, 0, length - 1);
  Positions read = asked;
  for (std::int64_t& each : read) each *= stride;
  const HeldRows one = rows_around(random, read, sizes.in),
                 other = rows_around(random, read, random.widths(5)),
                 out = rows_around(random, asked, sizes.out);
  const auto given = random.deltas<T>(one.groups(), sizes.E, sizes.C, 8, 2);
  // the small ones change all weights a little, the large ones let one member take all
  const auto logits = random.deltas<T>(other.groups(), sizes.E, sizes.C, random.one_of({4, 60}), 2);
  const auto sequence = random.integers<std::int32_t>(sizes.S, 0, 2);
  const HeldOriginal<T> x(random, random.between(1, 9), sizes.C, random.between(-1, 2));
  const HeldOriginal<T> l(random, random.between(1, 9), sizes.C, random.between(-1, 2));
  const std::int64_t without = random.between(0, 3);
  std::vector<T> delta = poisoned<T>(out.groups() * sizes.E * sizes.C);
  const DeltaSoftmaxPool<T> call{.given = without == 1 ? nullptr : given.data(),
                                 .logits = without == 2 ? nullptr : logits.data(),
                                 .in = without == 1 ? Rows{} : one.rows(),
                                 .beside = without == 2 ? Rows{} : other.rows(),
                                 .out = out.rows(),
                                 .original = x.original(sequence),
                                 .original_logits = l.original(sequence),
                                 .delta = delta.data(),
                                 .E = sizes.E,
                                 .C = sizes.C,
                                 .K = K,
                                 .stride = stride,
                                 .length_in = length_in,
                                 .length = length};
  NUCLEOSCOPE_RUN(delta_softmax_pool<T>, call, threads);
  report("delta_softmax_pool", seed, delta, call);
}

}  // namespace

void check_delta_layer_norm(int threads) {
  for (std::uint32_t seed = 0; seed <= RowSizes::last; ++seed) {
    layer_norm<float>(seed, threads);
    layer_norm<double>(seed, threads);
  }
}

void check_delta_softmax_pool(int threads) {
  for (std::uint32_t seed = 0; seed <= RowSizes::last; ++seed) {
    softmax_pool<float>(seed, threads);
    softmax_pool<double>(seed, threads);
  }
}

}  // namespace nucleoscope::checks
