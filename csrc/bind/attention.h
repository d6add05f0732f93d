#pragma once

#include "bind/arguments.h"
#include "bind/define.h"
#include "ops/attention_apply.h"
#include "ops/attention_lse.h"
#include "ops/attention_mean.h"
#include "ops/attention_relevance.h"
#include "ops/attention_statistics.h"

namespace nucleoscope {

/// The attention ops, which are of floats alone.
inline void define_attention(py::module_& m) {
  define_op(
      m, "attention_lse_float32", +[](const AttentionArgument& of, Address lse, int threads) {
        NUCLEOSCOPE_SELECT(attention_lse)(attention(of), at<float>(lse), threads);
      });
  define_op(
      m, "attention_apply_float32",
      +[](const AttentionArgument& of, Address r, std::array<Size, 3> sizes, Address out,
          Address lse, int threads) {
        NUCLEOSCOPE_SELECT(attention_apply)
        ({.of = attention(of),
          .r = at<const float>(r),
          .strides = {sizes[0], sizes[1]},
          .M = sizes[2],
          .out = at<float>(out),
          .lse = at<float>(lse)},
         threads);
      });
  define_op(
      m, "attention_mean_float32",
      +[](const AttentionArgument& of, Address share, Address out, Address lse, int threads) {
        NUCLEOSCOPE_SELECT(attention_mean)
        ({.of = attention(of),
          .share = at<const float>(share),
          .out = at<float>(out),
          .lse = at<float>(lse)},
         threads);
      });
  define_op(
      m, "attention_relevance_float32",
      +[](const AttentionArgument& of, Address value, Address grad, Size E, Address r,
          std::array<Size, 3> sizes, Address out, Address lse, int threads) {
        NUCLEOSCOPE_SELECT(attention_relevance)
        ({.of = attention(of),
          .value = at<const float>(value),
          .grad = at<const float>(grad),
          .E = E,
          .r = at<const float>(r),
          .strides = {sizes[0], sizes[1]},
          .M = sizes[2],
          .out = at<float>(out),
          .lse = at<float>(lse)},
         threads);
      });
  define_op(
      m, "attention_statistics_float32",
      +[](const AttentionArgument& of, std::array<Address, 6> made, int threads) {
        NUCLEOSCOPE_SELECT(attention_statistics)
        ({.of = attention(of),
          .lse = at<float>(made[0]),
          .entropy = at<float>(made[1]),
          .peak = at<float>(made[2]),
          .squares = at<float>(made[3]),
          .cubes = at<float>(made[4]),
          .columns = at<float>(made[5])},
         threads);
      });
}

}  // namespace nucleoscope
