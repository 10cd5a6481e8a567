"""`img2img tasks`."""

from typing import Annotated, Any

import typer


def tasks(
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List the tasks, those of installed packages included.

    Exit codes: 0 done, 1 the task of an installed package cannot be loaded.
    """
    from img2img.cli.console import print_table, write_json
    from img2img.errors import RunError
    from img2img.registry import task_names

    found = [_facts(name) for name in task_names()]
    if json:
        write_json(found, "-")
    else:
        columns = ("task", "default model", "weights", "description")
        print_table(columns, [_row(task) for task in found])
    broken = [task for task in found if task["error"]]
    if broken:
        raise RunError(f"{len(broken)} of {len(found)} tasks failed to load: {broken[0]['error']}")


def _facts(name: str) -> dict[str, Any]:
    from img2img.errors import UsageError
    from img2img.registry import load_task

    facts: dict[str, Any] = {"name": name, "description": "", "model": None, "shipped": False}
    try:
        kind = load_task(name)
    except UsageError as error:
        return {**facts, "error": str(error)}
    lines = (kind.__doc__ or "").strip().splitlines()
    return {
        "name": name,
        "description": lines[0] if lines else "",
        "model": kind.defaults.get("model", {}).get("name"),
        "shipped": _ships(name),
        "error": None,
    }


def _ships(name: str) -> bool:
    from img2img.errors import WeightsError
    from img2img.inference.weights import find_weights

    try:
        find_weights(None, name)
    except WeightsError:
        return False
    return True


def _row(task: dict[str, Any]) -> list[str]:
    weights = "shipped" if task["shipped"] else "none shipped"
    return [task["name"], task["model"] or "–", weights, task["error"] or task["description"]]
