#pragma once

#include <string>
#include <vector>

// Choosing the instruction set by name: for the binding and the tests, never for an op (STL).

namespace nucleoscope {

/// Names of the sets that this build holds and this processor runs, oldest first.
std::vector<std::string> available_isas();

/// Name of the set in force.
std::string isa_name();

/// Puts a set in force. Throws std::invalid_argument if it is not among available_isas().
void use_isa(const std::string& name);

/// Puts in force what NUCLEOSCOPE_ISA names, or the newest set if it is unset or empty.
/// Throws std::invalid_argument as use_isa does.
void use_isa_from_environment();

}  // namespace nucleoscope
