"""`img2img export`: the gate before every kind of file, and what cannot be asked for."""

import copy
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from support import img2img, sentence

from img2img.cli.app import main
from img2img.data.images import write
from img2img.inference import compression

FIGURES = r"psnr falls from 100 \(torch\) to [0-9.]+ \(exported\)"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(12):
        write(folder / f"{index}.png", rng.integers(0, 256, (24, 32, 3), np.uint8))
    return folder


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are off by a twentieth in every exported file, after it was compared with torch."""

    def spoil_onnx(
        network: Any, card: Any, path: Path, export: Any = compression.export_onnx
    ) -> None:
        export(network, card, path)
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if values.dtype == np.float32 and values.ndim == 4:
                tensor.CopyFrom(
                    onnx.numpy_helper.from_array(values * np.float32(1.05), tensor.name)
                )
        onnx.save(model, path)

    def spoil_archive(
        network: Any, card: Any, path: Path, export: Any = compression.export_archive
    ) -> None:
        other = copy.deepcopy(network)
        with torch.no_grad():
            other.body.responses.weight.mul_(1.05)
        export(other, card, path)

    monkeypatch.setattr(compression, "export_onnx", spoil_onnx)
    monkeypatch.setattr(compression, "export_archive", spoil_archive)


def _code(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of the command in this process."""
    monkeypatch.setattr(sys, "argv", ["img2img", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.mark.usefixtures("spoiled")
@pytest.mark.parametrize("name", ["w.onnx", "w.xml", "w.pt2"])
def test_a_broken_export_fails_with_both_figures(
    name: str, exact_run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    common = ("export", "sobel", "--weights", exact_run, "--data", pictures)
    assert _code(monkeypatch, *common, "--out", tmp_path / name) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(FIGURES, err), err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "names", [["w.xml", "w.bin"], pytest.param(["w.pt2"], marks=pytest.mark.slow)]
)
def test_other_files_pass_the_same_gate(
    names: list[str], exact_run: Path, pictures: Path, tmp_path: Path
) -> None:
    done = img2img("export", "sobel", "--weights", exact_run, "--data", pictures,
                   "--out", f"new/{names[0]}", cwd=tmp_path)  # fmt: skip
    assert (done.code, done.out) == (0, f"new/{names[0]}\n"), done.err
    assert done.err.startswith("psnr 100, torch 100, on ")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "w.pt2", "--fp16"], "--fp16 is for .onnx, .xml, .safetensors files"),
        (["--out", "w.xml", "--int8-weights"], "--int8-weights is for .onnx files"),
        (["--out", "w.onnx", "--fp16", "--int8"], "choose one of"),
        (["--out", "w.bin"], "w.bin"),
    ],
)
def test_what_a_file_cannot_hold_is_told(
    arguments: list[str], told: str, exact_run: Path, tmp_path: Path
) -> None:
    done = img2img("export", "sobel", "--weights", exact_run, *arguments, cwd=tmp_path)
    assert done.code == 2
    assert told in sentence(done)
    assert not list(tmp_path.iterdir())


def test_without_openvino_one_sentence_says_what_to_install(
    exact_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "openvino", None)
    out = tmp_path / "w.xml"
    assert _code(monkeypatch, "export", "sobel", "--weights", exact_run, "--out", out) == 2
    told = capsys.readouterr().err
    assert told == "img2img: an .xml needs an extra: pip install 'img2img[openvino]'.\n"
    assert not list(tmp_path.iterdir())
