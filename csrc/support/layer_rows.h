#pragma once

#include "support/blocks.h"
#include "support/layer_tile.h"
#include "support/nonzero.h"
#include "support/parallel.h"
#include "support/scratch.h"

// The rows that a whole layer is given, as they are multiplied: behind the gate or the slope, with
// lists of the channels that are not zero in all samples of a batch.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// to[:] = from where open, else 0; or from * slope.
template <class T>
inline void through(const T* from, const std::uint8_t* open, const T* slope, T* to,
                    std::int64_t count) {
  std::int64_t c = 0;
  for (; c + lanes<T> <= count; c += lanes<T>) {
    const Vector<T> given = load(from + c);
    if (slope) {
      store(to + c, given * load(slope + c));
      continue;
    }
    const Bytes<T> bytes = *reinterpret_cast<const Bytes<T>*>(open + c);
    const auto gate = __builtin_convertvector(bytes, decltype(given == given)) != 0;
    store<T>(to + c, gate ? given : Vector<T>{});
  }
  for (; c < count; ++c) to[c] = slope ? from[c] * slope[c] : open[c] ? from[c] : 0;
}

/// The share of channels that are zero in all of the first `abreast` samples, in some of the rows.
template <class Call>
inline double zeros(const Call& call, std::int64_t abreast) {
  constexpr std::int64_t looked_at = 32;
  std::int64_t zero = 0, all = 0;
  for (std::int64_t i = 0; i < looked_at && i < call.V; ++i)
    for (std::int64_t c = 0; c < call.C_in; ++c, ++all) {
      bool any = false;
      for (std::int64_t n = 0; n < abreast; ++n) {
        const std::int64_t at =
            (n * call.V + (call.V < looked_at ? i : call.V * i / looked_at)) * call.C_in + c;
        any |= call.given[at] != 0 && (!call.gated || call.gated[at]) &&
               (!call.slope || call.slope[at] != 0);
      }
      zero += !any;
    }
  return all ? static_cast<double>(zero) / static_cast<double>(all) : 0;
}

template <class T>
class LayerRows {
 public:
  /// Of calls of `abreast` samples at most; `whole`: all channels are multiplied, zero or not.
  template <class Call>
  LayerRows(const Call& call, std::int64_t abreast, std::int64_t chunks, std::int64_t chunk,
            bool whole)
      : input(call.given),
        gated(call.gated),
        slope(call.slope),
        V(call.V),
        C(call.C_in),
        G(call.G),
        wide(C / G),
        chunks(chunks),
        chunk(chunk),
        whole(whole),
        behind(gated || slope ? abreast * V * C : 0),
        lists(whole ? 0 : V * G * room()),
        ends(whole ? 0 : V * G * (chunks + 1)),
        every(whole ? wide * call.K : 0) {
    for (std::int64_t i = 0; whole && i < wide * call.K; ++i)
      every[i] = static_cast<std::uint32_t>(i);
  }

  /// Goes on to `many` samples from n on, of which no row is ready yet.
  void begin(std::int64_t n, std::int64_t many) {
    this->n = n, this->many = many, done = 0;
    given = input + n * V * C;
    row = C, sample = V * C;
    if (gated || slope) {
      given = behind.data();
      row = many * C, sample = C;
    }
  }

  /// Makes the rows before `end` ready. They are read soon after, so block by block they stay near.
  void ready(std::int64_t end, int threads) {
    if (end <= done) return;
    const std::int64_t first = done;
    done = end;
    if (whole && !gated && !slope) return;
    parallel_ranges(end - first, grain / (many * C) + 1, threads,
                    [this, first](std::int64_t begin, std::int64_t end) {
                      if (gated || slope) pass(first + begin, first + end);
                      if (!whole) list_channels(first + begin, first + end);
                    });
  }

  struct List {
    const std::uint32_t* channels;
    std::int64_t count;
  };

  /// What of chunk k of a row's channels is multiplied.
  List list(std::int64_t row, std::int64_t g, std::int64_t k) const {
    if (whole) {
      const std::int64_t first = k * chunk, last = first + chunk;
      return {every.data() + first, (last < wide ? last : wide) - first};
    }
    const std::int32_t* at = &ends[(row * G + g) * (chunks + 1) + k];
    return {&lists[(row * G + g) * room() + at[0]], at[1] - at[0]};
  }

  const T* given = nullptr;          // [many, V, C_in], or [V, many, C_in] where it was gated
  std::int64_t row = 0, sample = 0;  // from one row to the next, from one sample to the next

 private:
  static constexpr std::int64_t grain = 1 << 14;  // numbers that are worth a thread
  static constexpr std::int64_t slack = 16;

  std::int64_t room() const { return wide + slack; }

  const T* input;
  const std::uint8_t* gated;
  const T* slope;
  const std::int64_t V, C, G, wide, chunks, chunk;
  const bool whole;
  std::int64_t n = 0, many = 0, done = 0;
  Scratch<T> behind;             // [V, abreast, C_in] what comes through
  Scratch<std::uint32_t> lists;  // [V, G, wide + slack] channels that are not zero
  Scratch<std::int32_t> ends;    // [V, G, chunks + 1] where each chunk of them ends
  Scratch<std::uint32_t> every;  // 0, 1, 2, ...

  void pass(std::int64_t begin, std::int64_t end) {
    for (std::int64_t v = begin; v < end; ++v)
      for (std::int64_t r = 0; r < many; ++r) {
        const std::int64_t from = ((n + r) * V + v) * C;
        through(input + from, gated ? gated + from : nullptr, slope ? slope + from : nullptr,
                behind.data() + (v * many + r) * C, C);
      }
  }

  void list_channels(std::int64_t begin, std::int64_t end) {
    std::int64_t rows_at[tile_rows];
    for (std::int64_t r = 0; r < many; ++r) rows_at[r] = r * sample;
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t g = 0; g < G; ++g) {
        std::uint32_t* list = lists.data() + (i * G + g) * room();
        std::int32_t* at = ends.data() + (i * G + g) * (chunks + 1);
        at[0] = 0;
        for (std::int64_t k = 0; k < chunks; ++k) {
          const std::int64_t last = (k + 1) * chunk < wide ? (k + 1) * chunk : wide;
          at[k + 1] =
              at[k] + static_cast<std::int32_t>(list_nonzero(given + i * row + g * wide, rows_at,
                                                             many, k * chunk, last, list + at[k]));
        }
      }
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
