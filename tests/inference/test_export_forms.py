"""Exported networks in other files than ONNX: OpenVINO's, and archives of torch.export."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from img2img.errors import RunError, UsageError, WeightsError
from img2img.inference.archive import ArchiveSession
from img2img.inference.compression import export_form, files_of, open_form
from img2img.inference.export import export_archive
from img2img.inference.openvino_session import OpenVinoSession
from img2img.inference.weights import KEY, Card
from img2img.models.network import ImageHead, Network
from img2img.models.point_heads import PointHead

SHAPES = ((1, 1, 3), (1, 33, 50), (3, 64, 32), (2, 4, 4))


def _card(*outputs: str) -> Card:
    return Card(task="sobel", model="filternet", options={}, stride=4, halo_px=None,
                outputs=list(outputs), version="0")  # fmt: skip


@pytest.fixture(scope="module")
def network() -> Network:
    """Halves its pictures as TensorFlow does and doubles them again."""
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), Conv2dSame(64, 64, 3, stride=2), nn.ReLU(),
        Conv2dSame(64, 64, 3, stride=2), nn.Upsample(scale_factor=4), nn.Conv2d(64, 1, 1),
    )  # fmt: skip
    return Network(body, ImageHead(1), stride=4).eval()


def _pictures(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def _expected(network: Network, pictures: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        return {k: v.numpy() for k, v in network.answer(torch.from_numpy(pictures)).items()}


@pytest.fixture(scope="module")
def archive(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "w.pt2"
    export_form(network, _card("value", "image"), path)
    return path


def _answers_any_size(path: Path, network: Network) -> None:
    assert sorted(path.parent.iterdir()) == sorted(files_of(path))
    session = open_form(path)
    for shape in SHAPES:
        expected, answers = _expected(network, _pictures(shape)), session(_pictures(shape))
        assert list(answers) == session.card.outputs
        for name, value in answers.items():
            assert value.dtype == expected[name].dtype
            np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-3)


def test_an_archive_answers_pictures_of_any_size(archive: Path, network: Network) -> None:
    _answers_any_size(archive, network)
    assert list(ArchiveSession(archive, name="w")(_pictures(SHAPES[0]), ("image",))) == ["image"]


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["least_squares", "softargmax"])
def test_an_archive_of_points_answers_pictures_of_any_size(
    decoder: Literal["least_squares", "softargmax"], tmp_path: Path
) -> None:
    head = PointHead(2, sigma=1.0, activation="softmax", stride=4, decoder=decoder)
    network = Network(nn.Conv2d(3, 2, 4, stride=4), head, map_stride=4).eval()
    export_form(network, _card(*head.outputs), tmp_path / "w.pt2")
    _answers_any_size(tmp_path / "w.pt2", network)


def test_openvino_answers_pictures_of_any_size(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "w.xml"
    export_form(network, _card("value", "image"), path)
    _answers_any_size(path, network)
    session = open_form(path)
    assert session.card == _card("value", "image")
    assert list(session(_pictures(SHAPES[0]), ("image",))) == ["image"]


def test_an_archive_needs_torch_alone(archive: Path, network: Network, tmp_path: Path) -> None:
    pictures = _pictures((2, 32, 16))
    np.save(tmp_path / "pictures.npy", pictures)
    code = (
        "import json, sys, numpy as np, torch\n"
        f"extra = {{{KEY!r}: None}}\n"
        f"run = torch.export.load({str(archive)!r}, extra_files=extra).module()\n"
        "answers = run(torch.from_numpy(np.load('pictures.npy')))\n"
        f"names = json.loads(extra[{KEY!r}])['outputs']\n"
        "print(json.dumps({n: a.tolist() for n, a in zip(names, answers)}))\n"
        "assert not any(name.startswith('img2img') for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE, timeout=300, check=True)  # fmt: skip
    expected = _expected(network, pictures)
    for name, value in json.loads(done.stdout).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-3)


def test_an_archive_that_holds_for_some_sizes_alone_is_not_written(tmp_path: Path) -> None:
    class Wide(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :1] if x.shape[-1] < 20 else x[:, 1:2]

    with pytest.raises(RunError, match="Guard failed"):
        export_archive(Network(Wide(), ImageHead(1)), _card("value"), tmp_path / "w.pt2")
    assert not list(tmp_path.iterdir())


def test_openvino_stores_fp16_at_half_the_size_and_int8_at_a_quarter(
    network: Network, tmp_path: Path
) -> None:
    sizes = {}
    pictures = [_pictures((1, 24, 40))[0], _pictures((1, 16, 16))[0]]
    for numbers in ("fp32", "fp16", "int8"):
        path = tmp_path / f"{numbers}.xml"
        export_form(network, _card("value"), path, numbers=numbers, pictures=pictures)
        session = open_form(path)
        assert session.card.facts.get("numbers", "fp32") == numbers
        sizes[numbers] = path.with_suffix(".bin").stat().st_size
        expected = _expected(network, pictures[0][None])["value"]
        gap = np.abs(session(pictures[0][None])["value"] - expected).max()
        assert gap < {"fp32": 1e-3, "fp16": 0.5, "int8": 12}[numbers]
    assert sizes["fp16"] < 0.55 * sizes["fp32"]
    assert sizes["int8"] < 0.4 * sizes["fp32"]


def test_openvino_sends_nothing_to_its_maker() -> None:
    code = (
        "import sys\n"
        "from img2img.inference.openvino_session import _openvino\n"
        "_openvino().Core()\n"
        "assert not any('telemetry' in name for name in sys.modules)\n"
        "assert 'openvino.tools.ovc' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=300, check=True)


def test_signals_outlive_openvinos_sessions(network: Network, tmp_path: Path) -> None:
    """As a child's end is one where something listens to it."""
    path = tmp_path / "w.xml"
    export_form(network, _card("value"), path)
    code = (
        "import signal, subprocess\n"
        "from pathlib import Path\n"
        "from img2img.inference.openvino_session import OpenVinoSession\n"
        "signal.signal(signal.SIGCHLD, lambda *_: None)\n"
        f"first, second = (OpenVinoSession(Path({str(path)!r}), name='w') for _ in range(2))\n"
        "del first, second\n"
        "subprocess.run(['true'])\n"
    )
    run = [sys.executable, "-X", "faulthandler", "-c", code]
    subprocess.run(run, timeout=300, check=True)


def test_an_xml_and_a_bin_of_different_exports_are_told(network: Network, tmp_path: Path) -> None:
    path, other = tmp_path / "w.xml", tmp_path / "other.xml"
    export_form(network, _card("value"), path)
    changed = copy.deepcopy(network)
    with torch.no_grad():
        next(changed.parameters()).mul_(2)
    export_form(changed, _card("value"), other)
    other.with_suffix(".bin").replace(path.with_suffix(".bin"))
    with pytest.raises(WeightsError, match=r"w\.xml and its \.bin are of different exports"):
        open_form(path)


@pytest.mark.parametrize("kind", [ArchiveSession, OpenVinoSession])
def test_a_damaged_file_is_told(kind: type, tmp_path: Path) -> None:
    path = tmp_path / "w.xml"
    path.write_bytes(b"<net>")
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"w\.xml is cut or no"):
        kind(path, name="w")


def test_without_openvino_the_extra_is_named(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UsageError, match=r"pip install 'img2img\[openvino\]'"):
        export_form(network, _card("value"), tmp_path / "w.xml")
    assert not list(tmp_path.iterdir())
