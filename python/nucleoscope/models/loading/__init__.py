"""Published weights into the models of this room: read as numbers alone, and held against the shapes.

`load_weights(model, path)` knows PyTorch's files, safetensors and Keras'; `load_ci_spliceai` a frozen graph of
TensorFlow's. What a file holds and the model does not take, and the other way round, is an error that lists it.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from nucleoscope.models.loading.by_name import known_names
from nucleoscope.models.loading.fill import fill
from nucleoscope.models.loading.from_keras import from_keras
from nucleoscope.models.loading.frozen_graph import load_ci_spliceai
from nucleoscope.models.loading.keras_file import keras_layers
from nucleoscope.models.loading.torch_file import torch_tensors

__all__ = ["load_ci_spliceai", "load_weights"]

TORCH = (".pt", ".pth", ".th", ".ckpt", ".bin", ".safetensors")
KERAS = (".h5", ".hdf5")
SPARE = 1_000_000  # beyond twice the model's: a file of more numbers is not read to say what does not fit


def load_weights(model: nn.Module, path: str | Path) -> nn.Module:
    """Fill a model of `nucleoscope.models` with the weights of a published file; the same model, in eval mode.

    Parameters
    ----------
    model
        As the file's makers built it: the geometry (length, targets) has to be theirs.
    path
        ``.safetensors``, or ``.pt``, ``.pth``, ``.th``, ``.ckpt``, ``.bin``: read by torch with
        ``weights_only``, so that nothing in it is run. Names may be this model's own, or those of the published
        file: Basset's, DeepSEA's and Beluga's ports (numbers, in their order), Puffin, Enformer
        (enformer-pytorch), Borzoi and Flashzoi (borzoi-pytorch), C.Origami, m6Aformer. ``.h5``, ``.hdf5``: Keras'
        (DeepSTARR, DeepCRE, BPNet, each net of ChromBPNet, SpliceAI, Borzoi, MPRA-DragoNN), read by h5py.

    Raises
    ------
    ValueError
        For a file of another kind, and for tensors that are missing, unknown, of another shape, not finite or
        no real numbers, or two of one place: all are named, and the model is left as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: there is no file {path}")
    if path.suffix in KERAS:
        numbers = sum(value.numel() for value in model.state_dict().values())
        tensors = from_keras(model, keras_layers(path, 2 * numbers + SPARE), str(path))
    elif path.suffix in TORCH:
        tensors = known_names(model, torch_tensors(path))
    else:
        raise ValueError(
            f"path: {path.name} is none of {', '.join((*TORCH, *KERAS))}. CI-SpliceAI's frozen graph is read "
            "by load_ci_spliceai; other TensorFlow checkpoints have to be saved as .h5 first"
        )
    return fill(model, tensors, str(path)).eval()
