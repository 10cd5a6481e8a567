"""`bench`: figures with their spread; how fast anything is, no test asks."""

from pathlib import Path

import pytest
from support import img2img, sentence

from img2img.engine.throughput import passage
from img2img.errors import RunError


@pytest.mark.slow
def test_throughput_beside_a_bare_loop(segmentation_run: Path, tmp_path: Path) -> None:
    done = img2img(
        "bench", "segmentation", "--weights", segmentation_run, "--what", "throughput",
        "--pictures", 20, "--repeats", 2, "--json", "-", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    figures = done.json["results"]["throughput"]
    assert {"ratio", "pictures_per_s", "bare_pictures_per_s"} <= set(figures)
    peaks = [figures[f"peak_at_{share}_percent_mib"] for share in (25, 50, 75, 100)]
    for entry in (*peaks, *figures.values()):
        assert 0 < entry["low"] <= entry["median"] <= entry["high"]
        assert entry["n"] == 2
    assert [peak["high"] for peak in peaks] == sorted(peak["high"] for peak in peaks)
    ratio = figures["pictures_per_s"]["low"] / figures["bare_pictures_per_s"]["high"]
    assert figures["ratio"]["low"] >= ratio


@pytest.mark.slow
def test_what_no_bare_loop_does_is_refused(tmp_path: Path) -> None:
    refused = img2img("bench", "keypoints", "--what", "throughput", "--quiet", cwd=tmp_path)
    assert refused.code == 2
    assert "keypoints looks at a picture several times" in sentence(refused)


def test_talk_that_fills_a_pipe_does_not_hold_a_process_up() -> None:
    code = "import sys\nsys.stderr.write('talk\\n' * 50_000 + 'the last word')\nprint('a line')"
    assert passage(["-c", code], 1).pictures_per_s > 0
    with pytest.raises(RunError, match="the last word"):
        passage(["-c", code], 2)
