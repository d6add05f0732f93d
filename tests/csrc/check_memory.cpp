#include <new>

#include "chain_case.h"

// Where memory runs out, at whichever allocation, std::bad_alloc arrives and nothing leaks.

namespace nucleoscope::checks {
namespace {

/// Calls until no allocation fails; each time one more succeeds.
template <class Call>
void until_there_is_enough(const std::string& what, const Call& call) {
  for (std::int64_t allocations = 0; allocations < 100; ++allocations) {
    try {
      const WithinOp within(allocations);
      call();
    } catch (const std::bad_alloc&) {
      continue;
    }
    if (allocations > 0) return;
    throw std::runtime_error(what + " has allocated nothing: this checks nothing");
  }
  throw std::runtime_error(what + " has thrown std::bad_alloc a hundred times");
}

}  // namespace

void check_memory_that_runs_out(int threads) {
  Random random(0);
  ConvShape shape{
      .in = {70, 51}, .out = {90}, .S = 3, .E = 3, .wide = 400, .made = 3, .K = 2, .length = 80};
  for (const bool bf16 : {false, true}) {
    shape.bf16 = bf16;
    const ConvCase<float> held(shape, random);
    std::vector<float> delta = poisoned<float>(held.size());
    const DeltaConv<float> call = held.call(delta);
    until_there_is_enough("delta_conv",
                          [&] { NUCLEOSCOPE_SELECT(delta_conv<float>)(call, threads); });
    expect("delta_conv after memory ran out", delta, meaning(call));
  }

  // On one thread only: what a thread of a team throws ends the process (OpenMP).
  ChainCase<float> chain(random, 5, 3, 20);
  chain.look_up(9, {7}, {5, 1, 1, 2}, true);
  chain.conv(0, 9, {7}, {3, 1, 1, 1}, true, 0);
  chain.ask();
  const DeltaChain<float> call = chain.call();
  until_there_is_enough("delta_chain", [&] { NUCLEOSCOPE_SELECT(delta_chain<float>)(call, 1); });
}

}  // namespace nucleoscope::checks
