// A table of contents: every op that Python can call, under one name per element type.
//
// Tensors arrive as addresses and sizes, checked by python/nucleoscope/ops; so this module is
// linked to neither torch nor NumPy. The interpreter lock is released for the whole of each op.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>

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
