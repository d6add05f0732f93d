#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "expect.h"

// check_ops ISA THREADS: every op against its definition. Returns 77 where the processor lacks the
// instruction set, which ctest reports as skipped.

extern "C" const char* __asan_default_options();

/// So much that a vector of 64 bytes, read from any element of an array, ends before the next one.
extern "C" const char* __asan_default_options() { return "redzone=256"; }

int main(int count, char** arguments) {
  using namespace nucleoscope;
  if (count != 3) {
    std::cerr << "usage: check_ops ISA THREADS; instruction sets here:";
    for (const std::string& each : available_isas()) std::cerr << ' ' << each;
    std::cerr << '\n';
    return 2;
  }
  try {
    use_isa(arguments[1]);
  } catch (const std::exception& refused) {
    std::cerr << refused.what() << '\n';
    return 77;
  }
  const int threads = std::atoi(arguments[2]);
  try {
    checks::check_edit_lookup(threads);
    checks::check_delta_max_pool(threads);
    checks::check_functions();
    checks::check_attention(threads);
    checks::check_delta_pointwise(threads);
    checks::check_delta_sum(threads);
    checks::check_delta_product(threads);
    checks::check_delta_concat(threads);
    checks::check_delta_layer_norm(threads);
    checks::check_delta_softmax_pool(threads);
    checks::check_conv(threads);
    checks::check_delta_conv(threads);
    checks::check_delta_chain(threads);
    checks::check_memory_that_runs_out(threads);
  } catch (const std::exception& failed) {
    std::cerr << failed.what() << '\n';
    return 1;
  }
  std::cout << isa_name() << ", " << threads << " threads: every op does what its header says\n";
  return 0;
}
