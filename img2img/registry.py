"""Names of tasks and models, found without importing them.

A task of an outside package is found through the entry point group `img2img.tasks`, a model
through `img2img.models`; their names stand beside the built-in ones everywhere.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from img2img.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from img2img.tasks.base import Task

TASKS = {
    "sobel": "img2img.tasks.sobel:Sobel",
    "segmentation": "img2img.tasks.segmentation:Segmentation",
    "keypoints": "img2img.tasks.keypoints:Keypoints",
    "faces": "img2img.tasks.faces:Faces",
    "xwing": "img2img.tasks.xwing:XWing",
    "translate": "img2img.tasks.translate:Translate",
}
MODELS = {
    "filternet": "img2img.models.filternet:FilterNet",
    "autoencoder": "img2img.models.autoencoder:Autoencoder",
    "unet": "img2img.models.unet:UNet",
    "resunet": "img2img.models.resunet:ResUNet",
    "pix2pix": "img2img.models.pix2pix:Pix2Pix",
    "regressor": "img2img.models.regressor:Regressor",
}


@cache
def _targets(group: str) -> dict[str, str]:
    from importlib.metadata import entry_points

    built_in = {"tasks": TASKS, "models": MODELS}[group]
    outside = {point.name: point.value for point in entry_points(group=f"img2img.{group}")}
    return {**outside, **built_in}


def task_names() -> list[str]:
    """Names of every task, built-in ones first."""
    return [*TASKS, *sorted(set(_targets("tasks")) - set(TASKS))]


def model_names() -> list[str]:
    """Names of the models with their own class, built-in ones first."""
    return [*MODELS, *sorted(set(_targets("models")) - set(MODELS))]


def load_task(name: str) -> "type[Task[Any, Any]]":
    """The task class of that name.

    Raises:
        UsageError: no task has that name, or its package cannot be imported.
    """
    target = TASKS.get(name) or _targets("tasks").get(name)
    if target is None:
        raise unknown_name("task", name, task_names())
    loaded: type[Task[Any, Any]] = _load(target, f"task {name!r}")
    loaded.name = name
    return loaded


def load_model(name: str) -> Any:
    """The model family of that name, or None if no family of our own has it."""
    target = MODELS.get(name) or _targets("models").get(name)
    return None if target is None else _load(target, f"model {name!r}")


def _load(target: str, what: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, NameError, SyntaxError, TypeError, ValueError) as error:
        raise UsageError(f"{what} cannot be loaded from {target}: {error}.") from error
