#pragma once

#include <cstdint>

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Memory for the length of one call, from a cache line's first byte on. Throws std::bad_alloc;
/// unset until it is written.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t count)
      : held_(::operator new(sizeof(T) * count + line)),
        values_(reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(held_) + line - 1) / line *
                                     line)) {}
  ~Scratch() { ::operator delete(held_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() { return values_; }
  const T* data() const { return values_; }
  T& operator[](std::int64_t i) { return values_[i]; }
  const T& operator[](std::int64_t i) const { return values_[i]; }

 private:
  static constexpr std::uintptr_t line = 64;
  void* held_;
  T* values_;
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
