"""The report of a real, tiny training."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from img2img.config import parse_set
from img2img.data.images import read
from img2img.data.sample import Splits
from img2img.engine.events import Pictured
from img2img.report.html import figure
from img2img.report.run import MOST_SAMPLES, N_WORST, _spread, write_report
from img2img.tasks.sobel import Sobel


class Page(HTMLParser):
    """Everything of a page that a test looks at."""

    def __init__(self, text):
        super().__init__()
        self.attributes, self.images, self.cells, self.texts = [], [], [], []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "img":
            self.images.append(dict(attrs))
        if tag in ("td", "th"):
            self._in_cell = True
            self.cells.append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data):
        self.texts.append(data)
        if self._in_cell:
            self.cells[-1] += data

    @property
    def text(self):
        return " ".join(self.texts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(run folder, plan, events) of a training of four steps, reported."""
    from img2img.engine.run import prepare, resolve, train
    from img2img.engine.runtime import running

    options = ["train.steps=4", "train.batch_size=4", "task.image_size=32", "data.n_generated=16",
               "train.val_samples=2", "train.log_every=1", "train.polish_steps=0",
               "train.name=R&D <1>"]  # fmt: skip
    config = resolve("sobel", [("flag", parse_set(options))])
    run, events = tmp_path_factory.mktemp("report") / "run", []
    with running("cpu") as runtime:
        plan = prepare(config, runtime, init=None, fresh=True)
        train(plan, runtime, out=run, resume=False, listeners=[events.append], report=write_report)
    return run, plan, events


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run, without its report."""
    copied = tmp_path / "run"
    shutil.copytree(trained[0], copied)
    (copied / "report.html").unlink()
    shutil.rmtree(copied / "samples")
    return copied


def page_of(run):
    return Page((run / "report.html").read_text(encoding="utf-8"))


def test_no_address_leaves_the_page(trained):
    text = (trained[0] / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "http:" not in text
    assert "https:" not in text
    fetching = {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}
    fetched = [value for _, name, value in page.attributes if name in fetching]
    assert fetched
    assert all(value.startswith("data:image/") for value in fetched)
    assert len(text) < 2_000_000


def test_pictures_are_written_told_and_shown(trained):
    run, _, events = trained
    told = [event for event in events if isinstance(event, Pictured)]
    written = sorted((run / "samples").iterdir())
    assert sorted(event.path for event in told) == written
    ranks = [path.name.split("-texture")[0] for path in written]
    assert ranks == ["best", "median", *(f"worst-{place}" for place in range(1, N_WORST + 1))]
    assert all(event.step == 4 for event in told)
    assert all(read(path).shape[1] > 800 for path in written)
    # Input, answer, truth and error of each.
    assert len(page_of(run).images) == 4 * len(written)


def test_best_is_better_than_worst(trained):
    text = page_of(trained[0]).text
    best, median, last, worst = (
        float(re.search(rf"{rank}: texture-\d+, psnr ([\d.]+)", text)[1])
        for rank in ("Best", "Median", f"Worst {N_WORST}", "Worst 1")
    )
    assert best >= median >= last >= worst
    assert best > worst
    assert f"answer: psnr {figure(worst)}" in text


def test_the_page_tells_metrics_curves_options_and_data(trained):
    run, plan, _ = trained
    page = page_of(run)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert set(plan.task.metrics) <= set(page.cells)
    assert {"blank", "zero padding", "uint8 stages"} <= set(page.cells)
    assert "R&D <1>" in page.texts
    assert text.count("<svg") == 4 + len(plan.task.metrics)
    assert any(cell.startswith("train.steps") for cell in page.cells)
    assert any(cell.startswith("model.kernel_size") for cell in page.cells)
    assert text.index("train.steps") < text.index("defaults</summary>") < text.index("train.beta1")
    assert "256 × 256" in page.cells
    assert "torch" in page.cells


def test_the_table_holds_what_was_measured(trained):
    """The baseline `blank` depends on the samples alone: its figure can be computed here."""
    run, plan, _ = trained
    val = plan.splits.parts["val"]
    blank = plan.task.baselines()["blank"]
    samples = [val[i] for i in _spread(val.records)]
    mean = np.mean([plan.task.measure(blank(sample), sample)["psnr"] for sample in samples])
    cells = page_of(run).cells
    header = cells.index("blank") - cells.index("metric")
    assert cells[cells.index("psnr") + header] == figure(float(mean))


def test_nothing_is_left_beside(trained):
    assert not list(trained[0].rglob("*.part"))


def test_a_second_report_replaces_the_pictures(run, trained):
    plan = trained[1]
    (run / "samples").mkdir()
    (run / "samples" / "worst-old.png").write_bytes(b"")
    (run / "samples" / "mine.png").write_bytes(b"")
    write_report(run, plan.task, plan.splits, [])
    names = {path.name for path in (run / "samples").iterdir()}
    assert "worst-old.png" not in names
    assert "mine.png" in names
    assert len(names) == 3 + N_WORST


class Wordless(Sobel):
    """No picture, no truth, no baselines, and metrics that are not numbers."""

    def picture(self, result):
        return None

    def truth(self, sample):
        return None

    def baselines(self):
        return {}

    def measure(self, result, sample):
        return dict.fromkeys(self.metrics, float("nan"))


def test_a_task_without_pictures_or_figures(run, trained):
    plan = trained[1]
    write_report(run, Wordless(plan.task.options), plan.splits, [])
    page = page_of(run)
    (path,) = (run / "samples").iterdir()
    assert path.name.startswith("sample-")
    assert len(page.images) == 2
    assert page.cells[page.cells.index("psnr") + 1] == "–"
    assert "nan" not in page.cells


@pytest.mark.parametrize(("n", "ranks"), [(1, {"sample"}), (2, {"best", "worst"})])
def test_few_validation_samples(run, trained, n, ranks):
    plan = trained[1]
    few = {**plan.splits.parts, "val": plan.splits.parts["val"].subset(range(n))}
    write_report(run, plan.task, replace(plan.splits, parts=few), [])
    assert {path.name.partition("-")[0] for path in (run / "samples").iterdir()} == ranks


@pytest.mark.parametrize("empty", [True, False])
def test_without_validation_samples_the_page_says_so(run, trained, empty):
    plan = trained[1]
    parts = {"train": plan.splits.parts["train"]}
    if empty:
        parts["val"] = parts["train"].subset([])
    splits = Splits(name="mine", parts=parts, stated=False, whole=plan.splits.whole)
    write_report(run, plan.task, splits, [])
    assert "There are no validation samples" in page_of(run).text


def test_without_rows_of_steps(run, trained):
    plan = trained[1]
    rows = (run / "metrics.jsonl").read_text().splitlines()
    kept = [row for row in rows if json.loads(row)["kind"] == "validation"]
    (run / "metrics.jsonl").write_text("".join(f"{row}\n" for row in kept))
    write_report(run, plan.task, plan.splits, [])
    assert "shorter than one interval" in page_of(run).text


def test_the_closing_phase_has_its_own_chart(run, trained):
    plan = trained[1]
    row = {"kind": "step", "step": 4, "epoch": 0, "lr": 0.0, "samples_per_s": 0.0,
           "wait_share": 0.0, "elapsed_s": 2.0}  # fmt: skip
    with (run / "metrics.jsonl").open("a") as file:
        for loss in (0.25, 0.125, None):
            file.write(json.dumps({**row, "losses": {"polish": loss}}) + "\n")
    write_report(run, plan.task, plan.splits, [])
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "polishing. loss: 0.25 at interval 1, 0.125 at 2" in text
    assert "polish:" not in text


def test_samples_are_spread_and_bounded(trained):
    records = trained[1].splits.parts["train"].records
    many = records * 10
    assert _spread(many)[0] == 0
    assert len(_spread(many)) == len(set(_spread(many))) == MOST_SAMPLES
    assert _spread(many)[-1] > len(many) * 0.9
    huge = [replace(record, height=4000, width=6000) for record in many]
    assert len(_spread(huge)) == 3
    assert _spread(huge[:1]) == [0]
