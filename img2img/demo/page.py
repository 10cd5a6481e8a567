"""The page: a tab a desk, built with Gradio."""

import html
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from img2img.demo.desk import Desk, Limits
from img2img.demo.examples import draw_examples
from img2img.demo.files import write_answer
from img2img.demo.form import Field, given, uploaded_file
from img2img.errors import InputError

KEPT_S = 3600
"""How long the files of a visitor are kept."""
STYLE = """
.problem p { margin: 0; padding: 0.6em 0.8em; border-radius: 6px; border-left: 4px solid #dc2626;
  background: color-mix(in srgb, #dc2626 12%, transparent); overflow-wrap: anywhere; }
"""


def build_page(desks: Sequence[Desk], folder: Path, *, limits: Limits) -> Any:
    """A `gradio.Blocks` that answers pictures; its files lie in `folder`, Gradio's own as well."""
    gr = import_module("gradio")
    with gr.Blocks(title="img2img", analytics_enabled=False, delete_cache=(600, KEPT_S)) as page:
        gr.Markdown(
            f"# img2img\nGive a picture of at most {limits.upload_mb:g} MB and "
            f"{limits.megapixels:g} megapixels, from a file, the clipboard or a camera. The machine"
            " that shows this page answers it, sends it nowhere, and deletes it after an hour."
        )
        with gr.Tabs():
            for desk in desks:
                with gr.Tab(desk.name, id=desk.name, elem_id=f"tab-{desk.name}"):
                    _Tab(gr, desk, folder).lay_out()
    page.queue(max_size=32, api_open=False)
    return page


def look() -> dict[str, Any]:
    """What Gradio is told beside the page: fonts of the system, no footer, no history."""
    themes = import_module("gradio").themes
    # Names that are plain texts stand in the style sheet; Gradio's fonts would be fetched.
    theme = themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    return {"theme": theme, "css": STYLE, "footer_links": [], "run_history": False}


class _Tab:
    """One task's tab."""

    def __init__(self, gr: Any, desk: Desk, folder: Path) -> None:
        self.gr, self.desk, self.folder = gr, desk, folder
        self.fields = desk.fields

    def lay_out(self) -> None:
        """Adds the components to the page, and what happens when they change."""
        gr, name = self.gr, self.desk.name
        gr.Markdown(f"{self.desk.about} Weights: {self.desk.session.name}.")
        with gr.Row():
            with gr.Column():
                picture = self._picture()
                problem = gr.HTML(visible=False, elem_classes="problem", elem_id=f"{name}-problem")
                examples = draw_examples(self.desk.task(), self.folder / "examples")
                if examples:
                    gr.Examples([[str(path)] for path in examples], picture, label="Examples")
                inputs = [self._input(field) for field in self.fields]
                button = gr.Button("Answer", variant="primary")
            with gr.Column():
                overlay = self._result("Overlay", is_shown=True)
                answer = self._result("Answer", is_shown=False)
                files = gr.Files(label="Download", interactive=False, elem_id=f"{name}-files")
        shown = gr.JSON(label="JSON, as predict --json prints it", max_height=480,
                        elem_id=f"{name}-json")  # fmt: skip
        changed = [
            entry.submit if field.kind == "text" else entry.change
            for field, entry in zip(self.fields, inputs, strict=True)
        ]
        # Without `preprocess` Gradio hands on the file as it was uploaded; else it would decode the
        # picture, show a traceback where it cannot, and write it anew.
        gr.on(
            [picture.change, button.click, *changed], self._answer, [picture, *inputs],
            [problem, overlay, answer, files, shown], preprocess=False, api_name=name,
            trigger_mode="always_last", concurrency_id="answers", concurrency_limit=1,
        )  # fmt: skip

    def _picture(self) -> Any:
        gr = self.gr
        return gr.Image(
            label="Picture", type="filepath", height=360, buttons=["fullscreen"],
            webcam_options=gr.WebcamOptions(mirror=False), elem_id=f"{self.desk.name}-picture",
        )  # fmt: skip

    def _result(self, label: str, *, is_shown: bool) -> Any:
        return self.gr.Image(
            label=label, interactive=False, visible=is_shown, buttons=["fullscreen"],
            elem_id=f"{self.desk.name}-{label.lower()}",
        )  # fmt: skip

    def _input(self, field: Field) -> Any:
        gr = self.gr
        told: dict[str, Any] = {"label": field.label, "info": field.help}
        name = f"{self.desk.name}-{field.name}"
        make: Callable[..., Any]
        match field.kind:
            case "switch":
                make = gr.Checkbox
            case "choice":
                make, told["choices"] = gr.Radio, list(field.choices)
            case "text":
                make = gr.Textbox
            case "file":
                label = f"{field.label}: {field.help}"
                return gr.File(label=label, type="filepath", height=160, elem_id=name)
        return make(value=field.default, elem_id=name, **told)

    def _answer(self, upload: Any, *values: Any) -> list[Any]:
        """What the components show for an upload: problem, overlay, answer, files, JSON."""
        if not upload:
            return self._without_answer(None)
        try:
            path = uploaded_file(upload, self.folder)
            told = [
                str(uploaded_file(value, self.folder)) if value and field.kind == "file" else value
                for field, value in zip(self.fields, values, strict=True)
            ]
        except InputError as error:
            return self._without_answer(str(error))
        name = Path(str(upload.get("orig_name") or path.name)).name
        answer = self.desk.answer(path, name, given(self.fields, told))
        written = write_answer(answer, Path(tempfile.mkdtemp(dir=self.folder)), Path(name).stem)
        alert = self._alert(answer.line["error"])
        return [alert, written.overlay, self._shown(written.picture), written.files,
                answer.line]  # fmt: skip

    def _without_answer(self, problem: str | None) -> list[Any]:
        return [self._alert(problem), None, self._shown(None), None, None]

    def _alert(self, problem: str | None) -> Any:
        told = None if problem is None else f'<p role="alert">{html.escape(problem)}</p>'
        return self._shown(told)

    def _shown(self, value: Any) -> Any:
        """A component with that value, which hides where there is none."""
        return self.gr.update(value=value, visible=value is not None)
