#pragma once

#include "support/find.h"
#include "support/places.h"
#include "support/scratch.h"

// Where a chain's values lie in its memory, and which of them need not be stored row by row.

namespace nucleoscope::NUCLEOSCOPE_ISA {

inline bool is_sum(const Interval& summed) { return summed.begin < summed.end; }

/// Call is a DeltaChain.
template <class Call>
class ChainPlan {
 public:
  explicit ChainPlan(const Call& call)
      : values_(call.givens + call.count), summed_(values_), places_(values_) {
    find_summed(call);
    Scratch<Span> spans(values_);
    for (std::int64_t v = 0; v < values_; ++v) {
      const bool outside = v < call.givens;
      const std::int64_t wide = outside ? call.channels[v] : call.links[v - call.givens].C_out;
      const std::int64_t made = outside ? -1 : v - call.givens;
      const std::int64_t size = (is_sum(summed_[v]) ? 1 : width(call.rows[v])) * call.E * wide;
      spans[v] = {(size + line - 1) / line * line, made, made < 0 ? 0 : made};
    }
    each_read(call, [&](std::int64_t link, std::int64_t v) { spans[v].last = link; });
    room_ = find_places(spans.data(), values_, places_.data());
  }

  /// The positions of a value's rows of which only the sum is stored; empty: every row is.
  const Interval& summed(std::int64_t v) const { return summed_[v]; }

  /// Where a value begins, and what all take together, in numbers a site.
  std::int64_t place(std::int64_t v) const { return places_[v]; }
  std::int64_t room() const { return room_; }

 private:
  static constexpr std::int64_t line = 16;  // numbers: values begin where a cache line does

  const std::int64_t values_;
  Scratch<Interval> summed_;
  Scratch<std::int64_t> places_;
  std::int64_t room_ = 0;

  template <class Body>
  static void each_read(const Call& call, const Body& body) {
    for (std::int64_t i = 0; i < call.count; ++i) {
      if (call.links[i].given >= 0) body(i, call.links[i].given);
      if (call.links[i].beside >= 0) body(i, call.links[i].beside);
    }
  }

  /// Finds the convolutions that nothing reads but one sum over the length: only that is stored.
  void find_summed(const Call& call) {
    Scratch<std::int64_t> readers(values_);
    for (std::int64_t v = 0; v < values_; ++v) {
      summed_[v] = {0, 0};
      readers[v] = v >= call.givens && call.kept[v - call.givens] ? 1 : 0;
    }
    each_read(call, [&](std::int64_t, std::int64_t v) { ++readers[v]; });
    for (std::int64_t i = 0; i < call.count; ++i) {
      const auto& sum = call.links[i];
      using Op = decltype(sum.op);
      const bool to_one = sum.length == 1 && width(call.rows[call.givens + i]) == 1;
      if (sum.op != Op::delta_sum || !to_one) continue;
      if (sum.given < call.givens || readers[sum.given] != 1) continue;
      const auto& made = call.links[sum.given - call.givens];
      const std::int64_t begin = -sum.pad, end = sum.K - sum.pad;
      if (made.op == Op::delta_conv && made.C_in != made.G)
        summed_[sum.given] = {begin < 0 ? 0 : begin, end > made.length ? made.length : end};
    }
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
