"""Run by `make wheel` in a fresh environment that holds the built wheel and no other copy."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = Path(sys.executable).with_name("img2img")


def run(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"img2img {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def main() -> None:
    import img2img

    package = Path(img2img.__file__).parent
    assert "site-packages" in package.parts, f"{package} is no installed package"
    weights = [f"weights/{task}.{kind}" for task in ("sobel", "segmentation")
               for kind in ("onnx", "safetensors", "md")]  # fmt: skip
    for name in ("py.typed", *weights):
        assert (package / name).is_file(), f"the wheel lacks {name}"
    folder = Path(tempfile.mkdtemp())
    try:
        assert img2img.__version__ in run("--version", folder=folder)
        run("data", "make", "sobel", "--n", "8", "--size", "64", "--out", "pictures", folder=folder)
        lines = run("predict", "sobel", "pictures", "--out", "answers", folder=folder).splitlines()
        assert [json.loads(line)["error"] for line in lines] == [None] * len(lines) != []
        lines = run("predict", "segmentation", "pictures", "--out", "masks", folder=folder)
        assert all(json.loads(line)["mask"] for line in lines.splitlines())
        tiny = "--steps 4 --image-size 32 --set train.batch_size=4 --set train.polish_steps=0"
        run("train", "sobel", "--data", "pictures", "--out", "run", *tiny.split(), folder=folder)
        run("eval", "sobel", "--weights", "run", "--data", "pictures", folder=folder)
        run("eval", "sobel", "--data", "pictures", "--min", "psnr=80", folder=folder)
    finally:
        shutil.rmtree(folder)
    print(f"the wheel works: {package}")


main()
