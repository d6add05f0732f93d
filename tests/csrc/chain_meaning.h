#pragma once

#include <vector>

#include "meaning.h"
#include "ops/delta_chain.h"

// What a chain comes to: the meaning of each op, one after the other, on whole values.

namespace nucleoscope::checks {

template <class T>
std::vector<T> as(const Values& values) {
  std::vector<T> made(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) made[i] = static_cast<T>(values[i]);
  return made;
}

/// The tap through which each row sees its site's edited position.
template <class T>
std::vector<std::int32_t> taps_of(const DeltaChain<T>& call, const Link<T>& link, const Rows& on) {
  std::vector<std::int32_t> taps(static_cast<std::size_t>(wide(on) * call.S), -1);
  for (std::int64_t s = 0; s < call.S; ++s) {
    const std::vector<std::int64_t> positions = positions_of(on, s);
    for (std::size_t w = 0; w < positions.size(); ++w)
      for (std::int64_t t = 0; t < link.K; ++t) {
        const std::int64_t o = positions[w];
        if (o >= 0 && o < link.length &&
            o * link.stride - link.pad + t * link.dilation == call.site[s])
          taps[w * call.S + s] = static_cast<std::int32_t>(t);
      }
  }
  return taps;
}

/// Every value of a chain, each op on its own and all sites at once.
template <class T>
std::vector<Values> meaning(const DeltaChain<T>& call) {
  std::vector<Values> made;
  std::vector<std::vector<T>> values;
  for (std::int64_t v = 0; v < call.givens; ++v) {
    const std::int64_t size = wide(call.rows[v]) * call.S * call.E * call.channels[v];
    made.emplace_back(call.given[v], call.given[v] + size);
    values.push_back(as<T>(made.back()));
  }
  for (std::int64_t i = 0; i < call.count; ++i) {
    const Link<T>& link = call.links[i];
    const Rows on = call.rows[call.givens + i];
    const auto value = [&](std::int64_t v) { return v < 0 ? nullptr : values[v].data(); };
    const auto rows = [&](std::int64_t v) { return v < 0 ? Rows{} : call.rows[v]; };
    const Original<T> z{link.original, call.sequence, link.original_first, link.original_length,
                        link.C_out};
    const auto change = [&](const T* given) {
      return meaning(DeltaPointwise<T>{
          given, on, z, nullptr, call.E, link.C_out, link.length, link.function, {}});
    };
    switch (link.op) {
      case Op::edit_lookup: {
        const std::vector<std::int32_t> taps = taps_of(call, link, on);
        made.push_back(meaning(EditLookup<T>{static_cast<const T*>(link.weight), taps.data(),
                                             call.old, call.fresh, nullptr, link.C_in, link.C_out,
                                             wide(on), call.S, call.E}));
        if (link.original) made.back() = change(as<T>(made.back()).data());
        break;
      }
      case Op::delta_conv:
        made.push_back(meaning(DeltaConv<T>{value(link.given),
                                            rows(link.given),
                                            on,
                                            link.weight,
                                            link.bf16 != 0,
                                            z,
                                            value(link.beside),
                                            rows(link.beside),
                                            link.residual_first != 0,
                                            {},
                                            nullptr,
                                            call.E,
                                            link.C_in,
                                            link.C_out,
                                            link.G,
                                            link.K,
                                            link.stride,
                                            link.dilation,
                                            link.pad,
                                            link.length}));
        break;
      case Op::delta_max_pool:
        made.push_back(meaning(DeltaMaxPool<T>{
            value(link.given),
            rows(link.given),
            on,
            z,
            {link.pooled, call.sequence, link.pooled_first, link.pooled_length, link.C_out},
            nullptr,
            call.E,
            link.C_out,
            link.K,
            link.stride,
            link.dilation,
            link.pad,
            link.length_in,
            link.length,
            link.relu != 0}));
        break;
      case Op::delta_pointwise:
        made.push_back(change(value(link.given)));
        break;
      case Op::delta_product:
        made.push_back(meaning(DeltaProduct<T>{
            {{value(link.given), rows(link.given), z},
             {value(link.beside),
              rows(link.beside),
              {link.pooled, call.sequence, link.pooled_first, link.pooled_length, link.C_out}}},
            on,
            nullptr,
            call.E,
            link.C_out,
            link.length}));
        break;
      case Op::delta_concat: {
        const auto channels = [&](std::int64_t v) {
          return v < 0 ? 0 : v < call.givens ? call.channels[v] : call.links[v - call.givens].C_out;
        };
        const std::int64_t last = channels(link.beside);
        made.push_back(meaning(
            DeltaConcat<T>{{{value(link.given), rows(link.given), channels(link.given), 0},
                            {value(link.beside), rows(link.beside), last, link.C_out - last}},
                           on,
                           nullptr,
                           call.E,
                           link.C_out,
                           link.length}));
        break;
      }
      case Op::delta_layer_norm:
      case Op::delta_softmax_pool:
        break;  // held to a tolerance, not to the bit: their tests in Python draw them
      case Op::delta_sum:
        made.push_back(
            meaning(DeltaSum<T>{{{value(link.given), rows(link.given), link.factors[0]},
                                 {value(link.beside), rows(link.beside), link.factors[1]}},
                                static_cast<const T*>(link.weight),
                                on,
                                nullptr,
                                call.E,
                                link.C_out,
                                link.K,
                                link.stride,
                                link.pad,
                                link.length}));
    }
    values.push_back(as<T>(made.back()));
  }
  return made;
}

}  // namespace nucleoscope::checks
