#include <cmath>

#include "expect.h"
#include "ops/attention_apply.h"
#include "ops/attention_lse.h"
#include "ops/attention_mean.h"
#include "ops/attention_relevance.h"
#include "ops/attention_statistics.h"
#include "random_rows.h"

// The attention ops against double loops over queries and keys, with everything that makes logits.

namespace nucleoscope::checks {
namespace {

struct Shape {
  std::int64_t B, H, G, Lq, Lk, D, E, M;
  bool everything;
};

std::vector<float> numbers(Random& random, std::int64_t count) {
  std::vector<float> made;
  for (std::int64_t i = 0; i < count; ++i)
    made.push_back(static_cast<float>(random.between(-24, 24)) / 16);
  return made;
}

/// Arguments of all ops, and the attention they must find.
class Case {
 public:
  Case(const Shape& s, Random& random)
      : s(s),
        query(numbers(random, s.B * s.H * s.Lq * s.D)),
        key(numbers(random, s.B * s.G * s.Lk * s.D)),
        value(numbers(random, s.B * s.G * s.Lk * s.E)),
        grad(numbers(random, s.B * s.H * s.Lq * s.E)),
        r(numbers(random, s.B * s.H * s.M * s.Lq)),
        bias(numbers(random, s.H * ((s.Lq + 2) / 3) * ((s.Lk + 4) / 5))),
        table(numbers(random, s.B * s.H * s.Lq * 4)),
        slopes(numbers(random, s.H)),
        share(numbers(random, s.H)) {
    if (s.H > 1) share[0] = 0;
    for (std::int64_t j = 0; j < s.B * s.Lk; ++j) mask.push_back(random.once_in(3) ? 0 : 1);
    for (std::int64_t b = 0; b < s.B; ++b) mask[b * s.Lk] = 1;
    for (int i = 0; i < 7; ++i) index.push_back(static_cast<std::int32_t>(random.between(0, 3)));
  }

  Attention of() const {
    Attention made{.query = query.data(), .key = key.data(), .B = s.B, .H = s.H, .G = s.G};
    made.Lq = s.Lq, made.Lk = s.Lk, made.D = s.D, made.scale = 0.4f;
    made.behind = made.ahead = s.Lq + s.Lk + 2;
    made.step_rows = made.step_columns = made.kinds = 1;
    if (!s.everything) return made;
    made.first = 2, made.ahead = s.Lk - 1;
    made.mask = {mask.data(), {s.Lk, 0, 0, 1}};
    const std::int64_t rows = (s.Lq + 2) / 3, columns = (s.Lk + 4) / 5;
    made.bias = {bias.data(), {0, rows * columns, columns, 1}};
    made.step_rows = 3, made.step_columns = 5;
    made.table = {table.data(), {s.H * s.Lq * 4, s.Lq * 4, 4, 1}};
    made.index = index.data(), made.kinds = 7;
    made.slopes = slopes.data(), made.softcap = 3;
    return made;
  }

  /// Logits of a query, -inf where a key is not seen.
  Values logits(std::int64_t b, std::int64_t h, std::int64_t i) const {
    Values made;
    const Attention call = of();
    const std::int64_t g = h / (s.H / s.G), columns = (s.Lk + 4) / 5;
    for (std::int64_t j = 0; j < s.Lk; ++j) {
      const std::int64_t d = j - i - call.first;
      double x = 0.4f * dot(query, (b * s.H + h) * s.Lq + i, key, (b * s.G + g) * s.Lk + j, s.D);
      if (s.everything) {
        const std::int64_t kind =
            index[std::min<std::int64_t>(std::max<std::int64_t>(d + 3, 0), 6)];
        x += table[((b * s.H + h) * s.Lq + i) * 4 + kind];
        x += bias[(h * ((s.Lq + 2) / 3) + i / 3) * columns + j / 5];
        x = 3 * std::tanh(x / 3) - slopes[h] * std::fabs(static_cast<double>(d));
        if (!mask[b * s.Lk + j] || d > call.ahead) x = -INFINITY;
      }
      made.push_back(x);
    }
    return made;
  }

  double by_weight(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    const std::int64_t g = h / (s.H / s.G);
    return dot(grad, (b * s.H + h) * s.Lq + i, value, (b * s.G + g) * s.Lk + j, s.E);
  }

  static double dot(const std::vector<float>& x, std::int64_t i, const std::vector<float>& y,
                    std::int64_t j, std::int64_t width) {
    double sum = 0;
    for (std::int64_t k = 0; k < width; ++k)
      sum += static_cast<double>(x[i * width + k]) * y[j * width + k];
    return sum;
  }

  Shape s;
  std::vector<float> query, key, value, grad, r, bias, table, slopes, share;
  std::vector<std::uint8_t> mask;
  std::vector<std::int32_t> index;
};

struct Expected {
  Values lse, entropy, peak, squares, cubes, columns, applied, relevance, mean;
};

Expected meaning(const Case& c) {
  const Shape& s = c.s;
  Expected made;
  made.columns.resize(s.B * s.H * s.Lk);
  made.applied.resize(s.B * s.H * s.M * s.Lk);
  made.relevance = made.applied;
  made.mean.resize(s.B * s.Lq * s.Lk);
  for (std::int64_t bh = 0; bh < s.B * s.H; ++bh)
    for (std::int64_t i = 0; i < s.Lq; ++i) {
      const Values x = c.logits(bh / s.H, bh % s.H, i);
      double sum = 0, entropy = 0, peak = 0, squares = 0, cubes = 0;
      for (const double each : x) sum += std::exp(each);
      for (std::int64_t j = 0; j < s.Lk; ++j) {
        const double p = std::exp(x[j]) / sum;
        if (p > 0) entropy -= p * std::log(p);
        peak = std::max(peak, p), squares += p * p, cubes += p * p * p;
        made.columns[bh * s.Lk + j] += p;
        made.mean[(bh / s.H * s.Lq + i) * s.Lk + j] += c.share[bh % s.H] * p;
        const double rise = std::max(c.by_weight(bh / s.H, bh % s.H, i, j), 0.0);
        for (std::int64_t m = 0; m < s.M; ++m) {
          const double share = c.r[(bh * s.M + m) * s.Lq + i] * p;
          made.applied[(bh * s.M + m) * s.Lk + j] += share;
          made.relevance[(bh * s.M + m) * s.Lk + j] += share * rise;
        }
      }
      made.lse.push_back(std::log(sum)), made.entropy.push_back(entropy);
      made.peak.push_back(peak), made.squares.push_back(squares), made.cubes.push_back(cubes);
    }
  return made;
}

void check(const Shape& s, Random& random, int threads) {
  const Case c(s, random);
  const Expected expected = meaning(c);
  const std::string what = "attention of " + list({s.B, s.H, s.G, s.Lq, s.Lk, s.D, s.E, s.M}) +
                           (s.everything ? ", everything" : "");
  const auto near = [&](const std::string& name, const std::vector<float>& got, const Values& to) {
    expect_near(what + ", " + name, got, to, 1e-5);
  };
  const std::int64_t rows = s.B * s.H * s.Lq, keys = s.B * s.H * s.Lk;
  const auto none = [](std::int64_t count) { return poisoned<float>(count); };
  std::vector<float> lse = none(rows), entropy = none(rows), peak = none(rows);
  std::vector<float> squares = none(rows), cubes = none(rows), columns = none(keys);
  std::vector<float> out = none(keys * s.M), sums(rows);
  {
    const WithinOp within;
    NUCLEOSCOPE_SELECT(attention_lse)(c.of(), lse.data(), threads);
  }
  near("lse", lse, expected.lse);
  const std::int64_t own[2] = {s.H * s.M * s.Lq, s.M * s.Lq};
  const AttentionApply apply{c.of(), c.r.data(), {own[0], own[1]}, s.M, out.data(), sums.data()};
  NUCLEOSCOPE_RUN(attention_apply, apply, threads);
  near("applied", out, expected.applied);
  out = none(keys * s.M);
  const AttentionRelevance relevance{c.of(), c.value.data(), c.grad.data(),
                                     s.E,    c.r.data(),     {own[0], own[1]},
                                     s.M,    out.data(),     sums.data()};
  NUCLEOSCOPE_RUN(attention_relevance, relevance, threads);
  near("relevance", out, expected.relevance);
  out = none(s.B * s.Lq * s.Lk);
  const AttentionMean mean{c.of(), c.share.data(), out.data(), sums.data()};
  NUCLEOSCOPE_RUN(attention_mean, mean, threads);
  near("mean", out, expected.mean);
  lse = none(rows);
  const AttentionStatistics statistics{c.of(),         lse.data(),   entropy.data(), peak.data(),
                                       squares.data(), cubes.data(), columns.data()};
  NUCLEOSCOPE_RUN(attention_statistics, statistics, threads);
  near("lse", lse, expected.lse);
  near("entropy", entropy, expected.entropy);
  near("peak", peak, expected.peak);
  near("squares", squares, expected.squares);
  near("cubes", cubes, expected.cubes);
  near("columns", columns, expected.columns);
}

}  // namespace

void check_attention(int threads) {
  Random random(0);
  for (const bool everything : {false, true})
    for (const Shape& s :
         {Shape{1, 1, 1, 1, 3, 1, 1, 1, everything}, Shape{2, 4, 2, 13, 50, 5, 7, 3, everything},
          Shape{1, 2, 1, 70, 97, 16, 3, 9, everything}})
      check(s, random, threads);
}

}  // namespace nucleoscope::checks
