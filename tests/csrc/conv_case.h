#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "expect.h"
#include "ops/delta_conv.h"
#include "random_rows.h"

namespace nucleoscope::checks {

inline std::uint32_t bf16_bits(float value) {  // of a number that bfloat16 holds
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits >> 16;
}

/// Random weights as delta_conv takes them; in the columns that fill up the last block, zeros.
/// Those of groups of one channel are neither in blocks nor in pairs.
template <class T>
struct HeldWeight {
  std::vector<T> plain;
  std::vector<std::uint32_t> pairs;  // of bfloat16, in the place of plain

  HeldWeight(Random& random, std::int64_t G, std::int64_t made, std::int64_t K, std::int64_t wide,
             std::int64_t most, bool bf16) {
    const std::int64_t blocks = (made + 15) / 16, half = (wide + 1) / 2;
    if (wide == 1) {
      plain = random.numbers<T>(K * G * made, most);
      return;
    }
    if (bf16)
      pairs.resize(static_cast<std::size_t>(G * blocks * K * half * 16));
    else
      plain.resize(static_cast<std::size_t>(G * blocks * K * wide * 16));
    for (std::int64_t block = 0; block < G * blocks; ++block)
      for (std::int64_t t = 0; t < K; ++t)
        for (std::int64_t i = 0; i < wide; ++i)
          for (std::int64_t j = 0; j < std::min<std::int64_t>(made - block % blocks * 16, 16);
               ++j) {
            const std::int64_t number = random.between(-most, most);
            if (bf16)
              pairs[((block * K + t) * half + i / 2) * 16 + j] |=
                  bf16_bits(static_cast<float>(number)) << i % 2 * 16;
            else
              plain[((block * K + t) * wide + i) * 16 + j] = static_cast<T>(number);
          }
  }

  const void* address() const {
    return pairs.empty() ? static_cast<const void*>(plain.data()) : pairs.data();
  }
};

struct ConvShape {
  Widths in, out;
  std::int64_t S, E, wide, made, K;  // channels in and out of one group
  std::int64_t stride = 1, dilation = 1, G = 1, pad = 0;
  std::int64_t length = 12;  // small: many rows lie beyond its ends
  bool relu = false;
  Widths beside = {};  // none: no residual
  bool residual_first = false, bf16 = false;
  std::int64_t first = 0;  // originals are kept from here on

  std::string text() const {
    return "in " + list(in) + ", out " + list(out) + ", beside " + list(beside) +
           ", S E wide made K stride dilation G pad length relu residual_first bf16 first " +
           list({S, E, wide, made, K, stride, dilation, G, pad, length, relu, residual_first, bf16,
                 first});
  }
};

/// All rows are around a position that is asked, or one that it reads.
template <class T>
class ConvCase {
 public:
  ConvCase(const ConvShape& shape, Random& random)
      : ConvCase(shape, random, random.integers<std::int64_t>(shape.S, 0, shape.length - 1)) {}

  /// Where every row that is asked is around these positions.
  ConvCase(const ConvShape& shape, Random& random, const Positions& asked)
      : ConvCase(shape, random, rows_around(random, read(shape, random, asked), shape.in),
                 rows_around(random, asked, shape.out), rows_around(random, asked, shape.beside)) {}

  ConvCase(const ConvShape& shape, Random& random, HeldRows in, HeldRows out, HeldRows beside)
      : shape_(shape),
        in_(std::move(in)),
        out_(std::move(out)),
        beside_(std::move(beside)),
        given_(random.deltas<T>(in_.groups(), shape.E, shape.wide * shape.G, 1023, 512)),
        weight_(random, shape.G, shape.made, shape.K, shape.wide, 4, shape.bf16),
        sequence_(random.integers<std::int32_t>(shape.S, 0, HeldOriginal<T>::sequences - 1)),
        original_(random, 9, shape.made * shape.G, shape.first),
        residual_(random.deltas<T>(beside_.groups(), shape.E, shape.made * shape.G, 16, 2)) {}

  std::int64_t size() const { return out_.groups() * shape_.E * shape_.made * shape_.G; }

  DeltaConv<T> call(std::vector<T>& delta) const {
    return {.given = given_.data(),
            .in = in_.rows(),
            .out = out_.rows(),
            .weight = weight_.address(),
            .bf16 = shape_.bf16 && shape_.wide > 1,
            .original = shape_.relu ? original_.original(sequence_) : Original<T>{},
            .residual = residual_.data(),
            .beside = beside_.rows(),
            .residual_first = shape_.residual_first,
            .delta = delta.data(),
            .E = shape_.E,
            .C_in = shape_.wide * shape_.G,
            .C_out = shape_.made * shape_.G,
            .G = shape_.G,
            .K = shape_.K,
            .stride = shape_.stride,
            .dilation = shape_.dilation,
            .pad = shape_.pad,
            .length = shape_.length};
  }

 private:
  static Positions read(const ConvShape& shape, Random& random, Positions made) {
    for (std::int64_t& each : made)
      each = each * shape.stride - shape.pad + random.between(0, shape.K - 1) * shape.dilation;
    return made;
  }

  const ConvShape shape_;
  const HeldRows in_, out_, beside_;
  const std::vector<T> given_;
  const HeldWeight<T> weight_;
  const std::vector<std::int32_t> sequence_;
  const HeldOriginal<T> original_;
  const std::vector<T> residual_;
};

}  // namespace nucleoscope::checks
