#include "ops/delta_chain.h"

#include <cstring>

#include "ops/delta_conv.h"
#include "ops/delta_layer_norm.h"
#include "ops/delta_max_pool.h"
#include "ops/delta_relu.h"
#include "ops/delta_softmax_pool.h"
#include "ops/delta_sum.h"
#include "ops/edit_lookup.h"
#include "support/find.h"
#include "support/parallel.h"
#include "support/places.h"
#include "support/scratch.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

// Deltas of the sites that are taken together: they share the second-level cache with weights.
constexpr std::int64_t block_bytes = 1 << 20;
constexpr std::int64_t line = 16;  // numbers: values begin at the first byte of a cache line

/// The links for some of the sites, with everything they make in one piece of memory.
template <class T>
class Block {
 public:
  Block(const DeltaChain<T>& call, const std::int64_t* places, std::int64_t room, std::int64_t most)
      : call(call),
        places(places),
        most(most),
        arena(room * most),
        starts(pieces() * most),
        taps(widest_lookup() * most),
        rows(values()) {}

  void run(std::int64_t begin, std::int64_t end) {
    first = begin;
    B = end - begin;
    std::int64_t* to = starts.data();
    for (std::int64_t v = 0; v < values(); ++v) {
      const Rows& whole = call.rows[v];
      rows[v] = {to, whole.widths, whole.P, B};
      for (std::int64_t j = 0; j < whole.P; ++j, to += B)
        std::memcpy(to, whole.starts + j * whole.S + first, B * sizeof(std::int64_t));
    }
    for (std::int64_t v = 0; v < call.givens; ++v) bring(v);
    for (std::int64_t i = 0; i < call.count; ++i) {
      apply(call.links[i], i + call.givens);
      if (call.kept[i]) take(call.kept[i], i + call.givens);
    }
  }

 private:
  const DeltaChain<T>& call;
  const std::int64_t* places;  // [values] where each begins in the arena, numbers a site
  const std::int64_t most;     // sites
  Scratch<T> arena;
  Scratch<std::int64_t> starts;
  Scratch<std::int32_t> taps;
  Scratch<Rows> rows;
  std::int64_t first = 0, B = 0;

  std::int64_t values() const { return call.givens + call.count; }

  std::int64_t pieces() const {
    std::int64_t sum = 0;
    for (std::int64_t v = 0; v < values(); ++v) sum += call.rows[v].P;
    return sum;
  }

  std::int64_t widest_lookup() const {
    std::int64_t widest = 0;
    for (std::int64_t i = 0; i < call.count; ++i) {
      const std::int64_t wide = width(call.rows[call.givens + i]);
      if (call.links[i].op == Op::edit_lookup && wide > widest) widest = wide;
    }
    return widest;
  }

  T* value(std::int64_t v) { return v < 0 ? nullptr : arena.data() + places[v] * most; }

  std::int64_t channels(std::int64_t v) const {
    return v < call.givens ? call.channels[v] : call.links[v - call.givens].C_out;
  }

  /// This block's sites of what comes from outside.
  void bring(std::int64_t v) {
    const std::int64_t size = call.E * channels(v);
    if (size == 0) return;
    for (std::int64_t w = 0; w < width(rows[v]); ++w)
      std::memcpy(value(v) + w * B * size, call.given[v] + (w * call.S + first) * size,
                  B * size * sizeof(T));
  }

  void take(T* kept, std::int64_t v) {
    const std::int64_t size = call.E * channels(v);
    if (size == 0) return;
    for (std::int64_t w = 0; w < width(rows[v]); ++w)
      std::memcpy(kept + (w * call.S + first) * size, value(v) + w * B * size,
                  B * size * sizeof(T));
  }

  Rows rows_of(std::int64_t v) const { return v < 0 ? Rows{nullptr, nullptr, 0, B} : rows[v]; }

  Original<T> original(const Link<T>& link) const {
    const std::int64_t wide = link.op == Op::delta_max_pool ? link.C_in : link.C_out;
    return {link.original, call.sequence + first, link.original_first, link.original_length, wide};
  }

  void apply(const Link<T>& link, std::int64_t v) {
    switch (link.op) {
      case Op::edit_lookup:
        return look_up(link, v);
      case Op::delta_conv:
        return convolve(link, v);
      case Op::delta_max_pool:
        return pool(link, v);
      case Op::delta_relu:
        return relu(link, value(link.given), v);
      case Op::delta_sum:
        return sum(link, v);
      case Op::delta_layer_norm:
        return layer_norm(link, v);
      case Op::delta_softmax_pool:
        return softmax_pool(link, v);
    }
  }

  void look_up(const Link<T>& link, std::int64_t v) {
    const std::int64_t wide = width(rows[v]);
    for (std::int64_t w = 0; w < wide; ++w)
      for (std::int64_t s = 0; s < B; ++s) {
        const std::int64_t o = position(rows[v], w, s);
        const std::int64_t past = call.site[first + s] + link.pad - o * link.stride;
        const std::int64_t tap = past / link.dilation;
        const bool seen =
            o >= 0 && o < link.length && past >= 0 && tap < link.K && tap * link.dilation == past;
        taps[w * B + s] = seen ? static_cast<std::int32_t>(tap) : -1;
      }
    edit_lookup<T>({.table = static_cast<const T*>(link.weight),
                    .taps = taps.data(),
                    .old = call.old + first,
                    .fresh = call.fresh + first * call.E,
                    .out = value(v),
                    .A = link.C_in,
                    .C = link.C_out,
                    .W = wide,
                    .S = B,
                    .E = call.E},
                   1);
    if (link.original) relu(link, value(v), v);
  }

  void convolve(const Link<T>& link, std::int64_t v) {
    delta_conv<T>({.given = value(link.given),
                   .in = rows_of(link.given),
                   .out = rows[v],
                   .weight = link.weight,
                   .bf16 = link.bf16 != 0,
                   .original = original(link),
                   .residual = value(link.beside),
                   .beside = rows_of(link.beside),
                   .residual_first = link.residual_first != 0,
                   .delta = value(v),
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
    delta_max_pool<T>({.given = value(link.given),
                       .in = rows_of(link.given),
                       .out = rows[v],
                       .original = original(link),
                       .pooled = {link.pooled, call.sequence + first, link.pooled_first,
                                  link.pooled_length, link.C_out},
                       .delta = value(v),
                       .E = call.E,
                       .C = link.C_out,
                       .K = link.K,
                       .stride = link.stride,
                       .dilation = link.dilation,
                       .pad = link.pad,
                       .length_in = link.length_in,
                       .length = link.length},
                      1);
  }

  void relu(const Link<T>& link, const T* given, std::int64_t v) {
    delta_relu<T>({.given = given,
                   .rows = rows[v],
                   .original = original(link),
                   .delta = value(v),
                   .E = call.E,
                   .C = link.C_out,
                   .length = link.length},
                  1);
  }

  void sum(const Link<T>& link, std::int64_t v) {
    delta_sum<T>({.terms = {{value(link.given), rows_of(link.given), link.factors[0]},
                            {value(link.beside), rows_of(link.beside), link.factors[1]}},
                  .scale = static_cast<const T*>(link.weight),
                  .out = rows[v],
                  .delta = value(v),
                  .E = call.E,
                  .C = link.C_out,
                  .K = link.K,
                  .stride = link.stride,
                  .pad = link.pad,
                  .length = link.length},
                 1);
  }

  void layer_norm(const Link<T>& link, std::int64_t v) {
    delta_layer_norm<T>({.given = value(link.given),
                         .rows = rows[v],
                         .original = original(link),
                         .weight = static_cast<const T*>(link.weight),
                         .delta = value(v),
                         .E = call.E,
                         .C = link.C_out,
                         .N = link.wide,
                         .eps = link.eps,
                         .length = link.length},
                        1);
  }

  void softmax_pool(const Link<T>& link, std::int64_t v) {
    const Original<T> logits{link.original_beside, call.sequence + first,
                             link.original_beside_first, link.original_beside_length, link.C_out};
    delta_softmax_pool<T>({.given = value(link.given),
                           .logits = value(link.beside),
                           .in = rows_of(link.given),
                           .beside = rows_of(link.beside),
                           .out = rows[v],
                           .original = original(link),
                           .original_logits = logits,
                           .delta = value(v),
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
  const std::int64_t values = call.givens + call.count;
  Scratch<Span> spans(values);
  for (std::int64_t v = 0; v < values; ++v) {
    const bool outside = v < call.givens;
    const std::int64_t wide = outside ? call.channels[v] : call.links[v - call.givens].C_out;
    const std::int64_t made = outside ? -1 : v - call.givens;
    const std::int64_t size = width(call.rows[v]) * call.E * wide;
    spans[v] = {(size + line - 1) / line * line, made, made < 0 ? 0 : made};
  }
  for (std::int64_t i = 0; i < call.count; ++i)
    for (int k = 0; k < 2; ++k) {
      const std::int64_t read = k == 0 ? call.links[i].given : call.links[i].beside;
      if (read >= 0) spans[read].last = i;
    }
  Scratch<std::int64_t> places(values);
  const std::int64_t room = find_places(spans.data(), values, places.data());
  std::int64_t most = block_bytes / (room * static_cast<std::int64_t>(sizeof(T)) + 1);
  most = most < 1 ? 1 : most > call.S ? call.S : most;
  const std::int64_t blocks = (call.S + most - 1) / most;
  parallel_ranges(blocks, 1, threads, [&](std::int64_t begin, std::int64_t end) {
    Block<T> block(call, places.data(), room, most);
    for (std::int64_t b = begin; b < end; ++b)
      block.run(call.S * b / blocks, call.S * (b + 1) / blocks);
  });
}

template void delta_chain<float>(const DeltaChain<float>&, int);
template void delta_chain<double>(const DeltaChain<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
