#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "chain_case.h"
#include "counted_rows.h"

// counted CASE: one call of an op, for callgrind to count; benchmarks/instructions.py reads it off.
// counted alone: the compiler, and the names of the cases, a line each.

namespace {

using namespace nucleoscope;
using namespace nucleoscope::checks;

const std::vector<std::pair<std::string, ConvShape>> convolutions = {
    {"BPNet, dilation 16",
     {.in = {60},
      .out = {92},
      .S = 4,
      .E = 3,
      .wide = 64,
      .made = 64,
      .K = 3,
      .dilation = 16,
      .pad = 16,
      .length = 1000,
      .relu = true,
      .beside = {60}}},
    {"Basset, second layer",
     {.in = {7},
      .out = {17},
      .S = 4,
      .E = 3,
      .wide = 300,
      .made = 200,
      .K = 11,
      .pad = 5,
      .length = 1000,
      .relu = true}},
    {"depthwise",
     {.in = {40},
      .out = {46},
      .S = 4,
      .E = 3,
      .wide = 1,
      .made = 1,
      .K = 7,
      .G = 64,
      .pad = 3,
      .length = 1000}},
};
#ifdef __clang__
constexpr const char* compiler = "Clang";
#else
constexpr const char* compiler = "GCC";
#endif
const std::string chain_name = "chain";

}  // namespace

/// What callgrind counts: everything below this function, which it knows by its name.
extern "C" __attribute__((noinline)) void counted_call(void (*call)(void*), void* with) {
  call(with);
}

namespace {

/// The second call is counted: the first has bound what the linker binds late.
template <class Call>
void count(Call call) {
  call();
  counted_call([](void* with) { (*static_cast<Call*>(with))(); }, &call);
}

void convolve(const ConvShape& shape) {
  Random random(0);
  const std::int64_t first = 500, reach = shape.pad - (shape.K - 1) * shape.dilation;
  const HeldRows in = neighbours(shape.S, shape.in[0], first),
                 out = neighbours(shape.S, shape.out[0], first + reach);
  const ConvCase<float> held(shape, random, in, out, shape.beside.empty() ? HeldRows{} : in);
  std::vector<float> delta = poisoned<float>(held.size());
  const DeltaConv<float> call = held.call(delta);
  count([&] { NUCLEOSCOPE_SELECT(delta_conv<float>)(call, 1); });
}

using Run = void (*)(CountedRows&);

const std::vector<std::pair<std::string, Run>> by_rows = {
#define NUCLEOSCOPE_COUNTED(name, op, made)                  \
  {name, [](CountedRows& rows) {                             \
     const auto call = rows.made();                          \
     count([&] { NUCLEOSCOPE_SELECT(op<float>)(call, 1); }); \
   }}
    NUCLEOSCOPE_COUNTED("max-pool", delta_max_pool, max_pool),
    NUCLEOSCOPE_COUNTED("GELU", delta_pointwise, gelu),
    NUCLEOSCOPE_COUNTED("sum of two", delta_sum, sum),
    NUCLEOSCOPE_COUNTED("product", delta_product, product),
    NUCLEOSCOPE_COUNTED("concat", delta_concat, concat),
    NUCLEOSCOPE_COUNTED("LayerNorm", delta_layer_norm, layer_norm),
    NUCLEOSCOPE_COUNTED("attention pool", delta_softmax_pool, softmax_pool),
#undef NUCLEOSCOPE_COUNTED
};

/// A look-up, a residual layer, a pool and a linear layer over what is left.
void run_chain() {
  Random random(0);
  ChainCase<float> chain(random, 8, 3, 100, false);
  chain.look_up(32, {7}, {7, 1, 1, 3}, true);
  chain.conv(chain.last(), 32, {9}, {3, 1, 1, 1}, true, chain.last());
  chain.pool(chain.last(), {4}, {4, 4, 1, 0});
  chain.conv(chain.last(), 10, {1}, {25, 1, 1, 0}, false);
  chain.ask();
  const DeltaChain<float> call = chain.call();
  count([&] { NUCLEOSCOPE_SELECT(delta_chain<float>)(call, 1); });
}

}  // namespace

int main(int many, char** arguments) {
  if (many != 2) {
    std::cout << compiler << ' ' << __VERSION__ << '\n';
    for (const auto& [name, shape] : convolutions) std::cout << name << '\n';
    for (const auto& [name, run] : by_rows) std::cout << name << '\n';
    std::cout << chain_name << '\n';
    return 0;
  }
  try {
    use_isa_from_environment();
  } catch (const std::exception& refused) {
    std::cerr << refused.what() << '\n';
    return 1;
  }
  if (arguments[1] == chain_name) {
    run_chain();
    return 0;
  }
  for (const auto& [name, run] : by_rows)
    if (arguments[1] == name) {
      CountedRows rows;
      run(rows);
      return 0;
    }
  for (const auto& [name, shape] : convolutions)
    if (arguments[1] == name) {
      convolve(shape);
      return 0;
    }
  std::cerr << "no such case: " << arguments[1] << '\n';
  return 1;
}
