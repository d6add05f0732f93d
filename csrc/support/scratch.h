#pragma once

#include <cstdint>

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Memory for the length of one call. Throws std::bad_alloc; unset until it is written.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t count)
      : values_(static_cast<T*>(::operator new(sizeof(T) * count))) {}
  ~Scratch() { ::operator delete(values_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() { return values_; }
  T& operator[](std::int64_t i) { return values_[i]; }
  const T& operator[](std::int64_t i) const { return values_[i]; }

 private:
  T* values_;
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
