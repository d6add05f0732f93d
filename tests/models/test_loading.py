"""Weights come in by their names and shapes, or not at all; published names are known."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nucleoscope.models import (
    CATALOG,
    Basset,
    Borzoi,
    BPNet,
    ChromBPNet,
    COrigami,
    DanQ,
    DeepSTARR,
    MPRADragoNN,
    Puffin,
    SpliceAI,
    load_weights,
)
from nucleoscope.models.loading.by_name import NAMES, renamed
from nucleoscope.models.loading.frozen_graph import constants, load_ci_spliceai
from nucleoscope.models.loading.keras_file import keras_layers
from tests.parts import lively


def alike(a: nn.Module, b: nn.Module) -> None:
    held, wanted = a.state_dict(), b.state_dict()
    for name, value in wanted.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(held[name], value, msg=name)


@pytest.mark.parametrize("name", CATALOG)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_own_names(name: str, suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, other = lively(CATALOG[name].make(small=True)), CATALOG[name].make(small=True)
    path = tmp_path / f"weights{suffix}"
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    assert not load_weights(other, path).training
    alike(other, net)


@pytest.mark.parametrize("put", ["state_dict", "model_state_dict", "prefix"])
def test_what_trainers_and_wrappers_put_around_is_taken_off(put: str, tmp_path: Path) -> None:
    net = lively(Basset(small=True))
    state = net.state_dict()
    held = (
        {f"module.{k}": v for k, v in state.items()}
        if put == "prefix"
        else {put: state, "epoch": 3}
    )
    torch.save(held, tmp_path / "w.ckpt")
    alike(load_weights(Basset(small=True), tmp_path / "w.ckpt"), net)


PARTS = ("weight", "bias", "running_mean", "running_var")


def numbered(net: nn.Module, places: list[str]) -> dict[str, Tensor]:
    """A net's tensors by the places that a published file gives to its layers, and with its empty axis."""
    layers = dict.fromkeys(name.rpartition(".")[0] for name in net.state_dict())
    made = {}
    for place, layer in zip(places, layers, strict=True):
        for part in PARTS:
            value = net.state_dict().get(f"{layer}.{part}")
            if value is not None:
                made[f"{place}.{part}"] = value[..., None] if value.ndim == 3 else value
    return made


# Where the layers with weights are in Kipoi's ports of Basset and DeepSEA, and in ExPecto's Beluga.
PLACES = {
    "Basset": ["0", "1", "4", "5", "8", "9", "13.1", "14", "17.1", "18", "21.1"],
    "DeepSEA": ["2.0", "2.4", "2.8", "2.12.1", "2.14.1"],
    "Beluga": ["0.0", "0.2", "0.6", "0.8", "0.12", "0.14", "1.1.1", "1.3.1"],
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_numbers_for_names(name: str, suffix: str, tmp_path: Path) -> None:
    """By number and part, in whatever order a file has them."""
    net, path = lively(CATALOG[name].make(small=True)), tmp_path / f"weights{suffix}"
    held = dict(sorted(numbered(net, PLACES[name]).items(), reverse=True))
    if suffix == ".pth":
        torch.save({f"model.{key}": value for key, value in held.items()}, path)
    else:
        save_file({key: value.contiguous() for key, value in held.items()}, path)
    alike(load_weights(CATALOG[name].make(small=True), path), net)


def test_numbered_tensors_that_do_not_fit_are_told(tmp_path: Path) -> None:
    held = numbered(lively(Basset(small=True)), PLACES["Basset"])

    def refused(held: dict[str, Tensor]) -> str:
        torch.save(held, tmp_path / "basset.pth")
        with pytest.raises(ValueError, match="does not fit") as error:
            load_weights(Basset(small=True), tmp_path / "basset.pth")
        return str(error.value)

    assert "1 that the model has are missing: head.8.bias" in refused(dict(list(held.items())[:-1]))
    assert "1 are unknown to the model: 99.weight" in refused(held | {"99.weight": torch.zeros(3)})
    assert "unknown to the model: 0.running_var" in refused(
        held | {"0.running_var": torch.zeros(3)}
    )
    assert "unknown to the model: 4.gamma" in refused(held | {"4.gamma": torch.zeros(3)})
    said = refused({f"junk_{i}": value for i, value in enumerate(held.values())})
    assert "missing: tower.0.weight" in said
    assert f"{len(held)} are unknown to the model: junk_0, junk_1" in said


def test_puffin_s_names(tmp_path: Path) -> None:
    net = Puffin(small=True)
    theirs = {"motif": "conv", "start": "conv_inr", "three": "conv_sim"}
    theirs |= {"motif_effect": "deconv", "start_effect": "deconv_inr", "three_effect": "deconv_sim"}
    held = {}
    for name, value in net.state_dict().items():
        part, _, kind = name.partition(".")
        held[f"{theirs[part]}.{kind}"] = value
    torch.save(held | {"scaler": torch.ones(1), "scaler2": torch.ones(1)}, tmp_path / "puffin.pth")
    alike(load_weights(Puffin(small=True), tmp_path / "puffin.pth"), net)


def origami_names(net: COrigami) -> Iterator[tuple[str, str]]:
    """(published name, ours), written out layer by layer."""
    for part, tower in (("seq", "sequence"), ("epi", "signals")):
        for k in (0, 1):
            yield f"encoder.conv_start_{part}.{k}", f"{tower}.{k}"
        for block in range(2):
            yield f"encoder.res_blocks_{part}.{block}.scale.0", f"{tower}.{3 + 5 * block}"
            yield f"encoder.res_blocks_{part}.{block}.scale.1", f"{tower}.{4 + 5 * block}"
            for k in (0, 1, 3, 4):
                yield (
                    f"encoder.res_blocks_{part}.{block}.res.{k}",
                    f"{tower}.{6 + 5 * block}.layers.{k}",
                )
    yield "encoder.conv_end", "join"
    for i in range(len(net.transformer)):
        layer, ours = f"attn.module.layers.{i}", f"transformer.{i}"
        yield f"{layer}.norm1", f"{ours}.norm"
        yield f"{layer}.self_attn.out_proj", f"{ours}.attention.out_proj"
        yield f"{layer}.self_attn.in_proj", f"{ours}.attention.in_proj"
        for theirs, mine in (("norm2", 0), ("linear1", 1), ("linear2", 4)):
            yield f"{layer}.{theirs}", f"{ours}.dense.layers.{mine}"
    yield "decoder.conv_start.0", "first_map"
    yield "decoder.conv_start.1", "first_norm"
    for k in (0, 1, 3, 4):
        yield f"decoder.res_blocks.0.res.{k}", f"maps.0.layers.{k}"
    yield "decoder.conv_end", "head"


def test_c_origami_s_names(tmp_path: Path) -> None:
    net = lively(COrigami(small=True))
    held: dict[str, Tensor] = {"attn.pos_encoder.pe": torch.zeros(256, 1, 8)}
    for theirs, ours in origami_names(net):
        for name, value in net.state_dict().items():
            if name.startswith((f"{ours}.", f"{ours}_")):
                held[theirs + name[len(ours) :]] = value
    torch.save({"state_dict": {f"model.{k}": v for k, v in held.items()}}, tmp_path / "c.ckpt")
    alike(load_weights(COrigami(small=True), tmp_path / "c.ckpt"), net)


@pytest.mark.parametrize(
    ("kind", "theirs", "ours"),
    [
        ("Enformer", "stem.1.fn.2.weight", "stem.1.layers.2.weight"),
        ("Enformer", "stem.2.to_attn_logits.weight", "stem.2.logits.weight"),
        ("Enformer", "conv_tower.3.0.2.bias", "tower.3.2.bias"),
        ("Enformer", "conv_tower.3.1.fn.0.running_var", "tower.3.3.layers.0.running_var"),
        (
            "Enformer",
            "transformer.7.0.fn.1.to_rel_k.weight",
            "transformer.7.0.layers.1.distance.weight",
        ),
        ("Enformer", "transformer.7.1.fn.4.bias", "transformer.7.1.layers.4.bias"),
        ("Enformer", "final_pointwise.1.2.bias", "final.2.bias"),
        ("Enformer", "_heads.mouse.0.weight", "heads.mouse.weight"),
        ("Borzoi", "conv_dna.conv_layer.weight", "stem.weight"),
        ("Borzoi", "res_tower.8.norm.bias", "tower.4.0.bias"),
        ("Borzoi", "unet1.1.conv_layer.bias", "tower.5.2.bias"),
        ("Borzoi", "horizontal_conv0.conv_layer.bias", "skips.1.2.bias"),
        ("Borzoi", "upsampling_unet0.0.norm.weight", "up.1.0.weight"),
        ("Borzoi", "separable1.conv_layer.1.bias", "joins.0.1.bias"),
        ("Borzoi", "transformer.2.0.fn.1.mha.Wqkv.bias", "transformer.2.0.layers.1.mix.bias"),
        ("Borzoi", "final_joined_convs.0.conv_layer.bias", "final.0.2.bias"),
        ("Borzoi", "human_head.weight", "heads.human.weight"),
        ("m6Aformer", "res2.norm2.running_mean", "residuals.2.layers.5.running_mean"),
        ("m6Aformer", "ms.branches.3.0.weight", "branches.3.0.weight"),
    ],
)
def test_published_names(kind: str, theirs: str, ours: str) -> None:
    net = CATALOG[kind].make
    assert renamed(theirs, NAMES[net]) == ours  # type: ignore[index]
    flash = {"flash": True} if "mix" in ours else {}
    deep = {"geometry": big(kind)} if kind != "m6Aformer" else {}
    with torch.device("meta"):
        assert ours in net(**deep, **flash).state_dict()


def big(kind: str) -> object:
    """As many layers as published, narrow."""
    from nucleoscope.models import borzoi, enformer

    if kind == "Enformer":
        return enformer.SMALL._replace(length=2048, tower=(2,) * 6, layers=11, crop=1)
    return borzoi.SMALL._replace(length=2048, tower=(2,) * 6, layers=8, crop=1)


# --- Keras


def write_keras(
    path: Path, layers: list[tuple[str, dict[str, np.ndarray]]], nested: bool = True
) -> None:
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if nested else file
        root.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for name, arrays in layers:
            group = root.create_group(name)
            for part, array in arrays.items():
                group.create_dataset(f"{name}/{part}:0", data=array)


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def kernel(layer: nn.Module) -> dict[str, np.ndarray]:
    """(taps, in, out) or (in, out), and the bias."""
    weight = array(layer.weight)
    return {"kernel": weight.transpose(*range(weight.ndim)[::-1]), "bias": array(layer.bias)}


def norm(layer: nn.Module) -> dict[str, np.ndarray]:
    made = {"gamma": array(layer.weight), "beta": array(layer.bias)}
    if isinstance(layer, nn.BatchNorm1d):
        made |= {
            "moving_mean": array(layer.running_mean),
            "moving_variance": array(layer.running_var),
        }
    return made


def dragonn() -> tuple[MPRADragoNN, list[tuple[str, dict[str, np.ndarray]]]]:
    """A small one, and its layers as Keras holds them."""
    net = lively(MPRADragoNN(small=True))
    layers: list[tuple[str, dict[str, np.ndarray]]] = []
    convs = [m for m in net.tower if isinstance(m, nn.Conv1d)]
    norms = [m for m in net.tower if isinstance(m, nn.BatchNorm1d)]
    for i, (conv, batch) in enumerate(zip(convs, norms, strict=True), 1):
        layers += [(f"conv1d_{i}", kernel(conv)), (f"batch_normalization_{i}", norm(batch))]
    flat = array(net.head.weight).reshape(12, 6, 28)  # out, channels, positions
    head = flat.transpose(2, 1, 0).reshape(-1, 12)
    layers.append(("dense_1", {"kernel": head, "bias": array(net.head.bias)}))
    return net, layers


def test_keras_by_kind_and_flattened_positions_first(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, layers = dragonn()
    layers = [("input_1", {}), ("dropout_1", {}), *layers]
    write_keras(tmp_path / "m.h5", layers)
    alike(load_weights(MPRADragoNN(small=True), tmp_path / "m.h5"), net)
    write_keras(tmp_path / "m.hdf5", layers, nested=False)
    alike(load_weights(MPRADragoNN(small=True), tmp_path / "m.hdf5"), net)


def test_keras_layers_of_splice_ai_by_their_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = lively(SpliceAI(small=True))
    made: list[nn.Module] = [net.first, net.skip]
    for group, join in zip(net.groups, net.joins, strict=True):
        made += [m for m in group.modules() if isinstance(m, nn.Conv1d)]
        made.append(join)
    made.append(net.last)
    layers = [(f"conv1d_{i}", kernel(conv)) for i, conv in enumerate(made, 1)]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d)]
    layers += [(f"batch_normalization_{i}", norm(m)) for i, m in enumerate(norms, 1)]
    shuffled = [layers[i] for i in np.random.default_rng(0).permutation(len(layers))]
    write_keras(tmp_path / "s.h5", shuffled)
    alike(load_weights(SpliceAI(small=True), tmp_path / "s.h5"), net)


def test_keras_layers_of_borzoi(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = lively(Borzoi(small=True))
    convs = [net.stem, *(block[2] for block in net.tower)]
    norms = [block[0] for block in net.tower]
    dense: list[nn.Module] = []
    layers: list[tuple[str, dict[str, np.ndarray]]] = []
    for i, (one, two) in enumerate(net.transformer):
        attention = one.layers[1]
        parts = {"q": "query", "k": "keys", "v": "values", "r_k": "distance", "embedding": "out"}
        held = {
            f"{k}_layer/kernel": array(getattr(attention, v).weight).T for k, v in parts.items()
        }
        held["embedding_layer/bias"] = array(attention.out.bias)
        held["r_w_bias"] = array(attention.content_bias)[None]
        held["r_r_bias"] = array(attention.distance_bias)[None]
        layers.append((f"multihead_attention_{i}", held))
        layers += [
            (f"layer_normalization_{2 * i + k}", norm(p.layers[0]))
            for k, p in enumerate((one, two))
        ]
        dense += [two.layers[1], two.layers[4]]
    for up, skip in zip(net.up, net.skips, strict=True):
        norms += [up[0], skip[0]]
        dense += [up[2], skip[2]]
    norms.append(net.final[0][0])
    dense += [net.final[0][2], *net.heads.values()]
    layers += [(f"conv1d_{i}", kernel(m)) for i, m in enumerate(convs)]
    layers += [(f"batch_normalization_{i}", norm(m)) for i, m in enumerate(norms)]
    for i, m in enumerate(dense):
        held = kernel(m)
        layers.append(
            (
                f"dense_{i}",
                {"kernel": held["kernel"].reshape(held["kernel"].shape[-2:]), "bias": held["bias"]},
            )
        )
    for i, join in enumerate(net.joins):
        depth = array(join[0].weight).transpose(2, 0, 1)
        held = {
            "depthwise_kernel": depth,
            "pointwise_kernel": kernel(join[1])["kernel"],
            "bias": array(join[1].bias),
        }
        layers.append((f"separable_conv1d_{i}", held))
    write_keras(tmp_path / "b.h5", layers)
    alike(load_weights(Borzoi(small=True), tmp_path / "b.h5"), net)


def test_keras_layers_of_bpnet_and_deep_starr(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = BPNet(tracks=2, small=True)
    layers = [("main_conv_0", kernel(net.first))]
    layers += [(f"main_dil_conv_{i}", kernel(conv)) for i, conv in enumerate(net.rest, 1)]
    layers += [("main_profile_head", kernel(net.profile)), ("main_counts_head", kernel(net.counts))]
    write_keras(tmp_path / "b.h5", layers)
    alike(load_weights(BPNet(tracks=2, small=True), tmp_path / "b.h5"), net)
    with pytest.raises(ValueError, match="4 layers of kind conv, the file 5"):
        load_weights(DeepSTARR(small=True), tmp_path / "b.h5")


@pytest.mark.parametrize("left_out", ["gamma", "beta"])
def test_keras_norms_without_scale_or_shift(left_out: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, layers = dragonn()
    part, value = ("weight", 1.0) if left_out == "gamma" else ("bias", 0.0)
    with torch.no_grad():
        getattr(next(m for m in net.tower if isinstance(m, nn.BatchNorm1d)), part).fill_(value)
    del layers[1][1][left_out]
    write_keras(tmp_path / "m.h5", layers)
    alike(load_weights(MPRADragoNN(small=True), tmp_path / "m.h5"), net)


# --- what must not come in


def test_keras_arrays_that_are_not_read_are_told(tmp_path: Path) -> None:
    def refused(layers: list[tuple[str, dict[str, np.ndarray]]]) -> str:
        write_keras(tmp_path / "m.h5", layers)
        with pytest.raises(ValueError, match=r"m\.h5") as error:
            load_weights(MPRADragoNN(small=True), tmp_path / "m.h5")
        return str(error.value)

    _, layers = dragonn()
    layers[0][1]["alpha"] = np.zeros(3)
    assert "layer conv1d_1, conv, holds what is not read: alpha" in refused(layers)
    _, layers = dragonn()
    del layers[1][1]["moving_variance"]
    assert "lacks moving_variance" in refused(layers)
    _, layers = dragonn()
    layers[-1][1]["kernel"] = layers[-1][1]["kernel"][:-1]
    assert "no multiple of 6 channels" in refused(layers)
    _, layers = dragonn()
    layers[0][1]["inner/kernel"] = np.zeros((3, 4, 2))
    assert "several arrays 'kernel'" in refused(layers)
    _, layers = dragonn()
    layers[0][1]["bias"] = layers[0][1]["bias"].astype("S4")
    assert "no real numbers" in refused(layers)


def test_a_keras_file_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    _, layers = dragonn()
    write_keras(tmp_path / "m.h5", layers[1:])
    with h5py.File(tmp_path / "m.h5", "a") as file:
        group = file["model_weights"].create_group("conv1d_1")
        group.create_dataset("kernel:0", (1000, 1000, 4000), "f4", chunks=(10, 10, 10))
        file["model_weights"].attrs["layer_names"] = [b"conv1d_1"]
    assert (tmp_path / "m.h5").stat().st_size < 100_000
    with pytest.raises(ValueError, match="more numbers than this model takes"):
        load_weights(MPRADragoNN(small=True), tmp_path / "m.h5")


def test_two_tensors_of_one_place_are_told(tmp_path: Path) -> None:
    state = Puffin(small=True).state_dict()
    torch.save(state | {"conv.weight": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"motif\.weight and conv\.weight are both motif\.weight"):
        load_weights(Puffin(small=True), tmp_path / "w.pt")


def test_weights_that_are_no_numbers_are_listed(tmp_path: Path) -> None:
    net = DanQ(small=True)
    state = net.state_dict()
    names = list(state)
    state[names[0]] = state[names[0]] * torch.nan
    state[names[1]] = state[names[1]] + 0j
    state[names[2]] = state[names[2]].to_sparse()
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="does not fit") as error:
        load_weights(net, tmp_path / "w.pt")
    said = str(error.value)
    assert f"1 hold NaN or infinite numbers: {names[0]}" in said
    assert f"2 are no dense tensors of real numbers: {names[1]}: torch.complex64" in said
    assert f"{names[2]}: torch.float32, torch.sparse_coo" in said
    torch.save({f"{i}.w": torch.zeros(1) for i in range(30)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"30 are unknown to the model: 0\.w, .*29\.w"):
        load_weights(net, tmp_path / "w.pt")


def test_nothing_is_copied_from_a_file_that_does_not_fit(tmp_path: Path) -> None:
    net = Basset(small=True)
    before = copy.deepcopy(net.state_dict())
    state = {k: torch.ones_like(v) for k, v in net.state_dict().items() if k != "tower.0.bias"}
    state["tower.0.weight"] = torch.ones(3, 4, 19)
    torch.save(state | {"extra.weight": torch.ones(1)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="does not fit") as error:
        load_weights(net, tmp_path / "w.pt")
    said = str(error.value)
    assert "missing: tower.0.bias" in said
    assert "extra.weight" in said
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_unknown_and_unlike_tensors_are_listed(tmp_path: Path) -> None:
    net = DanQ(small=True)
    state = net.state_dict()
    state["conv.weight"] = torch.zeros(6, 4, 25)
    state["conv.more"] = state.pop("conv.bias")
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="does not fit") as error:
        load_weights(net, tmp_path / "w.pt")
    said = str(error.value)
    assert "1 that the model has are missing: conv.bias" in said
    assert "1 are unknown to the model: conv.more" in said
    assert "conv.weight: (6, 4, 25) there, (6, 4, 26) here" in said
    assert "geometry of the file" in said


class Planted:
    """What would run on unpickling."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("planted"),)  # type: ignore[return-value]


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"tower.0.weight": Planted()}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="cannot be read as weights alone"):
        load_weights(Basset(small=True), tmp_path / "w.pt")
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pt", [1, 2], "holds a list and no state_dict"),
        ("w.pt", b"some plain text\n", "cannot be read as weights alone"),
        ("w.pt", b"", "cannot be read as weights alone"),
        ("w.safetensors", b"some plain text\n", "is no safetensors file"),
        ("w.h5", b"no", "is no HDF5 file"),
        ("w.onnx", b"no", "is none of"),
        ("w.index", b"no", "saved as .h5"),
    ],
)
def test_other_files_are_refused(name: str, content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        load_weights(MPRADragoNN(small=True), path)


def test_no_file_and_no_map(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_weights(Basset(small=True), tmp_path / "w.pt")
    write_keras(tmp_path / "w.h5", [("lstm_1", {"kernel": np.zeros((2, 2)), "bias": np.zeros(2)})])
    with pytest.raises(ValueError, match="not known which of Keras' layers"):
        load_weights(DanQ(small=True), tmp_path / "w.h5")
    with pytest.raises(ValueError, match="come in two files"):
        load_weights(ChromBPNet(small=True), tmp_path / "w.h5")
    write_keras(tmp_path / "w.h5", [("gru", {"alpha": np.zeros(2)})])
    with pytest.raises(ValueError, match="layer gru holds alpha"):
        keras_layers(tmp_path / "w.h5")
    write_keras(tmp_path / "w.h5", [("flatten", {})])
    with pytest.raises(ValueError, match="no layer with weights"):
        keras_layers(tmp_path / "w.h5")


# --- a frozen graph


def chunk(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value: int) -> bytes:
    made = b""
    while value > 127:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


def node(name: str, held: np.ndarray, wrong: int = 0) -> bytes:
    shape = b"".join(chunk(2, b"\x08" + varint(size)) for size in held.shape)
    tensor = b"\x08\x01" + chunk(2, shape) + chunk(4, held.astype("<f4").tobytes() + b"0" * wrong)
    entry = chunk(1, b"value") + chunk(2, chunk(8, tensor))
    return chunk(1, chunk(1, name.encode()) + chunk(2, b"Const") + chunk(5, entry))


def test_constants_of_a_frozen_graph() -> None:
    first, second = np.arange(6.0).reshape(2, 3), np.ones((1, 200))
    other = chunk(1, chunk(1, b"x") + chunk(2, b"Placeholder"))
    found = list(constants(memoryview(node("a/b", first) + other + node("c", second))))
    assert [name for name, _ in found] == ["a/b", "c"]
    np.testing.assert_array_equal(found[0][1], first)
    np.testing.assert_array_equal(found[1][1], second)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (node("a", np.ones(3))[:-4], "ends behind the file"),
        (node("a", np.ones(3), wrong=4), "no float32 array of shape"),
        (b"\x0b\x01", "wire type 3"),
        (b"\xff" * 20, "number without an end"),
        (node("a", np.ones(3)), "where 5 networks of SpliceAI-10k have"),
    ],
)
def test_a_broken_graph_is_named(graph: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "g.pb").write_bytes(graph)
    with pytest.raises(ValueError, match=message):
        load_ci_spliceai(tmp_path / "g.pb")
