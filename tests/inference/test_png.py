"""PNG files: whole, in their place, and with what made them."""

import json
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from img2img import __version__
from img2img.data.images import read
from img2img.errors import InputError
from img2img.inference import png
from img2img.inference.png import (
    file_names,
    provenance,
    write_png,
    write_probabilities,
    write_probability,
)

TEXTS = provenance("sobel", "Fünf", "ab12")


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_a_picture_tells_what_made_it(shape: tuple[int, ...], tmp_path: Path) -> None:
    given = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = tmp_path / "new" / "a.png"
    write_png(path, given, TEXTS)
    assert (read(path) == np.broadcast_to(given.reshape(5, 7, -1), (5, 7, 3))).all()
    with PIL.Image.open(path) as seen:
        seen.load()
        told = dict(seen.info)
    assert told["Software"] == f"img2img {__version__}"
    assert json.loads(told["img2img"]) == {
        "version": __version__, "task": "sobel", "weights": {"name": "Fünf", "sha256": "ab12"},
    }  # fmt: skip
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_probabilities_are_kept_to_16_bits(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((40, 50), np.float32)
    values[0, :3] = 0, 1, 1.0001
    write_probability(tmp_path / "egg.png", values, TEXTS)
    levels = cv2.imread(str(tmp_path / "egg.png"), cv2.IMREAD_UNCHANGED)
    assert levels is not None
    assert (levels.dtype, levels.shape) == (np.uint16, (40, 50))
    np.testing.assert_allclose(levels / 65535, values.clip(0, 1), atol=0.5 / 65535 + 1e-7)
    assert levels[0, :3].tolist() == [0, 65535, 65535]


def test_maps_appear_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = {name: np.full((3, 4), level, np.float32) for name, level in (("a/b", 0), ("c", 1))}
    folder = tmp_path / "new" / "x_probabilities"
    seen: list[bool] = []

    def interrupted(_path: Path, values: object, _texts: object) -> bytes:
        seen.append(folder.exists())
        if values is maps["c"]:
            raise KeyboardInterrupt
        return b"half"

    with monkeypatch.context() as patch:
        patch.setattr(png, "_probability_png", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_probabilities(folder, maps, TEXTS)
    assert seen == [False, False]
    assert list(folder.parent.iterdir()) == []
    for _ in range(2):
        paths = write_probabilities(folder, maps, TEXTS)
        assert paths == {"a/b": folder / "a_b.png", "c": folder / "c.png"}
        assert sorted(folder.iterdir()) == sorted(paths.values())
        assert read(paths["c"]).min() == 255
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="x_probabilities cannot be written: not a directory"):
        write_probabilities(tmp_path / "file" / "x_probabilities", maps, TEXTS)


def test_where_nothing_can_be_written_the_older_file_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("older")
    with pytest.raises(InputError, match=r"a\.png cannot be written: "):
        write_png(tmp_path / "file" / "a.png", np.zeros((2, 2), np.uint8), TEXTS)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=r"folder\.png cannot be written: is a directory"):
        write_png(tmp_path / "folder.png", np.zeros((2, 2), np.uint8), TEXTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]
    assert (tmp_path / "file").read_text() == "older"


def test_names_of_classes_become_names_of_files() -> None:
    names = ["egg", "fried egg", "a/b", "a_b", "../x", "Pfanne ü"]
    files = file_names(dict.fromkeys(names))
    assert list(files) == names
    assert list(files.values()) == ["egg", "fried_egg", "a_b", "a_b-3", ".._x", "Pfanne_ü"]
