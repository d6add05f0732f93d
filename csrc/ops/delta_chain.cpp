#include "ops/delta_chain.h"

#include "ops/delta_concat.h"
#include "ops/delta_conv.h"
#include "ops/delta_layer_norm.h"
#include "ops/delta_max_pool.h"
#include "ops/delta_pointwise.h"
#include "ops/delta_product.h"
#include "ops/delta_softmax_pool.h"
#include "ops/delta_sum.h"
#include "ops/edit_lookup.h"
#include "support/chain_memory.h"
#include "support/chain_plan.h"
#include "support/find.h"
#include "support/parallel.h"
#include "support/scratch.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

// Deltas of the sites that are taken together. Fewer stay in the second-level cache, and more share
// each reading of the weights.
constexpr std::int64_t block_bytes = 1 << 21;
// Two sites share register tiles, which is worth a cache further away.
constexpr std::int64_t pair_bytes = 1 << 24;

/// The links for some of the sites.
template <class T>
class Block {
 public:
  Block(const DeltaChain<T>& call, const ChainPlan<DeltaChain<T>>& plan, std::int64_t most)
      : call(call), plan(plan), memory(call, plan, most), taps(widest_lookup() * most) {}

  void run(std::int64_t begin, std::int64_t end) {
    memory.turn_to(begin, end);
    for (std::int64_t i = 0; i < call.count; ++i) {
      apply(call.links[i], i + call.givens);
      if (call.kept[i]) memory.take(call.kept[i], i + call.givens);
    }
  }

 private:
  const DeltaChain<T>& call;
  const ChainPlan<DeltaChain<T>>& plan;
  ChainMemory<T, DeltaChain<T>> memory;
  Scratch<std::int32_t> taps;

  std::int64_t widest_lookup() const {
    std::int64_t widest = 0;
    for (std::int64_t i = 0; i < call.count; ++i) {
      const std::int64_t wide = width(call.rows[call.givens + i]);
      if (call.links[i].op == Op::edit_lookup && wide > widest) widest = wide;
    }
    return widest;
  }

  Original<T> original(const Link<T>& link) const {
    const std::int64_t wide = link.op == Op::delta_max_pool ? link.C_in : link.C_out;
    return {link.original, call.sequence + memory.first_site(), link.original_first,
            link.original_length, wide};
  }

  Original<T> pooled(const Link<T>& link) const {
    return {link.pooled, call.sequence + memory.first_site(), link.pooled_first, link.pooled_length,
            link.C_out};
  }

  void apply(const Link<T>& link, std::int64_t v) {
    switch (link.op) {
      case Op::edit_lookup:
        return look_up(link, v);
      case Op::delta_conv:
        return convolve(link, v);
      case Op::delta_max_pool:
        return pool(link, v);
      case Op::delta_pointwise:
        return change(link, memory.value(link.given), v);
      case Op::delta_sum:
        return sum(link, v);
      case Op::delta_product:
        return multiply(link, v);
      case Op::delta_concat:
        return concatenate(link, v);
      case Op::delta_layer_norm:
        return layer_norm(link, v);
      case Op::delta_softmax_pool:
        return softmax_pool(link, v);
    }
  }

  void look_up(const Link<T>& link, std::int64_t v) {
    const std::int64_t wide = width(memory.made(v));
    for (std::int64_t w = 0; w < wide; ++w)
      for (std::int64_t s = 0; s < memory.sites(); ++s) {
        const std::int64_t o = position(memory.made(v), w, s);
        const std::int64_t past = call.site[memory.first_site() + s] + link.pad - o * link.stride;
        const std::int64_t tap = past / link.dilation;
        const bool seen =
            o >= 0 && o < link.length && past >= 0 && tap < link.K && tap * link.dilation == past;
        taps[w * memory.sites() + s] = seen ? static_cast<std::int32_t>(tap) : -1;
      }
    edit_lookup<T>({.table = static_cast<const T*>(link.weight),
                    .taps = taps.data(),
                    .old = call.old + memory.first_site(),
                    .fresh = call.fresh + memory.first_site() * call.E,
                    .out = memory.value(v),
                    .A = link.C_in,
                    .C = link.C_out,
                    .W = wide,
                    .S = memory.sites(),
                    .E = call.E},
                   1);
    if (link.original) change(link, memory.value(v), v);
  }

  void convolve(const Link<T>& link, std::int64_t v) {
    delta_conv<T>({.given = memory.value(link.given),
                   .in = memory.read(link.given),
                   .out = memory.made(v),
                   .weight = link.weight,
                   .bf16 = link.bf16 != 0,
                   .original = original(link),
                   .residual = memory.value(link.beside),
                   .beside = memory.read(link.beside),
                   .residual_first = link.residual_first != 0,
                   .summed = plan.summed(v),
                   .delta = memory.value(v),
                   .E = call.E,
                   .C_in = link.C_in,
                   .C_out = link.C_out,
                   .G = link.G,
                   .K = link.K,
                   .stride = link.stride,
                   .dilation = link.dilation,
                   .pad = link.pad,
                   .length = link.length},
                  1);
  }

  void pool(const Link<T>& link, std::int64_t v) {
    delta_max_pool<T>({.given = memory.value(link.given),
                       .in = memory.read(link.given),
                       .out = memory.made(v),
                       .original = original(link),
                       .pooled = pooled(link),
                       .delta = memory.value(v),
                       .E = call.E,
                       .C = link.C_out,
                       .K = link.K,
                       .stride = link.stride,
                       .dilation = link.dilation,
                       .pad = link.pad,
                       .length_in = link.length_in,
                       .length = link.length,
                       .relu = link.relu != 0},
                      1);
  }

  void change(const Link<T>& link, const T* given, std::int64_t v) {
    delta_pointwise<T>({.given = given,
                        .rows = memory.made(v),
                        .original = original(link),
                        .delta = memory.value(v),
                        .E = call.E,
                        .C = link.C_out,
                        .length = link.length,
                        .function = link.function,
                        .parameters = {link.parameters[0], link.parameters[1], link.parameters[2]}},
                       1);
  }

  void sum(const Link<T>& link, std::int64_t v) {
    delta_sum<T>({.terms = {{memory.value(link.given), memory.read(link.given), link.factors[0]},
                            {memory.value(link.beside), memory.read(link.beside), link.factors[1]}},
                  .scale = static_cast<const T*>(link.weight),
                  .out = memory.made(v),
                  .delta = memory.value(v),
                  .E = call.E,
                  .C = link.C_out,
                  .K = link.K,
                  .stride = link.stride,
                  .pad = link.pad,
                  .length = link.length},
                 1);
  }

  void multiply(const Link<T>& link, std::int64_t v) {
    delta_product<T>(
        {.factors = {{memory.value(link.given), memory.read(link.given), original(link)},
                     {memory.value(link.beside), memory.read(link.beside), pooled(link)}},
         .out = memory.made(v),
         .delta = memory.value(v),
         .E = call.E,
         .C = link.C_out,
         .length = link.length},
        1);
  }

  void concatenate(const Link<T>& link, std::int64_t v) {
    const std::int64_t given = link.given < 0 ? 0 : memory.channels(link.given);
    const std::int64_t beside = link.beside < 0 ? 0 : memory.channels(link.beside);
    delta_concat<T>({.parts = {{memory.value(link.given), memory.read(link.given), given, 0},
                               {memory.value(link.beside), memory.read(link.beside), beside,
                                link.C_out - beside}},
                     .out = memory.made(v),
                     .delta = memory.value(v),
                     .E = call.E,
                     .C = link.C_out,
                     .length = link.length},
                    1);
  }

  void layer_norm(const Link<T>& link, std::int64_t v) {
    delta_layer_norm<T>({.given = memory.value(link.given),
                         .rows = memory.made(v),
                         .original = original(link),
                         .weight = static_cast<const T*>(link.weight),
                         .delta = memory.value(v),
                         .E = call.E,
                         .C = link.C_out,
                         .N = link.wide,
                         .eps = link.eps,
                         .limit = link.limit,
                         .length = link.length},
                        1);
  }

  void softmax_pool(const Link<T>& link, std::int64_t v) {
    delta_softmax_pool<T>({.given = memory.value(link.given),
                           .logits = memory.value(link.beside),
                           .in = memory.read(link.given),
                           .beside = memory.read(link.beside),
                           .out = memory.made(v),
                           .original = original(link),
                           .original_logits = pooled(link),
                           .delta = memory.value(v),
                           .E = call.E,
                           .C = link.C_out,
                           .K = link.K,
                           .stride = link.stride,
                           .length_in = link.length_in,
                           .length = link.length},
                          1);
  }
};

}  // namespace

template <class T>
void delta_chain(const DeltaChain<T>& call, int threads) {
  if (call.S * call.E == 0) return;
  const ChainPlan<DeltaChain<T>> plan(call);
  const std::int64_t room = plan.room() * static_cast<std::int64_t>(sizeof(T)) + 1;
  std::int64_t most = block_bytes / room;
  if (most < 2) most = 2 * room <= pair_bytes ? 2 : 1;
  most = most > call.S ? call.S : most;
  if (most < call.S && most > 1) most = most / 2 * 2;  // or the last would be alone in its tiles
  const std::int64_t blocks = (call.S + most - 1) / most;
  parallel_ranges(blocks, 1, threads, [&](std::int64_t begin, std::int64_t end) {
    Block<T> block(call, plan, most);
    for (std::int64_t b = begin; b < end; ++b)
      block.run(most * b, most * (b + 1) < call.S ? most * (b + 1) : call.S);
  });
}

template void delta_chain<float>(const DeltaChain<float>&, int);
template void delta_chain<double>(const DeltaChain<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
