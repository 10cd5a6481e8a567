"""Line charts."""

import math
import re
import xml.etree.ElementTree as Xml

import pytest

from img2img.report.plots import Series, line_chart, linear_axis, log_axis, tick_text


def chart(*series, **options):
    return line_chart(series, title="loss", **options)


def lines(svg):
    """The points of every line with more than an axis's one."""
    drawn = []
    for path in Xml.fromstring(svg).iter("path"):
        if path.get("fill") == "none":
            drawn.append([tuple(map(float, p.split())) for p in path.get("d")[1:].split("L")])
    return drawn


def texts(svg):
    return [text.text for text in Xml.fromstring(svg).iter("text")]


def test_points_lie_where_they_should():
    (points,) = lines(chart(Series(name="a", x=[0, 10, 20], y=[0.0, 1.0, 2.0])))
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y2 < y0, "up is more"


def test_a_log_axis_spaces_decades_evenly():
    series = Series(name="a", x=[0, 1, 2], y=[1.0, 10.0, 100.0])
    (points,) = lines(chart(series, log=True, unit="levels"))
    assert points[0][1] - points[1][1] == pytest.approx(points[1][1] - points[2][1], abs=0.2)
    assert {"1", "10", "100", "levels (log)"} <= set(texts(chart(series, log=True, unit="levels")))


@pytest.mark.parametrize("y", [[0.0, 10.0, 100.0], [-1.0, 5.0, 100.0], [1.0, 2.0, 3.0]])
def test_a_log_axis_is_not_forced(y):
    assert "log" not in texts(chart(Series(name="a", x=[0, 1, 2], y=y), log=True))


@pytest.mark.parametrize("hole", [None, math.nan, math.inf])
def test_a_hole_breaks_the_line(hole):
    svg = chart(Series(name="a", x=range(5), y=[1.0, 2.0, hole, 3.0, 4.0]))
    assert [len(line) for line in lines(svg)] == [2, 2]
    assert "nan" not in svg
    assert "inf" not in svg.replace("inherit", "")


@pytest.mark.parametrize("y", [[], [None], [math.nan]])
def test_nothing_finite_draws_nothing(y):
    assert chart(Series(name="a", x=range(len(y)), y=y)) == ""


def test_a_single_point_is_a_dot():
    svg = chart(Series(name="a", x=[4], y=[0.0]))
    assert svg.count("<circle") == 1
    assert "nan" not in svg


def test_many_points_are_averaged():
    n = 10_000
    svg = chart(Series(name="a", x=range(n), y=[float(i % 2) for i in range(n)]))
    (points,) = lines(svg)
    assert 100 < len(points) <= 240
    assert len(svg) < 10_000
    assert points[0][1] == pytest.approx(points[-1][1], abs=3)


def test_several_lines_have_a_legend_and_differ_without_colour():
    svg = chart(*(Series(name=f"term <{i}>", x=[0, 1], y=[i, i + 1]) for i in range(3)))
    assert {"term <0>", "term <1>", "term <2>"} <= {t.replace("…", "") for t in texts(svg)}
    dashes = re.findall(r'fill="none"[^>]*stroke-dasharray="([^"]*)"', svg)
    assert len(set(dashes)) == 3
    assert "term" not in " ".join(texts(chart(Series(name="term", x=[0, 1], y=[0, 1]))))


def entries(names):
    """(x, text) of the legend."""
    svg = chart(*(Series(name=name, x=[0, 1], y=[0, 1]) for name in names))
    return [(float(t.get("x")), t.text) for t in Xml.fromstring(svg).iter("text")
            if t.get("y") == "16"]  # fmt: skip


def test_a_legend_is_cut_only_where_it_must_be():
    names = ["l1", "gan", "discriminator"]
    assert [text for _, text in entries(names)] == names
    cut = entries(["l1", *(f"a very long name of a term {i}" for i in range(3))])
    assert cut[0][1] == "l1"
    assert all(text.endswith("…") and len(text) > 3 for _, text in cut[1:])
    assert cut[-1][0] + 7.5 * len(cut[-1][1]) <= 440


def test_steps_are_whole():
    svg = chart(Series(name="a", x=range(2, 5), y=[1, 2, 3]))
    axis = [t.text for t in Xml.fromstring(svg).iter("text") if t.get("y") == "219"]
    assert axis == ["2", "3", "4"]


def test_it_is_told_in_words_and_escaped():
    svg = line_chart([Series(name="a&b", x=[1, 9], y=[3.0, 2.5])], title="<script>")
    root = Xml.fromstring(svg)
    assert root.find("title").text == "<script>"
    assert "a&b: 3 at step 1, 2.5 at 9" in root.find("desc").text
    assert root.get("role") == "img"


def test_colours_follow_the_page():
    svg = chart(Series(name="a", x=[0, 1], y=[0, 1]))
    assert "var(--series-1" in svg
    assert "currentColor" in svg
    assert "http" not in svg


def test_a_mark_stands_at_its_x():
    series = Series(name="a", x=[0, 100], y=[0.0, 1.0])
    assert "best" in texts(chart(series, mark=(50.0, "best")))
    assert "best" not in texts(chart(series, mark=(500.0, "best")))


@pytest.mark.parametrize(
    "values", [[0.0, 1.0], [3.0, 3.0], [-5.0, 1e6], [1e-9, 2e-9], [0.0, 0.0], [99.98, 99.99]]
)
def test_linear_ticks_are_few_round_and_inside(values):
    axis = linear_axis(values, n_ticks=5)
    assert 2 <= len(axis.ticks) <= 7
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    assert axis.low <= min(values) <= max(values) <= axis.high
    assert len({tick_text(tick) for tick in axis.ticks}) == len(axis.ticks)


def test_a_share_has_no_negative_axis():
    assert linear_axis([0.01, 0.9], n_ticks=5).low == 0


@pytest.mark.parametrize("values", [[1e-6, 1.0], [0.02, 0.3], [1e-30, 1e30]])
def test_log_ticks_are_few_and_inside(values):
    axis = log_axis(values)
    assert 2 <= len(axis.ticks) <= 14
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)


def test_tick_texts():
    values = [0, 0.5, 1500, 2e6, 1e-4, -20]
    assert [tick_text(v) for v in values] == ["0", "0.5", "1.5k", "2M", "1e-4", "-20"]
