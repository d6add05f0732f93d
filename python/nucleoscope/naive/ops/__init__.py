"""The meaning of each op: same name, same arguments and same result as in ``nucleoscope.ops``."""

from nucleoscope.naive.ops.edit_lookup import edit_lookup

__all__ = ["edit_lookup"]
