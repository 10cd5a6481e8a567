"""What stands for /opt/ml of a training container that SageMaker starts."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from img2img.data.images import write
from img2img.inference.weights import read_header

TINY = {
    "task": "sobel", "steps": "4", "batch-size": "4", "image-size": "32", "workers": "0",
    "train.polish_steps": "0", "train.log_every": "1", "train.val_samples": "2",
}  # fmt: skip


@dataclass(frozen=True)
class Container:
    """The folder that stands for /opt/ml."""

    root: Path

    def write(self, name: str, content: Any) -> None:
        path = self.root / "input" / "config" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def ask(self, hyperparameters: dict[str, str], *channels: str, **resources: Any) -> None:
        self.write("hyperparameters", hyperparameters)
        self.write("inputdataconfig", {name: {"TrainingInputMode": "File"} for name in channels})
        hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
        self.write("resourceconfig", hosts | resources)

    def environ(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
        own = {"SAGEMAKER_BASE_DIR": str(self.root), "OMP_NUM_THREADS": "1", "SM_NUM_GPUS": "0",
               "CUDA_VISIBLE_DEVICES": ""}  # fmt: skip
        return kept | own | more

    def train(self, *, until: str | None = None, **more: str) -> tuple[int, str]:
        """(exit code, stderr) of `docker run IMAGE train`, which gets SIGTERM once a line of its
        stderr starts with `until`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "img2img.cloud.sagemaker", "train"], env=self.environ(**more),
            cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        lines = []
        with process:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if until is not None and line.startswith(until):
                    process.send_signal(signal.SIGTERM)
                    until = None
        return process.returncode, "".join(lines)

    @property
    def failure(self) -> str | None:
        path = self.root / "output" / "failure"
        return path.read_text() if path.exists() else None

    @property
    def step(self) -> int:
        header = read_header(self.root / "checkpoints/run/last/checkpoint.safetensors")
        return int(json.loads(header["state"])["step"])


def with_photos(root: Path) -> Container:
    rng = np.random.default_rng(0)
    for number in range(12):
        path = root / "input" / "data" / "training" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, rng.integers(0, 256, (36, 40, 3), np.uint8))
    return Container(root)
