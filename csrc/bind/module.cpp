// A table of contents: every op that Python can call, under one name per element type.
//
// Tensors arrive as addresses and sizes, checked by python/nucleoscope/ops; so this module is
// linked to neither torch nor NumPy. The interpreter lock is released for the whole of each op.

#include <pybind11/pybind11.h>

#include <array>
#include <string>

#include "bind/attention.h"
#include "bind/define.h"
#include "ops/delta_chain.h"
#include "ops/delta_concat.h"
#include "ops/delta_conv.h"
#include "ops/delta_layer_norm.h"
#include "ops/delta_max_pool.h"
#include "ops/delta_pointwise.h"
#include "ops/delta_product.h"
#include "ops/delta_softmax_pool.h"
#include "ops/delta_sum.h"
#include "ops/dinucleotide_shuffle.h"
#include "ops/edit_lookup.h"
#include "support/indices.h"
#include "support/isa.h"
#include "support/isa_choice.h"

namespace py = pybind11;

namespace nucleoscope {
namespace {

template <class T>
void define_shuffle(py::module_& m, const std::string& type) {
  define_op(
      m, "dinucleotide_shuffle_" + type,
      +[](Address letters, Address out, Size N, Size n, Size L, Size A, std::uint64_t seed,
          int threads) {
        const DinucleotideShuffle call{.letters = at<const std::int8_t>(letters),
                                       .N = N,
                                       .n = n,
                                       .L = L,
                                       .A = A,
                                       .seed = seed};
        NUCLEOSCOPE_SELECT(dinucleotide_shuffle<T>)(call, at<T>(out), threads);
      });
}

template <class T>
void define_ops(py::module_& m, const std::string& type) {
  define_op(
      m, "edit_lookup_" + type,
      +[](Address table, Address taps, Address old, Address fresh, Address out, Size A, Size C,
          Size W, Size S, Size E, int threads) {
        NUCLEOSCOPE_SELECT(edit_lookup<T>)
        ({.table = at<const T>(table),
          .taps = at<const std::int32_t>(taps),
          .old = at<const std::int32_t>(old),
          .fresh = at<const std::int32_t>(fresh),
          .out = at<T>(out),
          .A = A,
          .C = C,
          .W = W,
          .S = S,
          .E = E},
         threads);
      });
  define_op(
      m, "conv_" + type,
      +[](const std::array<Address, 8>& read, const std::array<Address, 3>& written,
          const std::array<Size, 10>& sizes, const std::array<bool, 5>& how, int threads) {
        NUCLEOSCOPE_SELECT(conv<T>)(layer<T>(read, written, sizes, how), threads);
      });
  define_op(
      m, "delta_conv_" + type,
      +[](Address given, const RowsArgument& in, const RowsArgument& out, Address weight,
          OriginalArgument z, Address residual, const RowsArgument& beside, bool residual_first,
          Address delta, std::array<Size, 10> sizes, int threads) {
        const auto& [E, C_in, C_out, G, K, stride, dilation, pad, length, bf16] = sizes;
        NUCLEOSCOPE_SELECT(delta_conv<T>)
        ({.given = at<const T>(given),
          .in = rows(in),
          .out = rows(out),
          .weight = at<const void>(weight),
          .bf16 = bf16 != 0,
          .original = original<T>(z),
          .residual = at<const T>(residual),
          .beside = rows(beside),
          .residual_first = residual_first,
          .delta = at<T>(delta),
          .E = E,
          .C_in = C_in,
          .C_out = C_out,
          .G = G,
          .K = K,
          .stride = stride,
          .dilation = dilation,
          .pad = pad,
          .length = length},
         threads);
      });
  define_op(
      m, "delta_max_pool_" + type,
      +[](Address given, const RowsArgument& in, const RowsArgument& out, OriginalArgument z,
          OriginalArgument pooled, Address delta, std::array<Size, 9> sizes, int threads) {
        const auto& [E, C, K, stride, dilation, pad, length_in, length, relu] = sizes;
        NUCLEOSCOPE_SELECT(delta_max_pool<T>)
        ({.given = at<const T>(given),
          .in = rows(in),
          .out = rows(out),
          .original = original<T>(z),
          .pooled = original<T>(pooled),
          .delta = at<T>(delta),
          .E = E,
          .C = C,
          .K = K,
          .stride = stride,
          .dilation = dilation,
          .pad = pad,
          .length_in = length_in,
          .length = length,
          .relu = relu != 0},
         threads);
      });
  define_op(
      m, "delta_pointwise_" + type,
      +[](Address given, const RowsArgument& on, OriginalArgument z, Address delta, Size E, Size C,
          Size length, Size function, const std::array<double, 3>& parameters, int threads) {
        NUCLEOSCOPE_SELECT(delta_pointwise<T>)
        ({.given = at<const T>(given),
          .rows = rows(on),
          .original = original<T>(z),
          .delta = at<T>(delta),
          .E = E,
          .C = C,
          .length = length,
          .function = static_cast<Function>(function),
          .parameters = {static_cast<T>(parameters[0]), static_cast<T>(parameters[1]),
                         static_cast<T>(parameters[2])}},
         threads);
      });
  define_op(
      m, "delta_sum_" + type,
      +[](const std::array<TermArgument, 2>& terms, Address scale, const RowsArgument& out,
          Address delta, std::array<Size, 6> sizes, int threads) {
        const auto& [E, C, K, stride, pad, length] = sizes;
        NUCLEOSCOPE_SELECT(delta_sum<T>)
        ({.terms = {term<T>(terms[0]), term<T>(terms[1])},
          .scale = at<const T>(scale),
          .out = rows(out),
          .delta = at<T>(delta),
          .E = E,
          .C = C,
          .K = K,
          .stride = stride,
          .pad = pad,
          .length = length},
         threads);
      });
  define_op(
      m, "delta_product_" + type,
      +[](const std::array<FactorArgument, 2>& factors, const RowsArgument& out, Address delta,
          std::array<Size, 3> sizes, int threads) {
        const auto& [E, C, length] = sizes;
        NUCLEOSCOPE_SELECT(delta_product<T>)
        ({.factors = {factor<T>(factors[0]), factor<T>(factors[1])},
          .out = rows(out),
          .delta = at<T>(delta),
          .E = E,
          .C = C,
          .length = length},
         threads);
      });
  define_op(
      m, "delta_layer_norm_" + type,
      +[](Address given, const RowsArgument& on, OriginalArgument z, Address weight, Address delta,
          std::array<Size, 4> sizes, const std::array<double, 2>& numbers, int threads) {
        const auto& [E, C, N, length] = sizes;
        NUCLEOSCOPE_SELECT(delta_layer_norm<T>)
        ({.given = at<const T>(given),
          .rows = rows(on),
          .original = original<T>(z),
          .weight = at<const T>(weight),
          .delta = at<T>(delta),
          .E = E,
          .C = C,
          .N = N,
          .eps = static_cast<T>(numbers[0]),
          .limit = static_cast<T>(numbers[1]),
          .length = length},
         threads);
      });
  define_op(
      m, "delta_concat_" + type,
      +[](const std::array<PartArgument, 2>& parts, const RowsArgument& out, Address delta,
          std::array<Size, 3> sizes, int threads) {
        const auto& [E, C, length] = sizes;
        NUCLEOSCOPE_SELECT(delta_concat<T>)
        ({.parts = {part<T>(parts[0]), part<T>(parts[1])},
          .out = rows(out),
          .delta = at<T>(delta),
          .E = E,
          .C = C,
          .length = length},
         threads);
      });
  define_op(
      m, "delta_softmax_pool_" + type,
      +[](Address given, const RowsArgument& in, Address logits, const RowsArgument& beside,
          const RowsArgument& out, OriginalArgument x, OriginalArgument l, Address delta,
          std::array<Size, 6> sizes, int threads) {
        const auto& [E, C, K, stride, length_in, length] = sizes;
        NUCLEOSCOPE_SELECT(delta_softmax_pool<T>)
        ({.given = at<const T>(given),
          .logits = at<const T>(logits),
          .in = rows(in),
          .beside = rows(beside),
          .out = rows(out),
          .original = original<T>(x),
          .original_logits = original<T>(l),
          .delta = at<T>(delta),
          .E = E,
          .C = C,
          .K = K,
          .stride = stride,
          .length_in = length_in,
          .length = length},
         threads);
      });
  define_op(
      m, "delta_chain_" + type,
      +[](const std::vector<LinkArgument>& links, const std::vector<RowsArgument>& on,
          const std::vector<Address>& given, const std::vector<Size>& channels,
          const std::vector<Address>& kept, const std::array<Address, 4>& edits,
          std::array<Size, 2> sizes, int threads) {
        std::vector<Link<T>> chain;
        for (const LinkArgument& each : links) chain.push_back(link<T>(each));
        std::vector<Rows> held;
        for (const RowsArgument& each : on) held.push_back(rows(each));
        const auto& [S, E] = sizes;
        NUCLEOSCOPE_SELECT(delta_chain<T>)
        ({.links = chain.data(),
          .count = static_cast<Size>(chain.size()),
          .rows = held.data(),
          .given = reinterpret_cast<const T* const*>(given.data()),
          .channels = channels.data(),
          .givens = static_cast<Size>(given.size()),
          .kept = reinterpret_cast<T* const*>(kept.data()),
          .sequence = at<const std::int32_t>(edits[0]),
          .site = at<const std::int64_t>(edits[1]),
          .old = at<const std::int32_t>(edits[2]),
          .fresh = at<const std::int32_t>(edits[3]),
          .S = S,
          .E = E},
         threads);
      });
}

}  // namespace
}  // namespace nucleoscope

PYBIND11_MODULE(_C, m) {
  m.doc() =
      "Compiled ops of nucleoscope. Call them through nucleoscope.ops, which checks arguments.";
  nucleoscope::use_isa_from_environment();
  m.def("available_isas", &nucleoscope::available_isas);
  m.def("isa", &nucleoscope::isa_name);
  m.def("use_isa", &nucleoscope::use_isa);
  m.def("indices_within", [](nucleoscope::Address indices, nucleoscope::Size count,
                             nucleoscope::Size length) {
    return nucleoscope::indices_within(nucleoscope::at<const std::int32_t>(indices), count, length);
  });
  nucleoscope::define_shuffle<std::int8_t>(m, "int8");
  nucleoscope::define_shuffle<float>(m, "float32");
  nucleoscope::define_shuffle<double>(m, "float64");
  nucleoscope::define_ops<float>(m, "float32");
  nucleoscope::define_ops<double>(m, "float64");
  nucleoscope::define_attention(m);
}
