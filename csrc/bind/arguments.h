#pragma once

#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <tuple>
#include <vector>

#include "ops/conv.h"
#include "ops/delta_chain.h"
#include "ops/delta_concat.h"
#include "ops/delta_product.h"
#include "ops/delta_sum.h"
#include "support/attention.h"

// What Python hands over: addresses and sizes, in the order of the struct that they become.

namespace nucleoscope {

using Address = std::uintptr_t;
using Size = std::int64_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

using RowsArgument = std::tuple<Address, std::vector<Size>, Size>;
using OriginalArgument = std::tuple<Address, Address, Size, Size, Size>;

using TermArgument = std::tuple<Address, RowsArgument, double>;
using FactorArgument = std::tuple<Address, RowsArgument, OriginalArgument>;
using PartArgument = std::tuple<Address, RowsArgument, Size, Size>;
using AttentionArgument =
    std::tuple<std::array<Address, 7>, std::array<Size, 24>, std::array<double, 2>>;
using LinkArgument = std::tuple<std::array<Size, 24>, std::array<double, 7>>;

inline Rows rows(const RowsArgument& given) {
  const auto& [starts, widths, S] = given;
  return {at<const Size>(starts), widths.data(), static_cast<Size>(widths.size()), S};
}

template <class T>
Original<T> original(const OriginalArgument& given) {
  const auto& [values, sequence, first, L, C] = given;
  return {at<const T>(values), at<const std::int32_t>(sequence), first, L, C};
}

inline Attention attention(const AttentionArgument& given) {
  const auto& [from, n, numbers] = given;
  return {.query = at<const float>(from[0]),
          .key = at<const float>(from[1]),
          .B = n[0],
          .H = n[1],
          .G = n[2],
          .Lq = n[3],
          .Lk = n[4],
          .D = n[5],
          .first = n[6],
          .behind = n[7],
          .ahead = n[8],
          .mask = {at<const std::uint8_t>(from[2]), {n[12], n[13], n[14], n[15]}},
          .bias = {at<const float>(from[3]), {n[16], n[17], n[18], n[19]}},
          .step_rows = n[9],
          .step_columns = n[10],
          .table = {at<const float>(from[4]), {n[20], n[21], n[22], n[23]}},
          .index = at<const std::int32_t>(from[5]),
          .kinds = n[11],
          .slopes = at<const float>(from[6]),
          .scale = static_cast<float>(numbers[0]),
          .softcap = static_cast<float>(numbers[1])};
}

template <class T>
Term<T> term(const TermArgument& given) {
  const auto& [values, in, factor] = given;
  return {at<const T>(values), rows(in), static_cast<T>(factor)};
}

template <class T>
Factor<T> factor(const FactorArgument& given) {
  const auto& [values, in, z] = given;
  return {at<const T>(values), rows(in), original<T>(z)};
}

template <class T>
Part<T> part(const PartArgument& given) {
  const auto& [values, in, C, first] = given;
  return {at<const T>(values), rows(in), C, first};
}

template <class T>
Conv<T> layer(const std::array<Address, 8>& read, const std::array<Address, 3>& written,
              const std::array<Size, 10>& sizes, const std::array<bool, 5>& how) {
  const auto& [given, gated, slope, weight, winograd, bias, residual, beside] = read;
  const auto& [N, V, L, C_in, C_out, G, K, stride, dilation, pad] = sizes;
  return {.given = at<const T>(given),
          .gated = at<const std::uint8_t>(gated),
          .slope = at<const T>(slope),
          .weight = at<const T>(weight),
          .winograd = at<const T>(winograd),
          .bias = at<const T>(bias),
          .residual = at<const T>(residual),
          .residual_first = how[0],
          .relu = how[1],
          .made = at<T>(written[0]),
          .open = at<std::uint8_t>(written[1]),
          .beside = at<const T>(beside),
          .beside_each = how[4],
          .chord = at<T>(written[2]),
          .N = N,
          .V = V,
          .L = L,
          .C_in = C_in,
          .C_out = C_out,
          .G = G,
          .K = K,
          .stride = stride,
          .dilation = dilation,
          .pad = pad,
          .transposed = how[2],
          .spread = how[3]};
}

template <class T>
Link<T> link(const LinkArgument& given) {
  const auto& [n, numbers] = given;
  return {.op = static_cast<Op>(n[0]),
          .given = n[1],
          .beside = n[2],
          .C_in = n[3],
          .C_out = n[4],
          .G = n[5],
          .K = n[6],
          .stride = n[7],
          .dilation = n[8],
          .pad = n[9],
          .length_in = n[10],
          .length = n[11],
          .residual_first = n[12],
          .bf16 = n[13],
          .relu = n[23],
          .weight = at<const void>(n[14]),
          .original = at<const T>(n[15]),
          .original_first = n[16],
          .original_length = n[17],
          .pooled = at<const T>(n[18]),
          .pooled_first = n[19],
          .pooled_length = n[20],
          .factors = {static_cast<T>(numbers[0]), static_cast<T>(numbers[1])},
          .function = static_cast<Function>(n[21]),
          .parameters = {static_cast<T>(numbers[2]), static_cast<T>(numbers[3]),
                         static_cast<T>(numbers[4])},
          .wide = n[22],
          .eps = static_cast<T>(numbers[5]),
          .limit = static_cast<T>(numbers[6])};
}

}  // namespace nucleoscope
