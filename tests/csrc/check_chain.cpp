#include "chain_case.h"
#include "chain_meaning.h"

namespace nucleoscope::checks {
namespace {

template <class T>
void run(ChainCase<T>& chain, const std::string& what, int threads) {
  chain.ask();
  const DeltaChain<T> call = chain.call();
  NUCLEOSCOPE_RUN(delta_chain<T>, call, threads);
  const std::vector<Values> expected = meaning(call);
  for (std::int64_t i = 0; i < call.count; ++i)
    if (call.kept[i])
      expect("delta_chain<" + std::string(type_name<T>) + "> " + what + ", link " +
                 std::to_string(i) + " of op " + std::to_string(static_cast<int>(call.links[i].op)),
             chain.kept()[i], expected[call.givens + i]);
}

/// Links of every op, each on any of the values before it.
template <class T>
void random_links(std::uint32_t seed, int threads) {
  Random random(seed);
  ChainCase<T> chain(random, random.between(1, 6), random.one_of({1, 2, 3, 3, 4}), 20);
  const auto geometry = [&random](std::int64_t most) {
    const std::int64_t K = random.between(1, most);
    return Geometry{K, random.one_of({1, 1, 1, 2}), random.one_of({1, 1, 3}),
                    random.between(0, K / 2)};
  };
  for (std::int64_t n = random.between(0, 2); n > 0; --n)
    chain.bring(random.between(1, 20), random.widths(6));
  chain.look_up(random.between(1, 20), random.widths(6), geometry(7), random.once_in(2));
  for (std::int64_t n = random.between(0, 6); n > 0; --n) {
    const std::int64_t x = random.between(0, chain.last()), C = chain.channels(x);
    std::int64_t other = random.between(0, chain.last());
    const bool relu = random.once_in(2);
    switch (random.between(0, 9)) {
      case 0:
        chain.look_up(random.between(1, 20), random.widths(6), geometry(7), relu);
        break;
      case 1:
        chain.conv(x, C * random.between(1, 2), random.widths(6), geometry(4), relu, -1, C);
        break;
      case 2:
        chain.conv(x, chain.channels(other), random.widths(6), geometry(4), relu, other);
        break;
      case 3:
        chain.conv(-1, C, random.widths(6), geometry(3), relu, x, 1, 5);
        break;
      case 4:
        chain.pool(x, random.widths(6), geometry(4));
        break;
      case 5:
        chain.relu(x);
        break;
      case 6:
        while (chain.channels(other) != C) other = random.between(0, chain.last());
        chain.sum(x, random.widths(6), {}, other);
        break;
      case 7:
        while (chain.channels(other) != C) other = random.between(0, chain.last());
        chain.product(random.once_in(4) ? -1 : x, other, random.widths(6));
        break;
      case 8:
        chain.concat(random.once_in(4) ? -1 : x, other, random.widths(6), random.between(0, 3));
        break;
      default:
        chain.sum(x, random.widths(6), geometry(4));
    }
  }
  run(chain, "seed " + std::to_string(seed), threads);
}

/// More deltas than one block of sites holds, and blocks that are not of one size.
template <class T>
void many_blocks(int threads) {
  Random random(1);
  ChainCase<T> chain(random, 41, 3, 70);
  const std::int64_t first = chain.look_up(29, {63}, {5, 1, 1, 2}, true);
  chain.conv(first, 29, {61, 3}, {2, 1, 8, 4}, true, first);
  chain.pool(chain.last(), {30}, {2, 2, 1, 0});
  run(chain, "of many blocks", threads);
}

template <class T>
void without_something(int threads) {
  const struct {
    std::int64_t S, E, C;
    Widths widths;
  } cases[] = {{0, 3, 5, {4}}, {4, 0, 5, {4}}, {4, 3, 0, {4}}, {4, 3, 5, {0}}, {4, 3, 5, {}}};
  for (const auto& [S, E, C, widths] : cases) {
    Random random(2);
    ChainCase<T> chain(random, S, E, 20);
    chain.bring(C, widths);
    chain.look_up(C, widths, {3, 1, 1, 1}, true);
    if (C > 0) chain.conv(0, C, widths, {3, 1, 1, 1}, true, 1);  // which needs channels
    chain.pool(chain.last(), widths, {2});
    chain.sum(chain.relu(chain.last()), widths, {3});
    run(chain, "without sites, edits, channels or rows", threads);
  }
}

}  // namespace

void check_delta_chain(int threads) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    random_links<float>(seed, threads);
    random_links<double>(seed, threads);
  }
  many_blocks<float>(threads);
  many_blocks<double>(threads);
  without_something<float>(threads);
  without_something<double>(threads);
}

}  // namespace nucleoscope::checks
