#pragma once

#include <limits>

#include "support/conv_pairs.h"

// Which groups of a delta convolution share a register tile: those that meet the same taps, of
// input rows that lie to one another as theirs do.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// What of a group lies beside it in a tile. The pattern of zeros is the original's at a position,
/// so that what is at the same one shares a list of channels best.
enum class Neighbour { same_position, next_site, next_position };

/// Groups in one tile: `first`, and as many as `next` leads to from there.
struct Abreast {
  std::int64_t first, before;  // `before`: groups in earlier tiles
  int many;
};

/// The tiles of a delta convolution of up to `most` groups each.
template <class Call>
class Together {
 public:
  Together(const Call& call, const LivePairs<Call>& live, int most)
      : tiles(live.groups),
        next(live.groups),
        next_in(width(call.in) * call.in.S),
        call(call),
        live(live),
        most(most),
        many(live.groups) {
    if (choose())
      list_by_position();
    else
      for (std::int64_t i = 0; i < live.groups; ++i) list(i);
  }

  Scratch<Abreast> tiles;  // [count], of which a site's come in the order of its rows
  std::int64_t count = 0;
  Scratch<std::int64_t> next;     // [groups] the one beside a group, -1: none
  Scratch<std::int64_t> next_in;  // [V * S] the one beside a row of the input, -1: none

 private:
  const Call& call;
  const LivePairs<Call>& live;
  const int most;
  Scratch<int> many;        // [groups] in a tile from there on; 0: in another's
  std::int64_t listed = 0;  // groups

  /// Whether what is at one position shares a tile. Of several alternatives nothing else does:
  /// their list of channels is short, and where patterns of zeros differ it would be as long as
  /// both.
  bool choose() {
    constexpr Neighbour all[] = {Neighbour::same_position, Neighbour::next_site,
                                 Neighbour::next_position};
    std::int64_t least = live.groups;
    const Neighbour *best = nullptr, *last = nullptr;
    for (const Neighbour& each : all) {
      if (most == 1 || (call.E > 1 && &each != &all[0])) break;
      if (&each == &all[0] && !ascending(call.out)) continue;
      const std::int64_t alone = join(each);
      last = &each;
      if (alone < least) least = alone, best = &each;
      if (4 * alone < live.groups) break;
    }
    if (best == nullptr)
      leave();
    else if (best != last)
      join(*best);
    return best == &all[0];
  }

  /// Whether each site's pieces lie one behind the other.
  static bool ascending(const Rows& rows) {
    for (std::int64_t j = 0; j + 1 < rows.P; ++j)
      for (std::int64_t s = 0; s < rows.S; ++s)
        if (rows.starts[j * rows.S + s] + rows.widths[j] > rows.starts[(j + 1) * rows.S + s])
          return false;
    return true;
  }

  void list(std::int64_t group) {
    if (many[group] == 0) return;
    tiles[count++] = {group, listed, many[group]};
    listed += many[group];
  }

  /// Sites that are taken together, position by position: a row that is alone may be finished no
  /// earlier than one before it that waits for another site's, or a sum would depend on the others.
  void list_by_position() {
    const std::int64_t W = width(call.out), S = call.out.S;
    Scratch<std::int64_t> row(most);
    for (std::int64_t first = 0; first < S; first += most) {
      const std::int64_t sites = S - first < most ? S - first : most;
      for (std::int64_t k = 0; k < sites; ++k) row[k] = 0;
      for (std::int64_t left = W * sites; left > 0;) {
        std::int64_t here = std::numeric_limits<std::int64_t>::max();
        for (std::int64_t k = 0; k < sites; ++k) {
          if (row[k] == W) continue;
          const std::int64_t its = position(call.out, row[k], first + k);
          here = its < here ? its : here;
        }
        for (std::int64_t k = 0; k < sites; ++k) {
          if (row[k] == W || position(call.out, row[k], first + k) != here) continue;
          list(row[k]++ * S + first + k);
          --left;
        }
      }
    }
  }

  /// Every group has a tile to itself.
  void leave() {
    for (std::int64_t i = 0; i < live.groups; ++i) many[i] = 1, next[i] = -1;
    for (std::int64_t i = 0; i < width(call.in) * call.in.S; ++i) next_in[i] = -1;
  }

  /// Joins what lies beside each other in that sense; how many are left alone.
  std::int64_t join(Neighbour neighbour) {
    lead(call.out, neighbour, next.data());
    lead(call.in, neighbour, next_in.data());
    for (std::int64_t i = 0; i < live.groups; ++i) many[i] = 1;
    std::int64_t alone = live.groups;
    for (int size = most; size > 1; --size)
      for (std::int64_t i = 0; i < live.groups; ++i) {
        if (!fits(i, size)) continue;
        std::int64_t other = i;
        for (int k = 1; k < size; ++k) many[other = next[other]] = 0;
        many[i] = size;
        alone -= size;
      }
    return alone;
  }

  /// to[i] = what lies beside row i, counted over rows and sites. Sites are taken so many at a
  /// time.
  void lead(const Rows& rows, Neighbour neighbour, std::int64_t* to) const {
    const std::int64_t W = width(rows), S = rows.S;
    for (std::int64_t w = 0; w < W; ++w)
      for (std::int64_t s = 0; s < S; ++s) {
        std::int64_t& other = to[w * S + s] = -1;
        const bool last = s + 1 == S || (s + 1) % most == 0;
        if (neighbour == Neighbour::next_position) {
          if (w + 1 < W) other = (w + 1) * S + s;
        } else if (neighbour == Neighbour::next_site) {
          if (!last) other = w * S + s + 1;
        } else if (!last) {
          const std::int64_t row = find(rows, position(rows, w, s), s + 1);
          if (row >= 0) other = row * S + s + 1;
        }
      }
  }

  /// Whether so many groups from i on are free and meet the same taps, of rows equally far apart.
  bool fits(std::int64_t i, int size) const {
    const std::int64_t count = live.ends[i + 1] - live.ends[i];
    if (many[i] != 1 || count == 0) return false;
    const Pair* mine = &live.pairs[live.ends[i]];
    std::int64_t apart = 0;
    for (int k = 1; k < size; ++k) {
      i = next[i];
      if (i < 0 || many[i] != 1 || live.ends[i + 1] - live.ends[i] != count) return false;
      const Pair* its = &live.pairs[live.ends[i]];
      if (k == 1) apart = its->row - mine->row;
      for (std::int64_t n = 0; n < count; ++n)
        if (its[n].tap != mine[n].tap || its[n].row != next_in[mine[n].row] ||
            its[n].row - mine[n].row != apart)
          return false;
      mine = its;
    }
    return true;
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
