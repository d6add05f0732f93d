#include <cstring>

#include "expect.h"
#include "functions_of.h"

// support/functions.h against the C library's double: floats of every magnitude and sign, and the
// ends of the line.

namespace nucleoscope::checks {
namespace {

/// Every 4099th float there is, infinities and the last ones before them, zeros, denormals, NaN.
std::vector<float> line() {
  constexpr float none = std::numeric_limits<float>::quiet_NaN();
  constexpr float beyond = std::numeric_limits<float>::infinity();
  constexpr float most = std::numeric_limits<float>::max();
  constexpr float least = std::numeric_limits<float>::denorm_min();
  std::vector<float> made = {0.0f,   -0.0f,  least, -least,  beyond,  -beyond,
                             most,   -most,  -1.0f, 1.0f,    none,    88.72f,
                             88.73f, -87.4f, -104,  -103.9f, -103.0f, -0.99999994f};
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 4099) {
    const std::uint32_t low = static_cast<std::uint32_t>(bits);
    float x;
    std::memcpy(&x, &low, sizeof x);
    made.push_back(x);
  }
  while (made.size() % 16) made.push_back(0.0f);
  return made;
}

using Judge = double (*)(double);
enum class Range { every, to_13, below_127 };

/// `units`: in the last place of the result, of which a denormal has few.
void check(const char* name, Kin kin, Judge judge, double units, Range range = Range::every) {
  std::vector<float> x = line();
  for (float& each : x)
    if ((range == Range::to_13 && !(each >= 0 && each < 13)) ||
        (range == Range::below_127 && each >= 127))
      each = 1.0f;
  std::vector<float> made = poisoned<float>(static_cast<std::int64_t>(x.size()));
  NUCLEOSCOPE_SELECT(functions_of)(kin, x.data(), made.data(), static_cast<std::int64_t>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double want = judge(x[i]), got = made[i];
    const double unit = std::fmax(std::fabs(want) * std::ldexp(1.0, -23), std::ldexp(1.0, -149));
    const bool right = std::isnan(want) ? std::isnan(got)
                       : std::isinf(static_cast<float>(want))
                           ? got == static_cast<float>(want)
                           : std::fabs(got - want) <= units * unit;
    if (!right)
      throw std::runtime_error(isa_name() + ", " + name + "(" + std::to_string(x[i]) + ") is " +
                               std::to_string(got) + ", must be " + std::to_string(want));
  }
}

}  // namespace

void check_functions() {
  check("exp", Kin::exp, [](double x) { return std::exp(x); }, 2);
  check(
      "exp2_flushed", Kin::exp2_flushed, [](double x) { return x < -126.5 ? 0 : std::exp2(x); }, 1,
      Range::below_127);
  check("expm1", Kin::expm1, [](double x) { return std::expm1(x); }, 2.5);
  check("log1p", Kin::log1p, [](double x) { return std::log1p(x); }, 2);
  check("sqrt", Kin::sqrt, [](double x) { return std::sqrt(x); }, 0.51);
  // relative to what a rounding of its argument comes to
  check(
      "normal_tail", Kin::normal_tail, [](double x) { return 0.5 * std::erfc(x * std::sqrt(0.5)); },
      60, Range::to_13);
}

}  // namespace nucleoscope::checks
