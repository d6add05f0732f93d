"""Models for the command line: a callable of yours, or an exported program; and their weights."""

from __future__ import annotations

import copy
import importlib
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from nucleoscope.scan.provenance import came_from

UNTRUSTED = (
    "torch reads {} files by unpickling, which can run any code that whoever made the file put "
    "into it. If you trust its maker, add --allow-pickle; else give --model module:callable and --weights."
)
WHOLE = (".pt", ".pth", ".ckpt", ".pkl", ".bin")  # what torch.save writes, by habit

# Which argument of an exported op says that it is in training mode.
TRAINING_AT = {"aten.dropout": 2, "aten.batch_norm": 5}


def load_models(
    names: Sequence[str], weights: Sequence[Path], trust: bool, device: torch.device
) -> nn.Module | list[nn.Module]:
    """One model, or the list of an ensemble: models with weights each, or one model with several.

    Raises what `load_model` raises, and click's UsageError for weights that are of no model.
    """
    if len(names) > 1 and len(weights) not in (0, len(names)):
        raise click.UsageError(
            f"--weights: {len(weights)} for {len(names)} models; give each its own, in their order, or none"
        )
    each = list(names) * (len(weights) if len(names) == 1 and weights else 1)
    held: list[Path | None] = [*weights] or [None] * len(each)
    made = [load_model(n, w, trust, device) for n, w in zip(each, held, strict=True)]
    return made[0] if len(made) == 1 else made


def load_model(name: str, weights: Path | None, trust: bool, device: torch.device) -> nn.Module:
    """The model that `name` says, with `weights`, in eval mode.

    `module:callable` imports and calls the user's own code; a file that holds a model is opened only
    if trusted, and weights are read as tensors and nothing else. Raises click's exceptions.
    """
    if name.endswith(".pt2"):
        if weights is not None:
            raise click.UsageError("--weights: a .pt2 file holds its weights already")
        model = _exported(Path(name), trust)
    elif ":" not in name and name.endswith(WHOLE):
        model = _pickled(Path(name), trust)
        if weights is not None:
            _put(_state(weights, device), model, weights)
    else:
        model = _called(name)
        if weights is not None:
            model = copy.deepcopy(model)  # it may be yours, or that of other weights too
            _put(_state(weights, device), model, weights)
    model = model.to(device).requires_grad_(False)
    came_from(model, name, weights)
    return model


def _called(name: str) -> nn.Module:
    """What `module:callable` gives; modules beside you are found as Python itself finds them."""
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise click.BadParameter(
            f"{name!r}: write module:callable, or name a .pt2 file, or a .pt file of a whole model",
            param_hint="--model",
        )
    _look_here()
    try:
        made: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise click.BadParameter(
            f"{name!r}: {error}. Modules are looked for here and in Python's path.",
            param_hint="--model",
        ) from error
    for part in path.split("."):
        if not hasattr(made, part):
            raise click.BadParameter(f"{module} has no {path!r}", param_hint="--model")
        made = getattr(made, part)
    model = made if isinstance(made, nn.Module) else made()
    if not isinstance(model, nn.Module):
        raise click.BadParameter(
            f"{name} gives {type(model).__name__}, not a torch.nn.Module", param_hint="--model"
        )
    return model.eval()


def _look_here() -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def _exported(path: Path, trust: bool) -> nn.Module:
    if not path.is_file():
        raise click.BadParameter(f"there is no file {str(path)!r}", param_hint="--model")
    if not trust:
        raise click.UsageError(UNTRUSTED.format(".pt2"))
    if not zipfile.is_zipfile(path):
        raise click.ClickException(f"{path} is no exported program, or damaged")
    try:
        program = torch.export.load(path)
    except Exception as error:  # torch, zipfile, json and pickle each have their own
        raise click.ClickException(
            f"{path} cannot be read as an exported program: it is damaged, another kind of archive, or of "
            f"another version of torch (here {torch.__version__}). Copy it again, or write it anew with "
            f"torch.export.save. ({type(error).__name__}: {_first_line(error)})"
        ) from error
    for node in program.graph.nodes:
        at = TRAINING_AT.get(str(node.target).removesuffix(".default"))
        if at is not None and node.args[at] is True:
            raise click.ClickException(
                f"{path} was exported in training mode ({node.target}): export model.eval()"
            )
    model = program.module()
    for part in model.modules():  # exported modules refuse .eval(): their mode is in their graph
        part.training = False
    return model


def _pickled(path: Path, trust: bool) -> nn.Module:
    """A whole model as torch.save wrote it; the modules of its classes are looked for as Python does."""
    if not path.is_file():
        raise click.BadParameter(f"there is no file {str(path)!r}", param_hint="--model")
    if not trust:
        raise click.UsageError(UNTRUSTED.format(path.suffix))
    _look_here()
    try:
        held: Any = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise click.ClickException(
            f"{path} cannot be unpickled: it is damaged, or the code of its classes is not found here. "
            f"({type(error).__name__}: {_first_line(error)})"
        ) from error
    if not isinstance(held, nn.Module):
        raise click.ClickException(
            f"{path} holds no model but a {type(held).__name__}: if it is a state dict, give "
            "--model module:callable, and this file as --weights"
        )
    return held.eval()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _state(path: Path, device: torch.device) -> Mapping[str, Tensor]:
    """The state dict in a file. Nothing but tensors is made of it."""
    if path.suffix == ".safetensors":
        return _safetensors(path)
    try:
        held: Any = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise click.ClickException(
            f"{path} does not hold a plain state dict, and nothing else is opened, since that "
            "could run code. Write one with torch.save(model.state_dict(), path). "
            f"({str(error).splitlines()[0]})"
        ) from error
    if isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):
        held = held["state_dict"]  # as Lightning's checkpoints have it
    if not isinstance(held, Mapping) or not all(isinstance(v, Tensor) for v in held.values()):
        raise click.ClickException(f"{path} holds no state dict: names with a tensor each")
    return held


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise click.ClickException(
            f"{path} needs safetensors to be read: pip install safetensors"
        ) from error
    try:
        state: dict[str, Tensor] = load_file(path)
    except Exception as error:
        raise click.ClickException(f"{path} is not a safetensors file: {error}") from error
    return state


def _put(state: Mapping[str, Tensor], model: nn.Module, path: Path) -> None:
    """Load the weights, or say in one message all that does not fit."""
    own = model.state_dict()
    shapes = [
        f"{name} is {tuple(state[name].shape)}, the model's {tuple(own[name].shape)}"
        for name in own.keys() & state.keys()
        if own[name].shape != state[name].shape
    ]
    wrong = {
        "missing": sorted(own.keys() - state.keys()),
        "unknown to the model": sorted(state.keys() - own.keys()),
        "of another shape": sorted(shapes),
    }
    told = [
        f"  {len(names)} {what}: {', '.join(names[:3])}{', ...' * (len(names) > 3)}"
        for what, names in wrong.items()
        if names
    ]
    if told:
        raise click.ClickException("\n".join([f"{path} does not fit the model:", *told]))
    model.load_state_dict(dict(state))
