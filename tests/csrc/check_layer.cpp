#include <cmath>

#include "expect.h"
#include "ops/conv.h"
#include "random_rows.h"

// `conv`, tap by tap and by Winograd's convolution, of channels in one group.

namespace nucleoscope::checks {
namespace {

struct LayerShape {
  std::int64_t N, V, wide, made, K, dilation = 1, pad = 0;
  bool gated = false, relu = false, residual = false, residual_first = false, letters = false;

  std::int64_t length() const {
    return std::max<std::int64_t>(V + 2 * pad - (K - 1) * dilation, 1);
  }
  std::string text() const {
    return "N V wide made K dilation pad gated relu residual residual_first letters " +
           list({N, V, wide, made, K, dilation, pad, gated, relu, residual, residual_first,
                 letters});
  }
};

/// What tap k of a part is multiplied with at point p: see naive/ops/_winograd.py.
double at_point(std::int64_t p, std::int64_t k, std::int64_t P) {
  constexpr double points[] = {0, 1, -1, 0.5, -2, 2};
  if (p == P - 1) return k == P - 4;
  double apart = 1;
  for (std::int64_t l = 0; l < P - 1; ++l) apart *= l == p ? 1 : points[p] - points[l];
  return std::pow(points[p], static_cast<double>(k)) / apart;
}

template <class T>
class LayerCase {
 public:
  LayerCase(const LayerShape& shape, Random& random)
      : shape(shape),
        taps(random.numbers<double>(shape.K * shape.wide * shape.made, 3)),
        given(shape.letters ? letters(shape, random)
                            : random.numbers<T>(shape.N * shape.V * shape.wide, 3)),
        residual(random.numbers<T>(shape.N * shape.length() * shape.made, 3)),
        bias(random.numbers<T>(shape.made, 3)),
        gate(given.size()),
        by_tap(packed(shape.K, 1, [](std::int64_t p, std::int64_t t) { return p == t; })),
        at_points(packed(P(), parts(),
                         [this](std::int64_t p, std::int64_t k) { return at_point(p, k, P()); })) {
    for (auto& each : gate) each = static_cast<std::uint8_t>(random.between(0, 5) > 0);
  }

  Conv<T> call(std::vector<T>& made, bool winograd) const {
    Conv<T> of{};
    of.given = given.data();
    of.gated = shape.gated ? gate.data() : nullptr;
    of.weight = by_tap.data();
    of.winograd = winograd ? at_points.data() : nullptr;
    of.bias = bias.data();
    of.residual = shape.residual ? residual.data() : nullptr;
    of.residual_first = shape.residual_first;
    of.relu = shape.relu;
    of.made = made.data();
    of.N = shape.N, of.V = shape.V, of.L = shape.length(), of.C_in = shape.wide;
    of.C_out = shape.made, of.G = 1, of.K = shape.K, of.stride = 1;
    of.dilation = shape.dilation, of.pad = shape.pad;
    return of;
  }

  Values meaning() const {
    Values all;
    for (std::int64_t n = 0; n < shape.N; ++n)
      for (std::int64_t o = 0; o < shape.length(); ++o)
        for (std::int64_t c = 0; c < shape.made; ++c) all.push_back(value(n, o, c));
    return all;
  }

 private:
  const LayerShape shape;
  const std::vector<double> taps;  // [K, wide, made]
  const std::vector<T> given, residual, bias;
  std::vector<std::uint8_t> gate;
  const std::vector<T> by_tap, at_points;

  std::int64_t each() const { return std::min<std::int64_t>(shape.K, 4); }
  std::int64_t P() const { return each() + 3; }
  std::int64_t parts() const { return (shape.K + each() - 1) / each(); }

  /// At each position one channel that is 1, or none.
  static std::vector<T> letters(const LayerShape& shape, Random& random) {
    std::vector<T> all(static_cast<std::size_t>(shape.N * shape.V * shape.wide));
    for (std::int64_t i = 0; i < shape.N * shape.V; ++i) {
      const std::int64_t letter = random.between(-1, shape.wide - 1);
      if (letter >= 0) all[i * shape.wide + letter] = 1;
    }
    return all;
  }

  /// Weights as they are read: of `rows` taps, or points of so many parts, each a sum of taps.
  template <class Share>
  std::vector<T> packed(std::int64_t rows, std::int64_t of, const Share& share) const {
    const std::int64_t blocks = (shape.made + 15) / 16, I = shape.wide;
    const bool points = of > 1 || rows != shape.K;
    std::vector<T> all(static_cast<std::size_t>(rows * of * blocks * I * 16));
    for (std::int64_t p = 0; p < rows; ++p)
      for (std::int64_t part = 0; part < of; ++part)
        for (std::int64_t i = 0; i < I; ++i)
          for (std::int64_t c = 0; c < shape.made; ++c) {
            double sum = 0;
            for (std::int64_t k = 0; k < (points ? each() : shape.K); ++k) {
              const std::int64_t tap = part * each() + k;
              if (tap < shape.K) sum += share(p, k) * taps[(tap * I + i) * shape.made + c];
            }
            const std::int64_t b = c / 16;
            const std::int64_t row = points ? (p * blocks + b) * of + part : b * rows + p;
            all[(row * I + i) * 16 + c % 16] = static_cast<T>(sum);
          }
    return all;
  }

  double value(std::int64_t n, std::int64_t o, std::int64_t c) const {
    double sum = bias[c];
    for (std::int64_t t = 0; t < shape.K; ++t) {
      const std::int64_t i = o - shape.pad + t * shape.dilation;
      if (i < 0 || i >= shape.V) continue;
      for (std::int64_t k = 0; k < shape.wide; ++k) {
        const std::int64_t at = (n * shape.V + i) * shape.wide + k;
        if (!shape.gated || gate[at])
          sum += static_cast<double>(given[at]) * taps[(t * shape.wide + k) * shape.made + c];
      }
    }
    const double joins = shape.residual ? residual[(n * shape.length() + o) * shape.made + c] : 0;
    if (shape.residual_first) sum += joins;
    if (shape.relu) sum = std::max(sum, 0.0);
    return shape.residual_first ? sum : sum + joins;
  }
};

template <class T>
void check(const LayerShape& shape, std::uint32_t seed, int threads) {
  Random random(seed);
  const LayerCase<T> held(shape, random);
  for (const bool winograd : {false, shape.K >= 3}) {
    const Values expected = held.meaning();
    std::vector<T> made = poisoned<T>(static_cast<std::int64_t>(expected.size()));
    const Conv<T> call = held.call(made, winograd);
    NUCLEOSCOPE_RUN(conv<T>, call, threads);
    expect_near(std::string("conv<") + type_name<T> + ">, seed " + std::to_string(seed) + ", " +
                    shape.text() + (winograd ? ", by points" : ", by taps"),
                made, expected, sizeof(T) == 4 ? 1e-3 : 1e-11);
  }
}

LayerShape random_shape(Random& random) {
  const std::int64_t K = random.one_of({1, 2, 3, 3, 4, 5, 8, 11});
  return {.N = random.between(1, 4),
          .V = random.between(1, 70),
          .wide = random.one_of({2, 7, 16, 33, 48, 64}),
          .made = random.one_of({1, 5, 16, 17, 48, 65}),
          .K = K,
          .dilation = random.one_of({1, 1, 2, 5, 19}),
          .pad = random.between(-2, 2 * K),
          .gated = random.once_in(3),
          .relu = random.once_in(2),
          .residual = random.once_in(2),
          .residual_first = random.once_in(2),
          .letters = random.once_in(2)};
}

}  // namespace

void check_conv(int threads) {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    const LayerShape shape = random_shape(random);
    check<float>(shape, seed, threads);
    check<double>(shape, seed, threads);
  }
}

}  // namespace nucleoscope::checks
