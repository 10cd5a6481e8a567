"""Weights that lie, weights that name code, and which file runs."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from img2img.cli.measuring import division
from img2img.errors import RunError, UsageError, WeightsError
from img2img.inference.session import open_session, task_of
from img2img.inference.weights import KEY, Card, find_weights, read_header


def _checkpoint(run: Path) -> Path:
    return run / "best" / "checkpoint.safetensors"


def _changed(run: Path, out: Path, **changes: Any) -> Path:
    """A copy of the run's weights with other fields in its card."""
    card = json.loads(read_header(_checkpoint(run))[KEY]) | changes
    save_file(load_file(_checkpoint(run)), out, metadata={KEY: json.dumps(card)})
    return out


def _card(run: Path) -> Card:
    return Card.from_json(read_header(_checkpoint(run))[KEY], "w")


@pytest.mark.parametrize(
    "changes",
    [
        {"task": 3}, {"model": None}, {"options": []}, {"options": {"task": 1}}, {"stride": "1"},
        {"stride": 0}, {"halo_px": 1.5}, {"outputs": "image"}, {"facts": None}, {"model": "nonet"},
        {"options": {"model": {"nothing": 1}}}, {"options": {"task": {"filtr": "sobel"}}},
    ],
)  # fmt: skip
def test_a_wrong_card_is_refused(changes: dict[str, Any], sobel_run: Path, tmp_path: Path) -> None:
    path = _changed(sobel_run, tmp_path / "w.safetensors", **changes)
    with pytest.raises(WeightsError):
        open_session(find_weights(str(path), "sobel"))


def test_code_in_a_card_runs_only_where_it_is_allowed(sobel_run: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.py"
    bomb.write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')\ndef f(image): return image\n")
    options = {**_card(sobel_run).options, "task": {"filter": f"python:{bomb}:f"}}
    path = _changed(sobel_run, tmp_path / "w.safetensors", options=options)
    session = open_session(find_weights(str(path), "sobel"))
    with pytest.raises(WeightsError, match="pass --allow-python if you trust it"):
        task_of(session.card, "sobel")
    task_of(session.card, "sobel", allow_python=True)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["w.xml", "w.bin", "w.pt2"])
def test_other_forms_of_an_export_say_what_to_do(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(WeightsError, match=r"write an \.onnx of the run it came from with"):
        find_weights(str(tmp_path / name), "sobel")


def test_a_named_file_stands_alone(exact_run: Path, tmp_path: Path) -> None:
    onnx, stored = tmp_path / "w.onnx", tmp_path / "w.safetensors"
    onnx.write_bytes((exact_run / "best.onnx").read_bytes())
    stored.write_bytes(_checkpoint(exact_run).read_bytes())
    assert find_weights(str(onnx), "sobel").safetensors is None
    assert find_weights(str(stored), "sobel").onnx is None
    with pytest.raises(WeightsError, match=r"torch .* needs the"):
        open_session(find_weights(str(onnx), "sobel"), device="cuda")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_a_wrong_device_is_refused_by_every_engine(device: str, exact_run: Path) -> None:
    with pytest.raises(UsageError, match="--device cannot be"):
        open_session(find_weights(str(exact_run), "sobel"), device=device)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_an_engine_that_fails_says_so(engine: Any, exact_run: Path) -> None:
    session = open_session(find_weights(str(exact_run), "sobel"), engine=engine, device="cpu")
    with pytest.raises(RunError, match="failed on a picture of 4×5 pixels"):
        session(np.zeros((1, 5, 4, 7), np.uint8))


def test_data_are_divided_as_the_training_did(sobel_run: Path) -> None:
    card = dataclasses.replace(
        _card(sobel_run), options={"data": {"val_share": 0.2, "split_seed": 7, "other": 1}}
    )
    assert division(card) == {"val_share": 0.2, "split_seed": 7}
    with pytest.raises(WeightsError):
        division(dataclasses.replace(card, options={"data": {"val_share": "much"}}))
