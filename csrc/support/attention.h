#pragma once

#include <cstdint>

namespace nucleoscope {

/// Values [B, H, rows, columns], `strides` apart: 0 where one entry serves all. Null: none.
template <class T>
struct Spread {
  const T* values;
  std::int64_t strides[4];
};

/// Queries, keys and how the logit of query i and key j is made, with d = j - i - first:
/// scale * q . k, + table at the kind of d, + bias at their blocks, softcap, - slope * |d|, and
/// -inf where the mask is 0 or d is outside [-behind, ahead].
struct Attention {
  const float* query;  // [B, H, Lq, D]
  const float* key;    // [B, G, Lk, D]
  std::int64_t B, H, G, Lq, Lk, D;
  std::int64_t first, behind, ahead;
  Spread<std::uint8_t> mask;  // over Lq and Lk
  Spread<float> bias;         // over blocks of step_rows queries and step_columns keys
  std::int64_t step_rows, step_columns;
  Spread<float> table;        // over Lq and kinds of distance
  const std::int32_t* index;  // [kinds] column of the table for each distance; null: itself
  std::int64_t kinds;         // distances told apart, odd; those beyond are the last
  const float* slopes;        // [H]; null: none
  float scale, softcap;       // softcap 0: none
};

}  // namespace nucleoscope
