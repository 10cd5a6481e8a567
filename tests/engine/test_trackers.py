import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from img2img.config import Config
from img2img.data.images import write
from img2img.engine.events import Event, Finished, Listener, Pictured, Started, Stepped, Validated
from img2img.engine.run import resolve
from img2img.engine.trackers import tracker
from img2img.errors import UsageError


def config(kind: str) -> Config:
    return resolve("sobel", [("flag", {"train": {"track": kind, "name": "first"}})])


def training(run: Path, *, first: int, last: int) -> Iterator[Event]:
    """The events of a training from after step `first` to step `last`, two steps apart."""
    yield Started(facts={}, step=first, total_steps=last)
    for step in range(first + 2, last + 1, 2):
        yield Stepped(
            step=step, epoch=0, losses={"l1": 1 / step}, lr=0.1, samples_per_s=8.0,
            wait_share=0.25, elapsed_s=1.0,
        )  # fmt: skip
    metrics = {"psnr": float(last), "ssim": None}
    yield Validated(step=last, epoch=0, metrics=metrics, best=True, elapsed_s=1.0)
    yield Finished(step=last, reason="steps", elapsed_s=1.0)
    path = run / "samples" / "0-photo.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, np.full((4, 6, 3), (255, 0, 0), np.uint8))
    yield Pictured(step=last, path=path)


def tell(listener: Listener, events: Iterator[Event]) -> None:
    for event in events:
        listener(event)


def written(run: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"))
    found.Reload()
    return found


def points(found: Any, name: str) -> list[tuple[int, float]]:
    return [(entry.step, pytest.approx(entry.value)) for entry in found.Scalars(name)]


def test_tensorboard_gets_losses_rates_metrics_and_pictures(tmp_path: Path) -> None:
    tell(tracker(config("tensorboard"), tmp_path), training(tmp_path, first=0, last=4))
    found = written(tmp_path)
    assert points(found, "train/l1") == [(2, 1 / 2), (4, 1 / 4)]
    assert points(found, "train/lr") == [(2, 0.1), (4, 0.1)]
    assert points(found, "train/wait_share") == [(2, 0.25), (4, 0.25)]
    assert points(found, "val/psnr") == [(4, 4.0)]
    assert "val/ssim" not in found.Tags()["scalars"]  # it was no number
    (picture,) = found.Images("0-photo")
    assert (picture.step, picture.width, picture.height) == (4, 6, 4)


def test_tensorboard_drops_what_a_killed_training_wrote_beyond_its_checkpoint(
    tmp_path: Path,
) -> None:
    killed = tracker(config("tensorboard"), tmp_path)
    events = training(tmp_path, first=0, last=8)
    tell(killed, (event for event in events if isinstance(event, Started | Stepped)))
    assert points(written(tmp_path), "train/l1")[-1][0] == 8
    resumed = tracker(config("tensorboard"), tmp_path)
    tell(resumed, training(tmp_path, first=4, last=6))
    assert [step for step, _ in points(written(tmp_path), "train/l1")] == [2, 4, 6]


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == kind]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    # What Python's own import does with a name whose module is None: it is not found.
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(UsageError, match=rf"pip install 'img2img\[{kind}\]'"):
        tracker(config(kind), tmp_path)
    assert list(tmp_path.iterdir()) == []


OFFLINE = """
import socket, sys
from pathlib import Path

real = socket.socket.connect

def only_here(self, address):
    assert self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1"), address
    return real(self, address)

socket.socket.connect = only_here
sys.path.insert(0, sys.argv[1])
from test_trackers import config, tell, tracker, training

run = Path(sys.argv[2])
tell(tracker(config("wandb"), run), training(run, first=0, last=4))
"""


@pytest.mark.slow
def test_wandb_stays_offline_and_inside_the_run_folder(tmp_path: Path) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    home.mkdir()
    environment = {"WANDB_MODE": "offline", "HOME": str(home), "PATH": "/usr/bin:/bin"}
    for _ in range(2):  # a training and its resumption
        done = subprocess.run(
            [sys.executable, "-c", OFFLINE, str(Path(__file__).parent), str(run)],
            capture_output=True, text=True, env=environment, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    name = (run / "wandb" / "id").read_text()
    rows = [row for file in run.glob(f"wandb/offline-run-*-{name}/*.wandb") for row in logged(file)]
    assert {"train/l1", "train/lr", "val/psnr", "0-photo"} <= {key for row in rows for key in row}
    assert {row["_step"] for row in rows if row} == {"2", "4"}
    assert list(run.glob("wandb/offline-run-*/files/media/images/*.png"))
    outside = [p.relative_to(home) for p in home.rglob("*") if p.is_file()]
    assert all(p.parts[0] == ".cache" for p in outside), outside


def logged(file: Path) -> Iterator[dict[str, str]]:
    """{name: JSON text} of every row in W&B's own file: protobuf records in a LevelDB log, whose
    pieces have a header of 7 bytes and never cross a block of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            items = Record.FromString(whole).history.item
            yield {item.key or item.nested_key[0]: item.value_json for item in items}
            whole = b""
