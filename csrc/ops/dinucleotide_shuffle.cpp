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
constexpr std::int64_t few_letters = 4;            // what is known of each stays in registers
constexpr std::int64_t abreast = 4;                // walks: each waits for its own last step
constexpr std::int64_t together = Streams::count;  // shuffles drawn side by side
static_assert(together % abreast == 0);

using Row = Streams::Row;  // a number of each shuffle

/// The pairs of a stretch of letters, counted.
struct Pairs {
  const std::int8_t* run;  // where the stretch lies; null: none has been read
  std::uint32_t* until;    // [A, A]  how often letter v is followed by a letter up to a
  std::int64_t A;

  const std::uint32_t* after(std::int64_t v) const { return until + v * A; }
  std::uint32_t count(std::int64_t v) const { return after(v)[A - 1]; }
};

void read_pairs(const std::int8_t* run, std::int64_t length, Pairs& pairs) {
  if (pairs.run == run) return;  // the shuffles before were of this stretch too
  pairs.run = run;
  const std::int64_t A = pairs.A;
  std::memset(pairs.until, 0, A * A * sizeof(*pairs.until));
  for (std::int64_t i = 0; i + 1 < length; ++i) ++pairs.until[run[i] * A + run[i + 1]];
  for (std::int64_t v = 0; v < A; ++v)
    for (std::int64_t a = 1; a < A; ++a) pairs.until[v * A + a] += pairs.until[v * A + a - 1];
}

/// Wilson: the pair by which each letter is left for the last time, uniform among the trees to
/// `root`, as the letter that it leads to; -1 where v is never left, and at the root.
void draw_tree(const Pairs& pairs, std::int64_t root, int lane, Streams& streams,
               std::int64_t* last) {
  bool joined[most_letters] = {};
  joined[root] = true;
  for (std::int64_t v = 0; v < pairs.A; ++v) last[v] = -1;
  for (std::int64_t start = 0; start < pairs.A; ++start) {
    if (joined[start] || pairs.count(start) == 0) continue;
    for (std::int64_t v = start; !joined[v]; v = last[v]) {  // a loop is written over
      const std::uint32_t drawn = streams.below(lane, pairs.count(v));
      for (last[v] = 0; drawn >= pairs.after(v)[last[v]];) ++last[v];
    }
    for (std::int64_t v = start; !joined[v]; v = last[v]) joined[v] = true;
  }
}

/// `left` letters of each shuffle in random order, as drawn from an urn that holds `until[a]` of
/// those up to letter a. Stands alone, so that the streams stay in registers.
template <std::int64_t most>
__attribute__((noinline)) void draw_letters(const Row* until, std::int64_t A, std::uint32_t left,
                                            Streams& streams, std::int8_t* order,
                                            std::int64_t stride) {
  constexpr std::uint32_t in_a_word = 4;
  Streams held = streams;
  Row urn[most - 1];
  const std::int64_t bounds = most == few_letters ? most - 1 : A - 1;
  for (std::int64_t a = 0; a < bounds; ++a) urn[a] = until[a];
  const auto draw = [&held, &urn, bounds](std::uint32_t left) {
    const Row drawn = held.below(left);
    Row letter = {};
    for (std::int64_t a = 0; a < bounds; ++a) {
      const auto above = reinterpret_cast<Row>(drawn < urn[a]);  // all bits: -1
      urn[a] += above;
      letter += above + 1;
    }
    return letter;
  };
  for (; left >= in_a_word; left -= in_a_word, order += in_a_word) {
    Row word = {};
#pragma GCC unroll 4
    for (std::uint32_t i = 0; i < in_a_word; ++i) word |= draw(left - i) << 8 * i;
    for (std::int64_t w = 0; w < together; ++w) {
      const std::uint32_t letters = word[w];
      std::memcpy(order + w * stride, &letters, in_a_word);
    }
  }
  for (; left > 0; --left, ++order) {
    const Row letter = draw(left);
    for (std::int64_t w = 0; w < together; ++w)
      order[w * stride] = static_cast<std::int8_t>(letter[w]);
  }
  streams = held;
}

/// Shuffles that are made side by side.
struct Shuffles {
  Streams streams;
  std::int8_t* order;   // [together, L]  what follows each letter as it is taken, letter by letter
  std::int8_t* walked;  // [together, L]
  std::int64_t next[together][most_letters];
};

void draw_order(const Pairs& pairs, std::int64_t root, std::int64_t L, Shuffles& shuffles) {
  std::int64_t last[together][most_letters];
  for (int w = 0; w < together; ++w) draw_tree(pairs, root, w, shuffles.streams, last[w]);
  Row until[most_letters];
  std::int64_t begin = 0;
  for (std::int64_t v = 0; v < pairs.A; ++v) {
    const std::uint32_t count = pairs.count(v);
    const bool left_last = count > 0 && v != root;  // by a pair that is no longer free
    for (std::int64_t a = 0; a < pairs.A || a < few_letters; ++a)
      for (std::int64_t w = 0; w < together; ++w)
        until[a][w] =
            pairs.after(v)[a < pairs.A ? a : pairs.A - 1] - (left_last && last[w][v] <= a);
    (pairs.A <= few_letters ? draw_letters<few_letters>
                            : draw_letters<most_letters>)(until, pairs.A, count - left_last,
                                                          shuffles.streams, shuffles.order + begin,
                                                          L);
    for (std::int64_t w = 0; w < together; ++w) {
      shuffles.next[w][v] = begin;
      if (left_last)
        shuffles.order[w * L + begin + count - 1] = static_cast<std::int8_t>(last[w][v]);
    }
    begin += count;
  }
}

/// Which step comes next from each letter, in memory.
struct Places {
  std::int64_t* next = nullptr;

  Places() = default;
  explicit Places(std::int64_t* next) : next(next) {}
  std::int64_t take(std::int64_t letter) { return next[letter]++; }
};

/// The same in one register, of few letters and steps: what is stored in memory is waited for by
/// the step that reads it again.
struct PackedPlaces {
  static constexpr int bits = 64 / few_letters;
  std::uint64_t next = 0;

  PackedPlaces() = default;
  explicit PackedPlaces(const std::int64_t* places) {
    for (int a = 0; a < few_letters; ++a) next |= static_cast<std::uint64_t>(places[a]) << bits * a;
  }
  std::int64_t take(std::int64_t letter) {
    const std::uint64_t place = next >> bits * letter & ((std::uint64_t{1} << bits) - 1);
    next += std::uint64_t{1} << bits * letter;
    return static_cast<std::int64_t>(place);
  }
};

template <class Steps>
void walk(Shuffles& shuffles, std::int64_t first, std::int64_t L, std::int64_t begin,
          std::int64_t end) {
  const std::int8_t* const order = shuffles.order + first * L;
  std::int8_t* const walked = shuffles.walked + first * L;
  Steps steps[abreast];
  std::int64_t at[abreast];
  for (std::int64_t w = 0; w < abreast; ++w) {
    steps[w] = Steps(shuffles.next[first + w]);
    at[w] = walked[w * L + begin];
  }
  for (std::int64_t i = begin + 1; i < end; ++i) {
#pragma GCC unroll 4
    for (std::int64_t w = 0; w < abreast; ++w) {
      at[w] = order[w * L + steps[w].take(at[w])];
      walked[w * L + i] = static_cast<std::int8_t>(at[w]);
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

/// Shuffles k, k + 1, ... of a sequence, `wanted` or more of them, each from its own stream.
void shuffle(const DinucleotideShuffle& call, const std::int8_t* letters, std::uint64_t stream,
             std::int64_t k, std::int64_t wanted, Pairs& pairs, Shuffles& shuffles) {
  for (std::int64_t w = 0; w < together; ++w)
    std::memcpy(shuffles.walked + w * call.L, letters, call.L);
  for (std::int64_t begin = 0, end; begin < call.L; begin = end + 1) {
    for (end = begin; end < call.L && letters[end] >= 0;) ++end;
    if (end - begin < 2) continue;
    read_pairs(letters + begin, end - begin, pairs);
    for (int w = 0; w < together; ++w)
      shuffles.streams.start(w, mixed(stream + (k + w) * golden) + begin);
    draw_order(pairs, letters[end - 1], call.L, shuffles);
    const bool few = call.A <= few_letters && call.L < std::int64_t{1} << PackedPlaces::bits;
    for (std::int64_t w = 0; w < wanted; w += abreast)
      (few ? walk<PackedPlaces> : walk<Places>)(shuffles, w, call.L, begin, end);
  }
}

}  // namespace

template <class T>
void dinucleotide_shuffle(const DinucleotideShuffle& call, T* out, int threads) {
  if (call.L == 0 || call.n == 0) return;
  prefer_large_pages(out, call.N * call.n * call.A * call.L * static_cast<std::int64_t>(sizeof(T)));
  const std::int64_t groups = (call.n + together - 1) / together;  // of a sequence's shuffles
  const auto shuffle_groups = [&call, out, groups](std::int64_t begin, std::int64_t end) {
    Scratch<std::uint32_t> until(call.A * call.A);
    Scratch<std::int8_t> order(together * call.L), walked(together * call.L);
    Pairs pairs{.run = nullptr, .until = until.data(), .A = call.A};
    Shuffles shuffles{.streams = {}, .order = order.data(), .walked = walked.data(), .next = {}};
    std::uint64_t stream = 0;
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t i = at / groups, k = at % groups * together;
      const std::int8_t* letters = call.letters + i * call.L;
      if (k == 0 || at == begin) stream = hashed(letters, call.L, call.seed);
      const std::int64_t wanted = call.n - k < together ? call.n - k : together;
      shuffle(call, letters, stream, k, wanted, pairs, shuffles);
      for (std::int64_t w = 0; w < wanted; ++w)
        one_hot(shuffles.walked + w * call.L, call.L, call.A,
                out + (i * call.n + k + w) * call.A * call.L);
    }
  };
  parallel_ranges(call.N * groups, letters_per_thread / call.L + 1, threads, shuffle_groups);
}

template void dinucleotide_shuffle<std::int8_t>(const DinucleotideShuffle&, std::int8_t*, int);
template void dinucleotide_shuffle<float>(const DinucleotideShuffle&, float*, int);
template void dinucleotide_shuffle<double>(const DinucleotideShuffle&, double*, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
