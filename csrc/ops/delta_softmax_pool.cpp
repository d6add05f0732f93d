#include "ops/delta_softmax_pool.h"

#include "support/blocks.h"
#include "support/find.h"
#include "support/functions.h"
#include "support/parallel.h"
#include "support/scratch.h"
#include "support/softmax_cell.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

constexpr std::int64_t elements_per_thread = 1 << 13;
constexpr float most_grown = 16;

template <class T>
const T* row_of(const T* values, const Rows& rows, std::int64_t position, std::int64_t s,
                std::int64_t size) {
  const std::int64_t row = values ? find(rows, position, s) : -1;
  return row < 0 ? nullptr : values + (row * rows.S + s) * size;
}

/// One output position of one site.
template <class T>
class Cell {
 public:
  explicit Cell(const DeltaSoftmaxPool<T>& call)
      : call_(call), members_(call.K), held_(4 * call.K * lanes<T>) {}

  void pool(std::int64_t o, std::int64_t s, T* out) {
    const std::int64_t size = call_.E * call_.C;
    count_ = 0;
    for (std::int64_t t = 0; t < call_.K; ++t) {
      const std::int64_t p = o * call_.stride + t;
      if (p >= call_.length_in) break;
      members_[count_++] = {at(call_.original, p, s), at(call_.original_logits, p, s),
                            row_of(call_.given, call_.in, p, s, size),
                            row_of(call_.logits, call_.beside, p, s, size)};
    }
    if (count_ > 0) return channels(out);
    for (std::int64_t i = 0; i < size; ++i) out[i] = 0;
  }

 private:
  const DeltaSoftmaxPool<T>& call_;
  Scratch<Member<T>> members_;
  Scratch<T> held_;  // [K, 4, lanes]  weights, x less its mean, exp and expm1 of the logits' change
  Vector<T> heaviest_;
  std::int64_t count_ = 0;

  T* part(std::int64_t t, std::int64_t i) { return held_.data() + (t * 4 + i) * lanes<T>; }
  T* weight(std::int64_t t) { return part(t, 0); }
  T* apart(std::int64_t t) { return part(t, 1); }
  T* grown(std::int64_t t) { return part(t, 2); }
  T* risen(std::int64_t t) { return part(t, 3); }

  void channels(double* out) {
    for (std::int64_t c = 0; c < call_.C; ++c) {
      const Channel<double> channel(members_.data(), count_, c);
      for (std::int64_t e = 0; e < call_.E; ++e) out[e * call_.C + c] = channel.change(e * call_.C);
    }
  }

  void channels(float* out) {
    for_blocks<float>(call_.C, [&](std::int64_t c, std::int64_t n) {
      weigh(c, n);
      for (std::int64_t e = 0; e < call_.E; ++e) {
        const std::int64_t to = e * call_.C;
        float* made = out + to + c;
        if (grow(to + c, n))
          put(made, change(to + c, n), n);
        else
          for (std::int64_t i = 0; i < n; ++i)
            made[i] = Channel<float>(members_.data(), count_, c + i).change(to);
      }
    });
  }

  /// The weights before the edit, and x less its mean.
  void weigh(std::int64_t c, std::int64_t n) {
    Vector<float> most = take(members_[0].l + c, n), sum{}, mean{};
    for (std::int64_t t = 1; t < count_; ++t) most = larger(most, take(members_[t].l + c, n));
    for (std::int64_t t = 0; t < count_; ++t) {
      const Vector<float> power = exp(take(members_[t].l + c, n) - most);
      store(weight(t), power);
      sum += power;
    }
    for (std::int64_t t = 0; t < count_; ++t) {
      const Vector<float> share = load(weight(t)) / sum;
      store(weight(t), share);
      mean += share * take(members_[t].x + c, n);
    }
    heaviest_ = 1.0f / sum;
    for (std::int64_t t = 0; t < count_; ++t) store(apart(t), take(members_[t].x + c, n) - mean);
  }

  /// How the weights grow before they are normalised. A softmax sees no shift of all logits: theirs
  /// are taken less the heaviest member's, whose weight then stays, so that the new sum has no less
  /// than it. False where another grows by more than its weight may have lost on the way to zero.
  bool grow(std::int64_t from, std::int64_t n) {
    Vector<float> shift{}, widest{};
    for (std::int64_t t = 0; t < count_; ++t)
      shift = load(weight(t)) >= heaviest_ ? change_of_logit(t, from, n) : shift;
    for (std::int64_t t = 0; t < count_; ++t) {
      const Vector<float> d = change_of_logit(t, from, n) - shift;
      store<float>(grown(t), exp(d));
      store<float>(risen(t), expm1(d));
      widest = larger(widest, d);
    }
    bool near = true;
    for (int i = 0; i < lanes<float>; ++i) near &= !(widest[i] > most_grown);
    return near;
  }

  Vector<float> change_of_logit(std::int64_t t, std::int64_t from, std::int64_t n) const {
    return members_[t].dl ? take(members_[t].dl + from, n) : Vector<float>{};
  }

  Vector<float> change(std::int64_t from, std::int64_t n) {
    Vector<float> sum{}, mean{}, made{};
    for (std::int64_t t = 0; t < count_; ++t) {
      sum += load(weight(t)) * load(grown(t));
      mean += load(weight(t)) * load(risen(t));
    }
    for (std::int64_t t = 0; t < count_; ++t) {
      Vector<float> each = (load(risen(t)) - mean) * load(apart(t));
      if (members_[t].dx) each += load(grown(t)) * take(members_[t].dx + from, n);
      made += load(weight(t)) * each;
    }
    return made / sum;
  }
};

}  // namespace

template <class T>
void delta_softmax_pool(const DeltaSoftmaxPool<T>& call, int threads) {
  const std::int64_t S = call.out.S, row = call.E * call.C;
  if (row == 0) return;
  const auto pool_rows = [&call, S, row](std::int64_t begin, std::int64_t end) {
    Cell<T> cell(call);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t s = i % S, o = position(call.out, i / S, s);
      T* out = call.delta + i * row;
      if (o >= 0 && o < call.length)
        cell.pool(o, s, out);
      else
        for (std::int64_t c = 0; c < row; ++c) out[c] = 0;
    }
  };
  parallel_ranges(width(call.out) * S, elements_per_thread / row + 1, threads, pool_rows);
}

template void delta_softmax_pool<float>(const DeltaSoftmaxPool<float>&, int);
template void delta_softmax_pool<double>(const DeltaSoftmaxPool<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
