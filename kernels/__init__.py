"""Triton twins of the ops, installed as ``nucleoscope.kernels``; imported only where there is CUDA.

One op, one file: the jit kernel and a launcher named after the op, which fills a given output.
Imports inside this folder are relative, because ``kernels`` is another project's package too.
"""
