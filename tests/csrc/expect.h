#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "meaning.h"
#include "support/isa.h"
#include "support/isa_choice.h"
#include "within_op.h"

namespace nucleoscope::checks {

/// Fails unless every element is what it must be. The numbers are such that float holds them; if
/// it does not, the case is at fault, not the op.
template <class T>
void expect(const std::string& what, const std::vector<T>& got, const Values& expected) {
  const auto fail = [&what](const std::string& why) {
    throw std::runtime_error(isa_name() + ", " + what + ": " + why);
  };
  if (got.size() != expected.size())
    fail(std::to_string(got.size()) + " elements, not " + std::to_string(expected.size()));
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (static_cast<double>(static_cast<T>(expected[i])) != expected[i])
      fail("the case is not exact: element " + std::to_string(i) + " must be " +
           std::to_string(expected[i]));
    if (static_cast<double>(got[i]) != expected[i])
      fail("element " + std::to_string(i) + " is " + std::to_string(got[i]) + ", must be " +
           std::to_string(expected[i]));
  }
}

/// The same but for some roundings. What is not a number or not finite may be anything.
template <class T>
void expect_near(const std::string& what, const std::vector<T>& got, const Values& expected,
                 double digits) {
  if (got.size() != expected.size()) throw std::runtime_error(what + ": not as many elements");
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double off = std::fabs(static_cast<double>(got[i]) - expected[i]);
    if (std::isfinite(expected[i]) && !(off <= digits * (1 + std::fabs(expected[i]))))
      throw std::runtime_error(isa_name() + ", " + what + ": element " + std::to_string(i) +
                               " is " + std::to_string(got[i]) + ", must be " +
                               std::to_string(expected[i]));
  }
}

template <class T>
std::vector<T> poisoned(std::int64_t count) {
  return std::vector<T>(static_cast<std::size_t>(count), std::numeric_limits<T>::quiet_NaN());
}

template <class T>
constexpr const char* type_name = sizeof(T) == 4 ? "float" : "double";

inline std::string list(const std::vector<std::int64_t>& numbers) {
  std::string made;
  for (const std::int64_t each : numbers) made += (made.empty() ? "" : " ") + std::to_string(each);
  return "(" + made + ")";
}

/// Calls an op as compiled for the instruction set in force.
#define NUCLEOSCOPE_RUN(op, call, threads)        \
  do {                                            \
    const ::nucleoscope::checks::WithinOp within; \
    NUCLEOSCOPE_SELECT(op)(call, threads);        \
  } while (false)

// Each throws std::runtime_error with the case and the first element that is wrong.
void check_edit_lookup(int threads);
void check_conv(int threads);
void check_delta_conv(int threads);
void check_delta_max_pool(int threads);
void check_delta_pointwise(int threads);
void check_attention(int threads);
void check_functions();
void check_delta_sum(int threads);
void check_delta_product(int threads);
void check_delta_concat(int threads);
void check_delta_layer_norm(int threads);
void check_delta_softmax_pool(int threads);
void check_delta_chain(int threads);
void check_memory_that_runs_out(int threads);

}  // namespace nucleoscope::checks
