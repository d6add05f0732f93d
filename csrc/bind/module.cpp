// A table of contents: every op that Python can call, under one name per element type.
//
// Tensors arrive as addresses and sizes, checked by python/nucleoscope/ops; so this module is
// linked to neither torch nor NumPy. The interpreter lock is released for the whole of each op.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "ops/delta_conv.h"
#include "ops/delta_max_pool.h"
#include "ops/delta_relu.h"
#include "ops/edit_lookup.h"
#include "support/indices.h"
#include "support/isa.h"
#include "support/isa_choice.h"

namespace py = pybind11;

namespace nucleoscope {
namespace {

using Address = std::uintptr_t;
using Size = std::int64_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

// What Python hands over for a Rows, an Original: addresses and sizes in the order of the struct.
using RowsArgument = std::tuple<Address, std::vector<Size>, Size>;
using OriginalArgument = std::tuple<Address, Address, Size, Size, Size>;

Rows rows(const RowsArgument& given) {
  const auto& [starts, widths, S] = given;
  return {at<const Size>(starts), widths.data(), static_cast<Size>(widths.size()), S};
}

template <class T>
Original<T> original(const OriginalArgument& given) {
  const auto& [values, sequence, first, L, C] = given;
  return {at<const T>(values), at<const std::int32_t>(sequence), first, L, C};
}

template <class... Arguments>
void define_op(py::module_& m, const std::string& name, void (*op)(Arguments...)) {
  m.def(name.c_str(), op, py::call_guard<py::gil_scoped_release>());
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
      m, "delta_conv_" + type,
      +[](Address given, const RowsArgument& in, const RowsArgument& out, Address weight,
          OriginalArgument z, Address residual, const RowsArgument& beside, bool residual_first,
          Address delta, std::array<Size, 9> sizes, int threads) {
        const auto& [E, C_in, C_out, G, K, stride, dilation, pad, length] = sizes;
        NUCLEOSCOPE_SELECT(delta_conv<T>)
        ({.given = at<const T>(given),
          .in = rows(in),
          .out = rows(out),
          .weight = at<const T>(weight),
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
          OriginalArgument pooled, Address delta, std::array<Size, 8> sizes, int threads) {
        const auto& [E, C, K, stride, dilation, pad, length_in, length] = sizes;
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
          .length = length},
         threads);
      });
  define_op(
      m, "delta_relu_" + type,
      +[](Address given, const RowsArgument& on, OriginalArgument z, Address delta, Size E, Size C,
          Size length, int threads) {
        NUCLEOSCOPE_SELECT(delta_relu<T>)
        ({.given = at<const T>(given),
          .rows = rows(on),
          .original = original<T>(z),
          .delta = at<T>(delta),
          .E = E,
          .C = C,
          .length = length},
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
  nucleoscope::define_ops<float>(m, "float32");
  nucleoscope::define_ops<double>(m, "float64");
}
