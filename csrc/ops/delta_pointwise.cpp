#include "ops/delta_pointwise.h"

#include "support/changes.h"
#include "support/find.h"
#include "support/parallel.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

constexpr std::int64_t elements_per_thread = 1 << 14;

/// delta[c] = change(z[c], given[c]): floats a vector at a time.
template <class Change>
void change_channels(const float* given, const float* z, float* delta, std::int64_t channels,
                     const Change& change) {
  std::int64_t c = 0;
  for (; c + lanes<float> <= channels; c += lanes<float>)
    store<float>(delta + c, change(Floats(load(z + c)), Floats(load(given + c))));
  if (const std::int64_t left = channels - c)
    store_first<float>(delta + c,
                       change(Floats(load_first(z + c, left)), Floats(load_first(given + c, left))),
                       left);
}

template <class Change>
void change_channels(const double* given, const double* __restrict z, double* delta,
                     std::int64_t channels, const Change& change) {
  for (std::int64_t c = 0; c < channels; ++c) delta[c] = change(z[c], given[c]);
}

template <class T, class Change>
void change_rows(const DeltaPointwise<T>& call, int threads, const Change& change) {
  const std::int64_t S = call.rows.S, row = call.E * call.C;
  if (row == 0) return;
  const auto part = [&call, &change, S, row](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t s = i % S, o = position(call.rows, i / S, s);
      const T* given = call.given + i * row;
      T* delta = call.delta + i * row;
      if (o < 0 || o >= call.length) {
        for (std::int64_t c = 0; c < row; ++c) delta[c] = 0;
        continue;
      }
      const T* z = at(call.original, o, s);
      for (std::int64_t e = 0; e < call.E; ++e)
        change_channels(given + e * call.C, z, delta + e * call.C, call.C, change);
    }
  };
  parallel_ranges(width(call.rows) * S, elements_per_thread / row + 1, threads, part);
}

}  // namespace

template <class T>
void delta_pointwise(const DeltaPointwise<T>& call, int threads) {
  const T a = call.parameters[0], b = call.parameters[1], c = call.parameters[2];
  const auto by = [&call, threads](const auto& change) { change_rows(call, threads, change); };
  switch (call.function) {
    case Function::relu:
      return by([](auto z, auto d) { return change_of_relu(z, d); });
    case Function::clamp:
      return by([a, b](auto z, auto d) { return change_of_clamp(z, d, a, b); });
    case Function::leaky_relu:
      return by([a](auto z, auto d) { return change_of_leaky_relu(z, d, a); });
    case Function::elu:
      return by([a, b, c](auto z, auto d) { return change_of_elu(z, d, a, b, c); });
    case Function::sigmoid:
      return by([](auto z, auto d) { return change_of_sigmoid(z, d); });
    case Function::tanh:
      return by([](auto z, auto d) { return change_of_tanh(z, d); });
    case Function::silu:
      return by([](auto z, auto d) { return change_of_silu(z, d); });
    case Function::gelu:
      return by([](auto z, auto d) { return change_of_gelu(z, d); });
    case Function::gelu_tanh:
      return by([](auto z, auto d) { return change_of_gelu_tanh(z, d); });
    case Function::softplus:
      return by([a, b](auto z, auto d) { return change_of_softplus(z, d, a, b); });
    case Function::threshold:
      return by([a, b](auto z, auto d) { return change_of_threshold(z, d, a, b); });
    case Function::exp:
      return by([](auto z, auto d) { return change_of_exp(z, d); });
    case Function::log:
      return by([](auto z, auto d) { return change_of_log(z, d); });
    case Function::log1p:
      return by([](auto z, auto d) { return change_of_log1p(z, d); });
    case Function::sqrt:
      return by([](auto z, auto d) { return change_of_sqrt(z, d); });
    case Function::reciprocal:
      return by([](auto z, auto d) { return change_of_reciprocal(z, d); });
    case Function::square:
      return by([](auto z, auto d) { return change_of_square(z, d); });
    case Function::abs:
      return by([](auto z, auto d) { return change_of_abs(z, d); });
  }
}

template void delta_pointwise<float>(const DeltaPointwise<float>&, int);
template void delta_pointwise<double>(const DeltaPointwise<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
