#include "conv_case.h"

namespace nucleoscope::checks {
namespace {

template <class T>
void check(const ConvShape& shape, std::uint32_t seed, int threads) {
  Random random(seed);
  const ConvCase<T> held(shape, random);
  std::vector<T> delta = poisoned<T>(held.size());
  const DeltaConv<T> call = held.call(delta);
  NUCLEOSCOPE_RUN(delta_conv<T>, call, threads);
  expect(std::string("delta_conv<") + type_name<T> + ">, seed " + std::to_string(seed) + ", " +
             shape.text(),
         delta, meaning(call));
}

void check_every_type(ConvShape shape, std::uint32_t seed, int threads) {
  check<double>(shape, seed, threads);
  check<float>(shape, seed, threads);
  shape.bf16 = true;
  check<float>(shape, seed, threads);
}

/// Sizes around the borders of vectors, tiles, blocks of columns, and lists of channels.
ConvShape random_shape(Random& random) {
  const bool grouped = random.once_in(3);
  const std::int64_t K = random.one_of({1, 1, 2, 3, 5, 7});
  ConvShape shape{
      .in = random.widths(6),
      .out = random.widths(6),
      .S = random.between(1, 4),
      .E = random.one_of({1, 2, 3, 3, 3, 4, 5, 7}),
      .wide = random.one_of({1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 47}),
      .made = random.one_of({1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 65}),
      .K = K,
      .stride = random.one_of({1, 1, 1, 2, 3, 8}),
      .dilation = random.one_of({1, 1, 2, 5}),
      .G = grouped ? random.between(2, 4) : 1,
      .pad = random.between(-2, K),
      .length = random.between(1, 14),
      .relu = random.once_in(2),
      .beside = random.once_in(2) ? random.widths(4) : Widths{},
      .residual_first = random.once_in(2),
      .first = random.between(0, 2)};
  if (grouped && random.once_in(2)) {  // depthwise
    shape.G = random.one_of({1, 5, 16, 19, 33, 70});
    shape.wide = 1;
    shape.made = random.between(1, 3);
  }
  return shape;
}

// The weights of so many channels pass in several parts: of channels, of taps, or of both.
const ConvShape of_many_passes[] = {
    {.in = {4}, .out = {5}, .S = 2, .E = 3, .wide = 150, .made = 17, .K = 9, .pad = 4},
    {.in = {2, 3}, .out = {6}, .S = 2, .E = 2, .wide = 193, .made = 33, .K = 3, .relu = true},
    {.in = {3}, .out = {2, 2}, .S = 3, .E = 4, .wide = 385, .made = 7, .K = 2, .beside = {3}},
    {.in = {3}, .out = {3}, .S = 2, .E = 5, .wide = 769, .made = 18, .K = 2, .pad = 1},
    {.in = {2}, .out = {3}, .S = 2, .E = 1, .wide = 1601, .made = 3, .K = 2},
    {.in = {3}, .out = {3}, .S = 2, .E = 3, .wide = 201, .made = 5, .K = 2, .G = 3, .relu = true},
    {.in = {1}, .out = {2}, .S = 1, .E = 3, .wide = 95, .made = 16, .K = 25, .pad = 12},
};

const ConvShape without_something[] = {
    {.in = {0}, .out = {5}, .S = 4, .E = 3, .wide = 8, .made = 8, .K = 3},
    {.in = {}, .out = {5}, .S = 4, .E = 3, .wide = 8, .made = 8, .K = 3, .beside = {4}},
    {.in = {5}, .out = {0}, .S = 4, .E = 3, .wide = 8, .made = 8, .K = 3},
    {.in = {5}, .out = {}, .S = 4, .E = 3, .wide = 8, .made = 8, .K = 3},
    {.in = {5}, .out = {5}, .S = 0, .E = 3, .wide = 8, .made = 8, .K = 3, .relu = true},
    {.in = {5}, .out = {5}, .S = 4, .E = 0, .wide = 8, .made = 8, .K = 3, .beside = {4}},
    {.in = {5}, .out = {5}, .S = 4, .E = 3, .wide = 8, .made = 0, .K = 3},
    {.in = {5}, .out = {5}, .S = 4, .E = 3, .wide = 8, .made = 0, .K = 3, .G = 2},
};

// Enough work for two threads; the rows do not divide evenly.
const ConvShape wide_enough_to_divide[] = {
    {.in = {121, 80},
     .out = {101},
     .S = 3,
     .E = 3,
     .wide = 150,
     .made = 3,
     .K = 5,
     .dilation = 7,
     .pad = 14,
     .length = 90,
     .relu = true,
     .beside = {50}},
    {.in = {61},
     .out = {31},
     .S = 5,
     .E = 4,
     .wide = 1,
     .made = 1,
     .K = 9,
     .stride = 2,
     .G = 129,
     .length = 40},
};

}  // namespace

void check_delta_conv(int threads) {
  for (std::uint32_t seed = 0; seed < 150; ++seed) {
    Random random(seed);
    check_every_type(random_shape(random), seed, threads);
  }
  for (const ConvShape& shape : of_many_passes) check_every_type(shape, 1, threads);
  for (const ConvShape& shape : without_something) check_every_type(shape, 2, threads);
  for (const ConvShape& shape : wide_enough_to_divide) check_every_type(shape, 3, threads);
}

}  // namespace nucleoscope::checks
