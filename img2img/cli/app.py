"""The `img2img` command: one file a subcommand, and the door that turns errors into exit codes."""

import io
import os
import sys
import traceback
from typing import Annotated

import typer

from img2img import __version__

app = typer.Typer(
    name="img2img",
    help="Train, evaluate, run and ship image-to-image networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # Without defaults typer loads pydantic (0.1 s of CPU) to read that none of these was given.
        "default_map": dict.fromkeys(("help", "install_completion", "show_completion"), False),
    },
)


def _print_version(value: bool) -> None:
    if value:
        print(f"img2img {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks (may stand anywhere).")
    ] = False,
) -> None:
    """Train, evaluate, run and ship image-to-image networks.

    Exit codes: 0 done, 1 some inputs failed, 2 the command is wrong, 3 data or weights unusable,
    4 a threshold is not met, 75 interrupted after saving. Downloads (with --download only): data
    sets go to $XDG_CACHE_HOME/img2img or ~/.cache/img2img, pretrained encoders to the cache of
    Hugging Face ($HF_HOME or ~/.cache/huggingface).
    """


def _add_commands() -> None:
    from img2img.cli import (
        bench,
        compare,
        crossval,
        data,
        demo,
        doctor,
        evaluate,
        export,
        info,
        label,
        models,
        predict,
        tasks,
        train,
    )

    app.command("train")(train.train)
    app.command("eval")(evaluate.evaluate)
    app.command("crossval")(crossval.crossval)
    app.command("predict")(predict.predict)
    app.command("export")(export.export)
    app.command("compare")(compare.compare)
    app.add_typer(data.app, name="data")
    app.command("label")(label.label)
    app.command("info")(info.info)
    app.command("tasks")(tasks.tasks)
    app.command("models")(models.models)
    app.command("doctor")(doctor.doctor)
    app.command("bench")(bench.bench)
    app.command("demo")(demo.demo)


_add_commands()


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    from img2img.engine.runtime import prepare_environment

    prepare_environment()
    _accept_any_name()
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    shows_traceback = len(arguments) < len(sys.argv) - 1
    try:
        code = app(arguments, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_left()
    except SystemExit as stop:
        # Typer meets a broken pipe first: it wraps stdout in this class and leaves with 1.
        gone = type(sys.stdout).__name__ == "PacifyFlushWrapper"
        code = _reader_left() if gone else stop.code
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        code = 130
    except Exception as error:
        if shows_traceback:
            traceback.print_exc()
        code = _explain(error)
    sys.exit(code or 0)


def _accept_any_name() -> None:
    """Lets stdout take the names of files that are not UTF-8; stderr writes them with backslashes
    already."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")


def _reader_left() -> int:
    """The reader of stdout went away, as `| head` does: nobody is left to be told."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _explain(error: Exception) -> int:
    """Prints one sentence for an error and gives the exit code."""
    from img2img.errors import Img2ImgError

    if isinstance(error, Img2ImgError):
        print(f"img2img: {error}", file=sys.stderr)
        return error.exit_code
    describe = getattr(error, "format_message", None)
    if describe is not None:
        # Typer's own errors about the command line; it may carry its own copy of click.
        if describe():  # without arguments the help was shown, and nothing is wrong but that
            command = getattr(getattr(error, "ctx", None), "command_path", "img2img")
            told = describe()
            if not told.endswith("?"):  # else it names the right word itself
                told = f"{told.removesuffix('.')}; see {command} --help."
            print(f"img2img: {told}", file=sys.stderr)
        return 2
    if isinstance(error, typer.Abort):
        return 130
    if isinstance(error, OSError):
        # A full disk, a folder that may not be written: no bug, and nothing we can mend.
        print(f"img2img: {_told(error)}.", file=sys.stderr)
        return 1
    print(
        f"img2img: an unexpected {type(error).__name__}: {error} "
        "(a bug of ours; run again with --debug for the traceback and report it).",
        file=sys.stderr,
    )
    return 1


def _told(error: OSError) -> str:
    """What the system says is wrong, and with which file."""
    if error.strerror is None:
        return f"{type(error).__name__}: {error} (--debug shows where)"
    files = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{files}: {error.strerror}" if files else f"{error.strerror} (--debug shows where)"
