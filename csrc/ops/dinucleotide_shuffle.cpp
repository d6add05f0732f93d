#include "ops/dinucleotide_shuffle.h"

#include <cstring>

#include "support/pages.h"
#include "support/parallel.h"
#include "support/random.h"
#include "support/scratch.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

constexpr std::int64_t letters_per_thread = 1 << 15;  // some 0.1 ms
constexpr std::int64_t most_letters = 128;
constexpr std::int64_t together = 4;
constexpr int at_once = 4;                // numbers of one draw,
constexpr std::int64_t narrow = 1 << 16;  // where none is above this: their product fits

/// The pairs of a stretch of letters: what follows each letter, letter after letter.
struct Pairs {
  const std::int8_t* run;  // where the stretch lies; null: none has been read
  std::int8_t* after;
  std::int64_t begin[most_letters + 1];
  std::int64_t A;

  std::int64_t count(std::int64_t v) const { return begin[v + 1] - begin[v]; }
};

void read_pairs(const std::int8_t* run, std::int64_t length, Pairs& pairs) {
  if (pairs.run == run) return;  // the shuffles before were of this stretch too
  pairs.run = run;
  std::int64_t next[most_letters] = {};
  for (std::int64_t i = 0; i + 1 < length; ++i) ++next[run[i]];
  pairs.begin[0] = 0;
  for (std::int64_t v = 0; v < pairs.A; ++v) {
    pairs.begin[v + 1] = pairs.begin[v] + next[v];
    next[v] = pairs.begin[v];
  }
  for (std::int64_t i = 0; i + 1 < length; ++i) pairs.after[next[run[i]]++] = run[i + 1];
}

/// Wilson: the edge by which each letter is left for the last time, uniform among the trees to
/// `root`. `last[v]` stays -1 where v is never left, and at the root.
void draw_tree(const Pairs& pairs, std::int64_t root, Random& random, std::int64_t* last) {
  bool joined[most_letters] = {};
  joined[root] = true;
  for (std::int64_t v = 0; v < pairs.A; ++v) last[v] = -1;
  for (std::int64_t start = 0; start < pairs.A; ++start) {
    if (joined[start] || pairs.count(start) == 0) continue;
    const auto step = [&pairs, last](std::int64_t v) {
      return pairs.after[pairs.begin[v] + last[v]];
    };
    for (std::int64_t v = start; !joined[v]; v = step(v))  // a loop is written over
      last[v] = random.below(static_cast<std::uint32_t>(pairs.count(v)));
    for (std::int64_t v = start; !joined[v]; v = step(v)) joined[v] = true;
  }
}

void exchange(std::int8_t& a, std::int8_t& b) {
  const std::int8_t held = a;
  a = b;
  b = held;
}

/// All orders of n letters are equally likely afterwards (Fisher and Yates).
void mix(std::int8_t* letters, std::int64_t n, Random& random) {
  for (; n > narrow; --n)
    exchange(letters[n - 1], letters[random.below(static_cast<std::uint32_t>(n))]);
  while (n > at_once) {
    std::uint32_t drawn[at_once];
    random.below(static_cast<std::uint32_t>(n), drawn);
#pragma GCC unroll 4
    for (int i = 0; i < at_once; ++i) exchange(letters[n - 1 - i], letters[drawn[i]]);
    n -= at_once;
  }
  for (; n > 1; --n) exchange(letters[n - 1], letters[random.below(static_cast<std::uint32_t>(n))]);
}

/// What follows each letter in the order it is taken in one shuffle, and where each letter's
/// begins.
void draw_order(const Pairs& pairs, std::int64_t root, Random random, std::int8_t* order,
                std::int64_t* next) {
  std::int64_t last[most_letters];
  draw_tree(pairs, root, random, last);
  std::memcpy(order, pairs.after, pairs.begin[pairs.A]);
  for (std::int64_t v = 0; v < pairs.A; ++v) {
    std::int8_t* const after = order + pairs.begin[v];
    std::int64_t free = pairs.count(v);
    if (last[v] >= 0) exchange(after[last[v]], after[--free]);
    mix(after, free, random);
    next[v] = pairs.begin[v];
  }
}

/// Shuffles that are walked side by side: each waits for its own last step.
struct Walks {
  std::int8_t* order;   // [together, L]
  std::int8_t* walked;  // [together, L]
  std::int64_t next[together][most_letters];
};

void walk(Walks& walks, std::int64_t L, std::int64_t begin, std::int64_t end) {
  std::int64_t at[together];
  for (std::int64_t w = 0; w < together; ++w) at[w] = walks.walked[w * L + begin];
  for (std::int64_t i = begin + 1; i < end; ++i) {
#pragma GCC unroll 4
    for (std::int64_t w = 0; w < together; ++w) {
      at[w] = walks.order[w * L + walks.next[w][at[w]]++];
      walks.walked[w * L + i] = static_cast<std::int8_t>(at[w]);
    }
  }
}

template <class T>
void one_hot(const std::int8_t* letters, std::int64_t L, std::int64_t A, T* __restrict out) {
  for (std::int64_t a = 0; a < A; ++a) {
    const auto letter = static_cast<std::int8_t>(a);  // compared as bytes
    for (std::int64_t i = 0; i < L; ++i) out[a * L + i] = letters[i] == letter ? T(1) : T(0);
  }
}

/// Shuffles k, k + 1, ... of a sequence, `together` of them, from its own stream of numbers.
void shuffle(const DinucleotideShuffle& call, const std::int8_t* letters, std::uint64_t stream,
             std::int64_t k, Pairs& pairs, Walks& walks) {
  for (std::int64_t w = 0; w < together; ++w)
    std::memcpy(walks.walked + w * call.L, letters, call.L);
  for (std::int64_t begin = 0, end; begin < call.L; begin = end + 1) {
    for (end = begin; end < call.L && letters[end] >= 0;) ++end;
    if (end - begin < 2) continue;
    read_pairs(letters + begin, end - begin, pairs);
    for (std::int64_t w = 0; w < together; ++w)
      draw_order(pairs, letters[end - 1], Random(mixed(stream + (k + w) * golden) + begin),
                 walks.order + w * call.L, walks.next[w]);
    walk(walks, call.L, begin, end);
  }
}

}  // namespace

template <class T>
void dinucleotide_shuffle(const DinucleotideShuffle& call, T* out, int threads) {
  if (call.L == 0 || call.n == 0) return;
  prefer_large_pages(out, call.N * call.n * call.A * call.L * static_cast<std::int64_t>(sizeof(T)));
  const std::int64_t groups = (call.n + together - 1) / together;  // of a sequence's shuffles
  const auto shuffle_groups = [&call, out, groups](std::int64_t begin, std::int64_t end) {
    Scratch<std::int8_t> after(call.L), order(together * call.L), walked(together * call.L);
    Pairs pairs{.run = nullptr, .after = after.data(), .begin = {}, .A = call.A};
    Walks walks{.order = order.data(), .walked = walked.data(), .next = {}};
    std::uint64_t stream = 0;
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t i = at / groups, k = at % groups * together;
      const std::int8_t* letters = call.letters + i * call.L;
      if (k == 0 || at == begin) stream = hashed(letters, call.L, call.seed);
      shuffle(call, letters, stream, k, pairs, walks);
      for (std::int64_t w = 0; w < together && k + w < call.n; ++w)
        one_hot(walks.walked + w * call.L, call.L, call.A,
                out + (i * call.n + k + w) * call.A * call.L);
    }
  };
  parallel_ranges(call.N * groups, letters_per_thread / call.L + 1, threads, shuffle_groups);
}

template void dinucleotide_shuffle<std::int8_t>(const DinucleotideShuffle&, std::int8_t*, int);
template void dinucleotide_shuffle<float>(const DinucleotideShuffle&, float*, int);
template void dinucleotide_shuffle<double>(const DinucleotideShuffle&, double*, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
