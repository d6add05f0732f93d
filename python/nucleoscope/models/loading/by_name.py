"""What published PyTorch files call the parts of our models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from torch import Tensor, nn

from nucleoscope.models.basset import Basset
from nucleoscope.models.beluga import Beluga
from nucleoscope.models.borzoi import Borzoi
from nucleoscope.models.c_origami import COrigami
from nucleoscope.models.deep_sea import DeepSEA
from nucleoscope.models.enformer import Enformer
from nucleoscope.models.m6aformer import M6AFormer
from nucleoscope.models.puffin import Puffin

Rules = tuple[
    tuple[str, str | Callable[[re.Match[str]], str]], ...
]  # pattern, what stands here for it
ATTENTION: Rules = (
    (r"\.to_q\.", ".query."),
    (r"\.to_k\.", ".keys."),
    (r"\.to_v\.", ".values."),
    (r"\.to_out\.", ".out."),
    (r"\.to_rel_k\.", ".distance."),
    (r"\.rel_content_bias$", ".content_bias"),
    (r"\.rel_pos_bias$", ".distance_bias"),
    (r"\.mha\.Wqkv\.", ".mix."),
    (r"\.mha\.out_proj\.", ".out."),
)
TRANSFORMER: Rules = ((r"^transformer\.(\d+)\.(\d)\.fn\.", r"transformer.\1.\2.layers."),)
NORM_AND_CONV = {"norm": "0", "conv_layer": "2"}


def _borzoi_tower(found: re.Match[str]) -> str:
    return f"tower.{int(found[1]) // 2}.{NORM_AND_CONV[found[2]]}."


def _part(of: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f"{of}.{NORM_AND_CONV[found[1]]}."


def _m6a_residual(found: re.Match[str]) -> str:
    layer = {"conv": 0, "norm": 1}[found[2]] + 4 * (int(found[3]) - 1)
    return f"residuals.{2 * (int(found[1]) - 1)}.layers.{layer}."


def _origami_block(found: re.Match[str]) -> str:
    tower = {"seq": "sequence", "epi": "signals"}[found[1]]
    first = 3 + 5 * int(found[2])
    if found[3] == "scale":
        return f"{tower}.{first + int(found[4])}."
    return f"{tower}.{first + 3}.layers.{found[4]}."


NAMES: dict[type[nn.Module], Rules] = {
    Puffin: (
        (r"^conv\.", "motif."), (r"^conv_inr\.", "start."), (r"^conv_sim\.", "three."),
        (r"^deconv\.", "motif_effect."), (r"^deconv_inr\.", "start_effect."),
        (r"^deconv_sim\.", "three_effect."),
    ),
    Enformer: (
        *TRANSFORMER, *ATTENTION,
        (r"^stem\.1\.fn\.", "stem.1.layers."), (r"^stem\.2\.to_attn_logits\.", "stem.2.logits."),
        (r"^conv_tower\.(\d+)\.0\.", r"tower.\1."), (r"^conv_tower\.(\d+)\.1\.fn\.", r"tower.\1.3.layers."),
        (r"^conv_tower\.(\d+)\.2\.to_attn_logits\.", r"tower.\1.4.logits."),
        (r"^final_pointwise\.1\.", "final."), (r"^_heads\.(\w+)\.0\.", r"heads.\1."),
    ),
    Borzoi: (
        *TRANSFORMER, *ATTENTION,
        (r"^conv_dna\.conv_layer\.", "stem."), (r"^res_tower\.(\d+)\.(norm|conv_layer)\.", _borzoi_tower),
        (r"^unet1\.1\.(norm|conv_layer)\.", _part("tower.5")),
        (r"^horizontal_conv1\.(norm|conv_layer)\.", _part("skips.0")),
        (r"^horizontal_conv0\.(norm|conv_layer)\.", _part("skips.1")),
        (r"^upsampling_unet1\.0\.(norm|conv_layer)\.", _part("up.0")),
        (r"^upsampling_unet0\.0\.(norm|conv_layer)\.", _part("up.1")),
        (r"^separable1\.conv_layer\.", "joins.0."), (r"^separable0\.conv_layer\.", "joins.1."),
        (r"^final_joined_convs\.0\.(norm|conv_layer)\.", _part("final.0")),
        (r"^(human|mouse)_head\.", r"heads.\1."),
    ),
    M6AFormer: (
        (r"^ms\.branches\.", "branches."), (r"^ms\.proj\.", "join."), (r"^attn_pool\.score\.", "score."),
        (r"^res([12])\.(conv|norm)([12])\.", _m6a_residual),
    ),
    COrigami: (
        (r"^encoder\.conv_start_seq\.", "sequence."), (r"^encoder\.conv_start_epi\.", "signals."),
        (r"^encoder\.res_blocks_(seq|epi)\.(\d+)\.(scale|res)\.(\d)\.", _origami_block),
        (r"^encoder\.conv_end\.", "join."),
        (r"^attn\.module\.layers\.(\d+)\.norm1\.", r"transformer.\1.norm."),
        (r"^attn\.module\.layers\.(\d+)\.self_attn\.", r"transformer.\1.attention."),
        (r"^attn\.module\.layers\.(\d+)\.norm2\.", r"transformer.\1.dense.layers.0."),
        (r"^attn\.module\.layers\.(\d+)\.linear1\.", r"transformer.\1.dense.layers.1."),
        (r"^attn\.module\.layers\.(\d+)\.linear2\.", r"transformer.\1.dense.layers.4."),
        (r"^decoder\.conv_start\.0\.", "first_map."), (r"^decoder\.conv_start\.1\.", "first_norm."),
        (r"^decoder\.res_blocks\.(\d+)\.res\.", r"maps.\1.layers."), (r"^decoder\.conv_end\.", "head."),
    ),
}  # fmt: skip
# What a file holds and nothing reads.
UNREAD: dict[type[nn.Module], str] = {
    Puffin: r"scaler2?$",
    Enformer: r"_trunk\.",  # the same tensors once more
    COrigami: r"attn\.pos_encoder\.pe$",  # the constant that an example gets is its first row
}
# Ported from torch7, as sequences within sequences: numbers for names ("4.weight", "1.3.1.weight"), and layers
# without weights are counted too.
NUMBERED = (Basset, DeepSEA, Beluga)
NUMBERS = re.compile(r"(\d+(?:\.\d+)*)\.(weight|bias|running_mean|running_var)")


def known_names(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by this model's names: as they are where they have them, else as the published file's.

    Raises ValueError where two of them come to one name.
    """
    ours = model.state_dict()
    if set(tensors) == set(ours):
        return dict(tensors)
    kind = type(model)
    counters = r".*num_batches_tracked$"
    left_out = re.compile(f"{counters}|{UNREAD[kind]}" if kind in UNREAD else counters)
    read = {name: value for name, value in tensors.items() if not left_out.match(name)}
    named = {name: renamed(name, NAMES.get(kind, ())) for name in read}
    if kind in NUMBERED and not set(read) & set(ours):
        named |= by_number(read, ours)
    several = [n for n in dict.fromkeys(named.values()) if list(named.values()).count(n) > 1]
    if several:
        said = "; ".join(
            f"{' and '.join(theirs for theirs in named if named[theirs] == n)} are both {n}"
            for n in several
        )
        raise ValueError(f"several tensors of the file have one place in {kind.__name__}: {said}")
    return {named[name]: value for name, value in read.items()}


def by_number(names: Iterable[str], ours: Iterable[str]) -> dict[str, str]:
    """Ours for each name of numbers and a part: the layers of both in their order, parts by what they are called.

    Names of other forms are left out, and so are parts that our layer at that place does not have.
    """
    found = {name: numbers for name in names if (numbers := NUMBERS.fullmatch(name))}
    place = {name: tuple(map(int, numbers[1].split("."))) for name, numbers in found.items()}
    layers = dict.fromkeys(name.rpartition(".")[0] for name in ours)
    at = dict(zip(sorted(set(place.values())), layers, strict=False))
    made = {name: f"{at[place[name]]}.{found[name][2]}" for name in found if place[name] in at}
    held = set(ours)
    return {name: mine for name, mine in made.items() if mine in held}


def renamed(name: str, rules: Rules) -> str:
    """A name with every rule applied once."""
    for pattern, ours in rules:
        name = re.sub(pattern, ours, name)
    return name
