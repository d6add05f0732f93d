#pragma once

// The instruction sets an op is compiled for, and the one in force.
//
// csrc/ops/*.cpp are compiled once per set with NUCLEOSCOPE_ISA = base | v3 | v4 | v4_bf16, and
// what they define lies in a namespace of that name. They include no STL: an inline function of the
// library would be compiled under each set too, the linker would keep one copy, and that copy may
// hold instructions that this processor lacks.

namespace nucleoscope {

// x86-64-v3 is AVX2 and FMA, x86-64-v4 is AVX-512, v4_bf16 has AVX512_BF16 as well.
enum class Isa { base, v3, v4, v4_bf16 };

/// The set in force: the newest this processor has, or NUCLEOSCOPE_ISA from the environment.
Isa isa();

/// The same function, compiled for the set in force.
template <class Function>
Function* select(Function* base, Function* v3, Function* v4, Function* v4_bf16) {
  switch (isa()) {
    case Isa::v4_bf16:
      return v4_bf16;
    case Isa::v4:
      return v4;
    case Isa::v3:
      return v3;
    default:
      return base;
  }
}

namespace base {}
#ifdef NUCLEOSCOPE_X86_LEVELS
#define NUCLEOSCOPE_PER_ISA(...) \
  namespace base {               \
  __VA_ARGS__                    \
  }                              \
  namespace v3 {                 \
  __VA_ARGS__                    \
  }                              \
  namespace v4 {                 \
  __VA_ARGS__                    \
  }                              \
  namespace v4_bf16 {            \
  __VA_ARGS__                    \
  }
#else
namespace v3 = base;
namespace v4 = base;
namespace v4_bf16 = base;
#define NUCLEOSCOPE_PER_ISA(...) \
  namespace base {               \
  __VA_ARGS__                    \
  }
#endif

/// NUCLEOSCOPE_SELECT(op<float>)(arguments...) calls the op as compiled for the set in force.
#define NUCLEOSCOPE_SELECT(...)                                                             \
  ::nucleoscope::select(&::nucleoscope::base::__VA_ARGS__, &::nucleoscope::v3::__VA_ARGS__, \
                        &::nucleoscope::v4::__VA_ARGS__, &::nucleoscope::v4_bf16::__VA_ARGS__)

}  // namespace nucleoscope
