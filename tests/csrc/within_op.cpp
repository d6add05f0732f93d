#include "within_op.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

constexpr std::size_t line = 64;

std::atomic<bool> within_op{false};
std::atomic<std::int64_t> left{-1};  // allocations that succeed; negative: no end to them

/// An address one past a cache line's first byte, with nothing behind the last that was asked for.
/// Only such an address is odd, by which it is known again.
void* from_a_line(std::size_t size) {
  if (left.load() >= 0 && left.fetch_sub(1) <= 0) {
    left.store(0);
    throw std::bad_alloc();
  }
  void* held = nullptr;
  if (posix_memalign(&held, line, size + 1) != 0) throw std::bad_alloc();
  std::memset(held, 0xff, size + 1);
  return static_cast<char*>(held) + 1;
}

bool is_from_a_line(void* address) { return reinterpret_cast<std::uintptr_t>(address) % line == 1; }

}  // namespace

namespace nucleoscope::checks {

WithinOp::WithinOp(std::int64_t allocations) {
  left.store(allocations);
  within_op.store(true);
}

WithinOp::~WithinOp() { within_op.store(false); }

}  // namespace nucleoscope::checks

void* operator new(std::size_t size) {
  if (within_op.load()) return from_a_line(size);
  void* held = std::malloc(size > 0 ? size : 1);
  if (!held) throw std::bad_alloc();
  return held;
}

void operator delete(void* address) noexcept {
  std::free(is_from_a_line(address) ? static_cast<char*>(address) - 1 : address);
}

void operator delete(void* address, std::size_t) noexcept { operator delete(address); }
