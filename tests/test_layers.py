"""Imports point one way, and the light modules stay light."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import img2img

ROOT = Path(img2img.__file__).parent
LIGHT = {"config", "option_values", "registry", "errors", "__init__"}
"""Modules that every layer may import."""
ALLOWED = {
    "vision": {"vision"},
    "data": {"vision", "data"},
    "models": {"vision", "models"},
    "tasks": {"vision", "data", "models", "tasks"},
    "inference": {"vision", "data", "models", "tasks", "inference"},
    "report": {"vision", "data", "models", "tasks", "inference", "report", "engine"},
    "engine": {"vision", "data", "models", "tasks", "inference", "engine"},
    "demo": {"vision", "data", "models", "tasks", "inference", "demo"},
    "weights": set(),
    "cloud": {"inference", "cloud"},
}
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(module below img2img, line) of every import, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [node.module or ""]
            if node.module == "img2img":
                names = [f"img2img.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("img2img."):
                yield name.removeprefix("img2img."), node.lineno


def _wrong_imports(module: Path, source: str) -> list[str]:
    layer = module.parts[0].removesuffix(".py")
    if layer in ("cli", "__main__"):
        return []
    allowed = set() if layer in LIGHT else ALLOWED[layer]
    wrong = []
    for name, line in _imports(ast.parse(source)):
        head = name.partition(".")[0]
        if head in LIGHT or head.startswith("__") or {head, name} & allowed:
            continue
        wrong.append(f"{module}:{line} imports img2img.{name}")
    return wrong


def _without_types(source: str) -> str:
    """The registry names the type of a task, which nobody imports at run time."""
    return source.replace("from img2img.tasks.base import Task", "pass")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_one_way(module: Path) -> None:
    source = (ROOT / module).read_text(encoding="utf-8")
    if module == Path("registry.py"):
        source = _without_types(source)
    assert _wrong_imports(module, source) == []


def test_an_import_the_wrong_way_is_noticed() -> None:
    for module, line in (
        ("inference/x.py", "from img2img.engine.trainer import Trainer"),
        ("vision/x.py", "def f():\n    import img2img.data.sample"),
        ("models/x.py", "from img2img import data"),
        ("engine/x.py", "from img2img.cli.console import say"),
        ("errors.py", "from img2img.vision.metrics import psnr_db"),
    ):
        assert len(_wrong_imports(Path(module), line)) == 1
    assert _wrong_imports(Path("data/x.py"), "from img2img import __version__") == []


HEAVY = ("numpy", "cv2", "torch", "torchvision", "onnx", "onnxruntime", "safetensors",
         "segmentation_models_pytorch", "timm", "rich.progress", "scipy")  # fmt: skip


def _loaded(statements: str) -> list[str]:
    """The heavy libraries among the modules after `statements`, in a process of their own."""
    code = f"import json, sys\n{statements}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
        env=os.environ | {"COVERAGE_PROCESS_START": ""},
    )  # fmt: skip
    modules = set(json.loads(done.stdout))
    return [name for name in HEAVY if name in modules]


def test_the_command_line_and_its_foundations_load_nothing_heavy() -> None:
    light = [path for path in MODULES if path.parts[0] == "cli" or path.stem in LIGHT]
    names = sorted(
        ".".join(["img2img", *path.with_suffix("").parts]).removesuffix(".__init__")
        for path in light
        if len(path.parts) == 1 or path.parts[0] == "cli"
    )
    assert "img2img.cli.train" in names
    assert {"img2img.config", "img2img.option_values"} <= set(names)
    assert _loaded("\n".join(f"import {name}" for name in names)) == []


def test_tasks_and_the_way_to_an_answer_load_no_torch() -> None:
    paths = [
        path
        for path in MODULES
        if path.parts[0] in ("tasks", "inference")
        and path.stem
        not in ("bare", "export", "compression", "simplify", "torch_session", "__init__")
    ]
    paths += [Path("data/view.py"), Path("data/images.py"), Path("vision/metrics.py"),
              Path("vision/filters.py")]  # fmt: skip
    imports = "\n".join("import img2img." + ".".join(p.with_suffix("").parts) for p in paths)
    heavy = set(_loaded(imports))
    assert heavy <= {"numpy", "cv2"}


def test_a_heavy_import_is_noticed() -> None:
    assert _loaded("import numpy") == ["numpy"]
