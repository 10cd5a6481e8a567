"""`img2img demo`."""

from typing import Annotated

import typer

from img2img.cli.options import Quiet


def demo(
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="An .onnx or a run folder, for the task that it tells; may be repeated.",
            show_default="the shipped weights of every task that has some",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="NAME", help="Where to listen; 0.0.0.0: for every machine.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0: any that is free.")
    ] = 7860,
    max_mb: Annotated[
        float, typer.Option(min=0.01, metavar="X", help="Largest upload (megabytes).")
    ] = 20.0,
    max_megapixels: Annotated[
        float, typer.Option(min=0.01, max=1000.0, metavar="X", help="Largest picture (megapixels).")
    ] = 25.0,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in a browser.")] = False,
    quiet: Quiet = False,
) -> None:
    """Show a page that answers pictures, with a tab for every task; needs the extra `demo`.

    Answers with ONNX Runtime on this machine; fetches nothing from elsewhere. Ctrl-C ends it.

    Exit codes: 0 ended, 2 a wrong option or the extra is missing, 3 unusable weights.
    """
    import os
    import webbrowser
    from contextlib import suppress

    # OpenCV reads it when it is loaded, and refuses larger pictures of any format then.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(round(max_megapixels * 1e6))
    from img2img.cli.console import say
    from img2img.demo.desk import Limits, open_desks
    from img2img.demo.server import listening, require_gradio, serve, url_of

    with suppress(KeyboardInterrupt):
        require_gradio()
        limits = Limits(upload_mb=max_mb, megapixels=max_megapixels)
        desks, lacking = open_desks(weights or [], limits=limits)
        opened = listening(host, port)
        for task, reason in lacking.items():
            say(f"no tab for {task}: {reason}", quiet=quiet)
        say("starting; loading Gradio takes some seconds.", quiet=quiet)
        url = url_of(opened)

        def ready() -> None:
            print(url, flush=True)
            say("Ctrl-C ends it.", quiet=quiet)
            if browser:
                webbrowser.open(url)

        serve(desks, opened, limits=limits, ready=ready)
