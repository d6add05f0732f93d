"""The engine's ops. One op, one file: its contract, its checks, its registration with torch.

Each is also ``torch.ops.nucleoscope.<op>``, and goes by device: CPU to C++, CUDA to Triton, any
other to ``nucleoscope.naive.ops``, which defines what it means.
"""

from nucleoscope.ops.edit_lookup import edit_lookup

__all__ = ["edit_lookup"]
