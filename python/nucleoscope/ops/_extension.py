"""The compiled part of nucleoscope, or an error that says how to get it."""

try:
    from nucleoscope import _C
except ImportError as error:
    raise ImportError(
        "The compiled part of nucleoscope (_C) could not be loaded: "
        f"{error}. If you are in a checkout, build it with `pip install .`; if you installed "
        "nucleoscope, the build is for another Python or processor: "
        "`pip install --force-reinstall --no-deps nucleoscope`."
    ) from error

__all__ = ["_C"]
