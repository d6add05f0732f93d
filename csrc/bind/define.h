#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace nucleoscope {

namespace py = pybind11;

/// An op that Python can call; the interpreter lock is released for the whole of it.
template <class... Arguments>
inline void define_op(py::module_& m, const std::string& name, void (*op)(Arguments...)) {
  m.def(name.c_str(), op, py::call_guard<py::gil_scoped_release>());
}

}  // namespace nucleoscope
