"""Pages that mkdocs makes from the code and from the README: a page a command, and the start."""

import re
from pathlib import Path
from typing import Any

import typer

REPOSITORY = "https://github.com/img2img/img2img/blob/main/"


def on_files(files: Any, config: Any) -> Any:
    """Adds the made pages to those of `docs/`."""
    from mkdocs.structure.files import File

    pages = {f"commands/{name}.md": page for name, page in command_pages().items()}
    pages["index.md"] = start_page(config)
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_nav(nav: Any, config: Any, files: Any) -> Any:
    """Commands stand in the sidebar under their own heading."""
    from mkdocs.structure.nav import Section
    from mkdocs.structure.pages import Page

    made = [file for file in files if file.src_uri.startswith("commands/")]
    pages = [Page(file.name, file, config) for file in sorted(made, key=lambda f: f.name)]
    section = Section("Commands", pages)
    for page in pages:
        page.parent = section
    nav.items.append(section)
    nav.pages.extend(pages)
    return nav


def command_pages() -> dict[str, str]:
    """{name: Markdown} of every command, as its `--help` has it."""
    from img2img.cli.app import _add_commands, app

    if not app.registered_commands:
        _add_commands()
    root: Any = typer.main.get_command(app)
    pages: dict[str, str] = {}
    for name, command in root.commands.items():
        nested = getattr(command, "commands", None)
        if nested:
            pages |= {f"{name}-{below}": _page(f"{name} {below}", one)
                      for below, one in nested.items()}  # fmt: skip
        else:
            pages[name] = _page(name, command)
    return pages


def _page(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    called = " ".join(map(_metavar, arguments))
    lines = [f"# img2img {name}", "", _paragraphs(command.help), "", "```text",
             f"img2img {name} {called} [OPTIONS]", "```", ""]  # fmt: skip
    if arguments:
        lines += ["| argument | what |", "|---|---|"]
        lines += [f"| {_metavar(p)} | {_cell(p.help)} |" for p in arguments] + [""]
    panels: dict[str, list[Any]] = {}
    for option in options:
        panels.setdefault(getattr(option, "rich_help_panel", None) or "Options", []).append(option)
    for panel, entries in panels.items():
        lines += [f"## {panel}", "", "| option | what | default |", "|---|---|---|"]
        lines += [_row(option) for option in entries] + [""]
    return "\n".join(lines)


def _metavar(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).removesuffix("...")
    return name + ("…" if argument.nargs < 0 else "")


def _row(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    default = option.default
    if callable(default) or default in (None, False, (), []):
        default = ""
    return f"| {names} | {_cell(option.help)} | {_cell(str(default))} |"


def _paragraphs(text: str | None) -> str:
    return (text or "").replace("\b\n", "").replace("\f", "").replace("<", "&lt;")


def _cell(text: str | None) -> str:
    text = re.sub(r"\[default: .*?\]", "", text or "")
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def start_page(config: Any) -> str:
    """The README, with its links as they are from inside `docs/`."""
    text = Path(config.config_file_path).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\((?!https?:|docs/|#)([^)]+)\)", rf"]({REPOSITORY}\1)", text)
    return re.sub(r"\]\(docs/([^)]+)\)", r"](\1)", text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to files outside of `docs/` lead to the repository."""
    return re.sub(r"\]\(\.\./([^)]+)\)", rf"]({REPOSITORY}\1)", markdown)
