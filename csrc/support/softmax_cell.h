#pragma once

#include <cstdint>

// The weighted mean of one cell and one channel, number by number in double: for changes of any
// size.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Where the members of a cell lie: x, their logits and the changes of both, null where there is
/// none.
template <class T>
struct Member {
  const T *x, *l, *dx, *dl;
};

/// One channel of a cell before the edit. The edit's channel lies `at` further in dx and dl.
template <class T>
class Channel {
 public:
  Channel(const Member<T>* members, std::int64_t count, std::int64_t c)
      : members_(members), count_(count), c_(c) {
    for (std::int64_t t = 0; t < count; ++t) most_ = t == 0 || l(t) > most_ ? l(t) : most_;
    for (std::int64_t t = 0; t < count; ++t) sum_ += __builtin_exp(l(t) - most_);
    for (std::int64_t t = 0; t < count; ++t) mean_ += weight(t) * members_[t].x[c];
  }

  T change(std::int64_t at) const {
    double most = 0, sum = 0, rise = 0;
    for (std::int64_t t = 0; t < count_; ++t) {
      const double edited = l(t) + dl(t, at);
      most = t == 0 || edited > most ? edited : most;
    }
    for (std::int64_t t = 0; t < count_; ++t) {
      sum += __builtin_exp(l(t) + dl(t, at) - most);
      rise += risen(t, dl(t, at));
    }
    const bool near = rise > -0.5 && rise < 0.5;
    const double D = near ? __builtin_log1p(rise) : most - most_ + __builtin_log(sum / sum_);
    double made = 0;
    for (std::int64_t t = 0; t < count_; ++t) {
      const double now = __builtin_exp(l(t) + dl(t, at) - most) / sum, w = dl(t, at) - D;
      const double moved = w > 0 ? -now * __builtin_expm1(-w) : weight(t) * __builtin_expm1(w);
      const double dx = members_[t].dx ? members_[t].dx[at + c_] : 0;
      made += now * dx + moved * (members_[t].x[c_] - mean_);
    }
    return static_cast<T>(made);
  }

 private:
  const Member<T>* members_;
  const std::int64_t count_, c_;
  double most_ = 0, sum_ = 0, mean_ = 0;

  double l(std::int64_t t) const { return members_[t].l[c_]; }
  double dl(std::int64_t t, std::int64_t at) const {
    return members_[t].dl ? members_[t].dl[at + c_] : 0;
  }
  double weight(std::int64_t t) const { return __builtin_exp(l(t) - most_) / sum_; }

  /// The member's share of what the normaliser grows by; a large change joins its exponent, so that
  /// a weight too small for a number is not lost.
  double risen(std::int64_t t, double d) const {
    if (d <= 1) return weight(t) * __builtin_expm1(d);
    return __builtin_exp(l(t) - most_ - __builtin_log(sum_) + d) - weight(t);
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
