"""Names of outputs: never two inputs on one file, never an input."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from img2img.errors import InputError, UsageError
from img2img.inference.sources import VIDEO_SUFFIXES, Item, Source, find_sources
from img2img.inference.writers import OVERLAY, PROBABILITIES, OutputNames, ResultTable


def _source(name: str) -> Source:
    path = Path(name)
    return Source(
        name=name, path=path, kind="video" if path.suffix in VIDEO_SUFFIXES else "picture"
    )


def _written(sources: list[Source], *, overlay: bool) -> list[str]:
    """Every path that is written, frames 0 and 1 of videos; a video's folder counts as one."""
    names = OutputNames(Path("out"), sources, beside=[OVERLAY, PROBABILITIES] if overlay else [])
    paths = []
    for source in sources:
        item = Item(source=source, frame=0 if source.is_video else None, load=lambda: None)  # type: ignore[arg-type,return-value]
        picture = names.picture(item)
        paths.append(str(picture.parent if source.is_video else picture))
        if overlay and not source.is_video:
            paths += [str(names.path(item, end)) for end in (OVERLAY, PROBABILITIES)]
    return paths


COLLIDING = [
    ["a.jpg", "a.png", "a.jpg.bmp"],
    ["a.png", "../a.png"],
    ["/x/a.png", "x/a.png"],
    ["p/q/a.png", "p_q/a.png"],
    ["x/a.png", "y/a.png", "x_a.png.jpg"],
    ["a.png", "a_overlay.png"],
    ["a.png", "a_probabilities.mp4"],
    ["a.png", "A.PNG", "a.png.mp4"],
]


@pytest.mark.parametrize("names", COLLIDING)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_colliding_inputs_get_files_of_their_own(names: list[str], *, is_reversed: bool) -> None:
    sources = [_source(name) for name in (names[::-1] if is_reversed else names)]
    written = _written(sources, overlay=True)
    assert len({path.casefold() for path in written}) == len(written)


PARTS = st.sampled_from(["a", "b", "a_b", "A", "..", "a.png", "a_overlay"])
ENDINGS = st.sampled_from([".png", ".jpg", ".jpg.png", ".mp4", ".png.mp4", "_overlay.png", ""])
FILES = st.builds(
    lambda root, parts, end: root + "/".join([*parts, "a"]) + end,
    st.sampled_from(["", "/"]), st.lists(PARTS, max_size=3), ENDINGS,
)  # fmt: skip


@given(st.lists(FILES, min_size=1, max_size=8, unique=True), st.booleans())
def test_no_two_inputs_write_one_file(names: list[str], overlay: bool) -> None:
    written = _written([_source(name) for name in names], overlay=overlay)
    assert len({path.casefold() for path in written}) == len(written)


def test_plain_names_stay_plain() -> None:
    written = _written([_source("x/a.jpg"), _source("b.png"), _source("c.mp4")], overlay=False)
    assert written == ["out/a.png", "out/b.png", "out/c"]


def test_equal_names_keep_their_folders_and_equal_stems_their_endings() -> None:
    names = ["x/a.png", "y/a.png", "b.png", "b.jpg", "x/c.png", "y/c.png", "x/c.jpg", "y/c.jpg"]
    assert _written([_source(name) for name in names], overlay=False) == [
        "out/x_a.png", "out/y_a.png", "out/b.png.png", "out/b.jpg.png",
        "out/x_c.png.png", "out/y_c.png.png", "out/x_c.jpg.png", "out/y_c.jpg.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["a.png"], "."),
        (["link/a.png"], "real"),
        (["v.mp4", "v/000003.png"], "."),
        (["a.jpg", "a_probabilities/egg.png"], "."),
    ],
)
def test_an_input_is_never_overwritten(
    names: list[str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("real").mkdir()
    Path("link").symlink_to("real")
    with pytest.raises(UsageError, match="would overwrite the input"):
        OutputNames(Path(folder), [_source(name) for name in names], beside=[PROBABILITIES])


def test_results_may_lie_beside_their_inputs() -> None:
    assert _written([_source("a.jpg"), _source("out/b.jpg")], overlay=True)


def test_addresses_of_one_path_get_files_of_their_own() -> None:
    asked = ["http://h/image?id=1", "http://h/image?id=2", "http://g/image"]
    sources = find_sources([*asked, "image.png"])
    assert len(set(_written(sources, overlay=True))) == 3 * len(sources)


@pytest.mark.parametrize("name", ["...mp4", "..mp4"])
def test_no_frames_leave_the_folder(name: str) -> None:
    asked = [f"http://evil.org/{name}", f"http:///{name}", f"http://../{name}", name, f"x/{name}"]
    sources = find_sources(asked[:3]) + [_source(each) for each in asked[3:]]
    for chosen in ([each] for each in sources), [sources]:
        for each in chosen:
            paths = [Path(path) for path in _written(each, overlay=True)]
            assert all(path.parts[0] == "out" and len(path.parts) == 2 for path in paths)
            assert not {"..", "."} & {path.name for path in paths}


def test_only_what_is_there_with_all_that_is_wanted_is_skipped(tmp_path: Path) -> None:
    photo = _item(_source("a.png"))
    plain = OutputNames(tmp_path, [photo.source])
    drawn = OutputNames(tmp_path, [photo.source], beside=[OVERLAY])
    assert not plain.all_there(photo)
    (tmp_path / "a.png").touch()
    assert (plain.all_there(photo), drawn.all_there(photo)) == (True, False)
    (tmp_path / "a_overlay.png").touch()
    assert drawn.all_there(photo)


def test_tables_keep_their_names_and_overwrite_no_input(tmp_path: Path) -> None:
    video = _source("keypoints.csv.mp4")
    names = OutputNames(Path("out"), [video], tables=["keypoints.csv"])
    frame = Item(source=video, frame=0, load=lambda: None)  # type: ignore[arg-type,return-value]
    assert names.picture(frame).parent == Path("out/keypoints.csv.mp4")
    table = Source(name="t.csv", path=tmp_path / "t.csv", kind="table")
    row = Item(source=table, frame=7, load=lambda: None)  # type: ignore[arg-type,return-value]
    names = OutputNames(Path("out"), [table])
    assert names.path(row, OVERLAY) == Path("out/t/000007_overlay.png")
    with pytest.raises(UsageError, match=r"would overwrite the input .*t\.csv"):
        OutputNames(tmp_path, [table], tables=["t.csv"])


def _item(source: Source, frame: int | None = None) -> Item:
    return Item(source=source, frame=frame, load=lambda: None)  # type: ignore[arg-type,return-value]


def test_rows_are_in_the_file_as_they_come(tmp_path: Path) -> None:
    photo, video = _source('a "b",c.png'), _source("v.mp4")
    path = tmp_path / "deep" / "faces.csv"
    table = ResultTable(path, ("x", "who"), [photo, video], is_shared=False)
    assert path.read_text() == "input,frame,x,who\n"
    table.add(_item(photo), [{"who": "me", "x": 1 / 3}, {"x": math.nan, "who": ""}])
    table.add(_item(video, 12), [])
    table.add(_item(video, 13), [{"x": 1234.5678, "who": "you"}])
    expected = '"a ""b"",c.png",,'
    lines = [f"{expected}0.333333333,me", f"{expected},", "v.mp4,13,1234.5678,you"]
    assert path.read_text().splitlines()[1:] == lines
    table.finish(table.kept)
    assert path.read_text().splitlines()[1:] == lines


class _Full:
    """A file on a disk that is full for one row, which waits in the buffer then."""

    def __init__(self) -> None:
        self.content, self.n_refused = "", 1

    def write(self, text: str) -> None:
        self.content += text

    def flush(self) -> None:
        self.n_refused -= 1
        if self.n_refused == 0:
            raise OSError(28, "No space left on device")


def test_rows_come_once_though_the_disk_was_full(tmp_path: Path) -> None:
    photo = _source("a.png")
    table = ResultTable(tmp_path / "x.csv", ("x",), [photo], is_shared=True)
    table._file = file = _Full()  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left"):
        table.add(_item(photo), [{"x": 1.0}])
    table.add(_item(photo), [{"x": 2.0}])
    assert file.content == "a.png,,1\na.png,,2\n"


def test_rows_of_several_processes_stand_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    sources = [_source(name) for name in ("a.png", "b.mp4", "c.png")]
    path = tmp_path / "faces.csv"
    path.write_text("older")
    ranks = [ResultTable(path, ("x",), sources, is_shared=True) for _ in range(2)]
    for rank, item in ((0, _item(sources[2])), (1, _item(sources[1], 0)), (1, _item(sources[1], 1)),
                       (0, _item(sources[0]))):  # fmt: skip
        ranks[rank].add(item, [{"x": 1.0}])
    assert path.read_text() == "older"
    ranks[0].finish([*ranks[0].kept, *ranks[1].kept])
    starts = [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()[1:]]
    assert starts == ["a.png,", "b.mp4,0", "b.mp4,1", "c.png,"]


def test_a_table_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(InputError, match=r"x\.csv cannot be written"):
        ResultTable(tmp_path / "x.csv", (), [], is_shared=False)
