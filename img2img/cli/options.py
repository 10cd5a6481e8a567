"""Flags that are made from the option dataclasses, so that each option is written once."""

import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from img2img.config import DataOptions, ModelOptions, TaskOptions, TrainOptions

GROUPS: Mapping[str, type] = {
    "data": DataOptions,
    "task": TaskOptions,
    "model": ModelOptions,
    "train": TrainOptions,
}
Flags = dict[str, dict[str, Any]]
"""{group: {option: value as written}} of the flags that were given."""


def complete_task(incomplete: str) -> list[str]:
    """Task names, for shell completion."""
    from img2img.registry import task_names

    return [name for name in task_names() if name.startswith(incomplete)]


TaskName = Annotated[
    str, typer.Argument(metavar="TASK", help="See `img2img tasks`.", autocompletion=complete_task)
]
Weights = Annotated[
    str | None,
    typer.Option(help="An .onnx, a .safetensors or a run folder; left out: the shipped weights."),
]
Data = Annotated[
    str | None,
    typer.Option(help="Folder or name of the data; left out: the task's own generated data."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
EngineName = Annotated[str, typer.Option(help="auto, onnx or torch.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no talk.")]
Finder = Annotated[
    str | None,
    typer.Option(metavar="WEIGHTS", help="keypoints: what finds faces; left out: what ships."),
]
NoFlip = Annotated[
    bool, typer.Option("--no-flip", help="keypoints: no average with the mirrored picture.")
]
Camera = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="xwing: the camera of the pictures; left out: camera_info.json beside them.",
    ),
]
Smooth = Annotated[
    str | None,
    typer.Option(
        metavar="none|one-euro|filter",
        help="xwing: how poses are smoothed from frame to frame.",
        show_default="filter for videos, none for pictures",
    ),
]
JsonOut = Annotated[
    str | None, typer.Option("--json", metavar="FILE|-", help="Also write the result as JSON.")
]


def with_option_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Adds a flag for every option that names one; `command` gets those given as `flags`."""
    made = {
        _parameter_name(entry): (group, entry.name, _parameter(entry, hints[entry.name]))
        for group, kind in GROUPS.items()
        for hints in [get_type_hints(kind)]
        for entry in dataclasses.fields(kind)
        if entry.metadata.get("flag")
    }

    def run(**values: Any) -> None:
        flags: Flags = {}
        for parameter, (group, name, _) in made.items():
            value = values.pop(parameter)
            if value is not None and value is not False:
                flags.setdefault(group, {})[name] = value
        command(flags=flags, **values)

    own = [p for p in inspect.signature(command).parameters.values() if p.name != "flags"]
    parameters = [*own, *(parameter for _, _, parameter in made.values())]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    return run


def _parameter_name(entry: "dataclasses.Field[Any]") -> str:
    """The flag as an identifier; names of options repeat between groups, flags do not."""
    flag: str = entry.metadata["flag"]
    return flag.removeprefix("--").replace("-", "_")


def _parameter(entry: "dataclasses.Field[Any]", hint: Any) -> inspect.Parameter:
    flag = entry.metadata["flag"]
    panel = entry.metadata["panel"] or None
    unit = f" ({entry.metadata['unit']})" if entry.metadata["unit"] else ""
    text = entry.metadata["help"].removesuffix(".") + unit + "."
    if hint is bool:
        option = typer.Option(flag, help=text, rich_help_panel=panel)
        annotation: Any = Annotated[bool, option]
        default: Any = False
    else:
        shown = None if entry.default in (None, "") else str(entry.default)
        option = typer.Option(
            flag, help=text, metavar=_metavar(hint), show_default=shown or False,
            rich_help_panel=panel, autocompletion=_completion(flag, hint),
        )  # fmt: skip
        annotation, default = Annotated[str | None, option], None
    kind_of = inspect.Parameter.KEYWORD_ONLY
    name = _parameter_name(entry)
    return inspect.Parameter(name, kind_of, default=default, annotation=annotation)


def _metavar(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return "|".join(get_args(hint))
    return {int: "N", float: "X", str: "TEXT"}[hint]


def _completion(flag: str, hint: Any) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        from img2img.registry import model_names

        choices = get_args(hint) if get_origin(hint) is Literal else ()
        names = model_names() if flag == "--model" else choices
        return [str(choice) for choice in names if str(choice).startswith(incomplete)]

    return complete
