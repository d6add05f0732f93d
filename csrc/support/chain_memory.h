#pragma once

#include <cstring>

#include "support/chain_plan.h"
#include "support/find.h"
#include "support/scratch.h"

// What a chain's layers make for some of its sites: every value in one piece of memory, which is
// used again for the next sites.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Call is a DeltaChain.
template <class T, class Call>
class ChainMemory {
 public:
  ChainMemory(const Call& call, const ChainPlan<Call>& plan, std::int64_t most)
      : call(call),
        plan(plan),
        most(most),
        arena(plan.room() * most),
        starts(pieces() * most),
        begins(values() * most),
        rows(values()) {
    for (std::int64_t v = 0; v < values(); ++v)
      for (std::int64_t s = 0; s < most; ++s) begins[v * most + s] = plan.summed(v).begin;
  }

  /// Turns to the sites [begin, end), with what comes from outside.
  void turn_to(std::int64_t begin, std::int64_t end) {
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
  }

  /// Hands a value out, to its sites' places among all.
  void take(T* kept, std::int64_t v) {
    const std::int64_t size = call.E * channels(v);
    if (size == 0) return;
    for (std::int64_t w = 0; w < width(rows[v]); ++w)
      std::memcpy(kept + (w * call.S + first) * size, value(v) + w * B * size,
                  B * size * sizeof(T));
  }

  std::int64_t first_site() const { return first; }
  std::int64_t sites() const { return B; }
  T* value(std::int64_t v) { return v < 0 ? nullptr : arena.data() + plan.place(v) * most; }
  const Rows& made(std::int64_t v) const { return rows[v]; }

  /// The rows of a value as its readers find them: a sum stands at the first of its positions.
  Rows read(std::int64_t v) const {
    if (v < 0) return {nullptr, nullptr, 0, B};
    return is_sum(plan.summed(v)) ? Rows{begins.data() + v * most, &one, 1, B} : rows[v];
  }

  std::int64_t channels(std::int64_t v) const {
    return v < call.givens ? call.channels[v] : call.links[v - call.givens].C_out;
  }

 private:
  static constexpr std::int64_t one = 1;

  const Call& call;
  const ChainPlan<Call>& plan;
  const std::int64_t most;  // sites
  Scratch<T> arena;
  Scratch<std::int64_t> starts;
  Scratch<std::int64_t> begins;  // [values, sites]
  Scratch<Rows> rows;
  std::int64_t first = 0, B = 0;

  std::int64_t values() const { return call.givens + call.count; }

  std::int64_t pieces() const {
    std::int64_t sum = 0;
    for (std::int64_t v = 0; v < values(); ++v) sum += call.rows[v].P;
    return sum;
  }

  void bring(std::int64_t v) {
    const std::int64_t size = call.E * channels(v);
    if (size == 0) return;
    for (std::int64_t w = 0; w < width(rows[v]); ++w)
      std::memcpy(value(v) + w * B * size, call.given[v] + (w * call.S + first) * size,
                  B * size * sizeof(T));
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
