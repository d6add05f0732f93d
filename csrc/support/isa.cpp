#include "support/isa.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "support/isa_choice.h"

namespace nucleoscope {
namespace {

const std::vector<std::string> names = {"base", "v3", "v4", "v4_bf16"};  // in the order of Isa

std::atomic<Isa> in_force{Isa::base};

Isa newest() {
#ifdef NUCLEOSCOPE_X86_LEVELS
  // Named feature by feature: compilers disagree on whether they know "x86-64-v3" here.
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  if (v3 && v4 && __builtin_cpu_supports("avx512bf16")) return Isa::v4_bf16;
  if (v3 && v4) return Isa::v4;
  if (v3) return Isa::v3;
#endif
  return Isa::base;
}

}  // namespace

Isa isa() { return in_force.load(std::memory_order_relaxed); }

std::vector<std::string> available_isas() {
  return {names.begin(), names.begin() + static_cast<int>(newest()) + 1};
}

std::string isa_name() { return names[static_cast<int>(isa())]; }

void use_isa(const std::string& name) {
  const std::vector<std::string> available = available_isas();
  const auto found = std::find(available.begin(), available.end(), name);
  if (found == available.end()) {
    std::string list;
    for (const std::string& each : available) list += (list.empty() ? "" : ", ") + each;
    throw std::invalid_argument("instruction set '" + name +
                                "' cannot be used here: this build on this processor has " + list +
                                ". Choose one of them, or unset NUCLEOSCOPE_ISA for the newest.");
  }
  in_force.store(static_cast<Isa>(found - available.begin()), std::memory_order_relaxed);
}

void use_isa_from_environment() {
  const char* wanted = std::getenv("NUCLEOSCOPE_ISA");
  use_isa(wanted != nullptr && *wanted != '\0' ? wanted : available_isas().back());
}

}  // namespace nucleoscope
