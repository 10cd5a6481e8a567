"""Names of outputs: never two inputs on one file, never an input."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from img2img.errors import UsageError
from img2img.inference.sources import VIDEO_SUFFIXES, Item, Source
from img2img.inference.writers import OutputNames


def _source(name: str) -> Source:
    path = Path(name)
    return Source(name=name, path=path, is_video=path.suffix in VIDEO_SUFFIXES)


def _written(sources: list[Source], *, overlay: bool) -> list[str]:
    """Every path that is written, frames 0 and 1 of videos; a video's folder counts as one."""
    names = OutputNames(Path("out"), sources, overlay=overlay)
    paths = []
    for source in sources:
        item = Item(source=source, frame=0 if source.is_video else None, load=lambda: None)  # type: ignore[arg-type,return-value]
        picture = names.picture(item)
        paths.append(str(picture.parent if source.is_video else picture))
        if overlay and not source.is_video:
            paths.append(str(names.overlay(item)))
    return paths


COLLIDING = [
    ["a.jpg", "a.png", "a.jpg.bmp"],
    ["a.png", "../a.png"],
    ["/x/a.png", "x/a.png"],
    ["p/q/a.png", "p_q/a.png"],
    ["x/a.png", "y/a.png", "x_a.png.jpg"],
    ["a.png", "a_overlay.png"],
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


@pytest.mark.parametrize(
    ("names", "folder"),
    [(["a.png"], "."), (["link/a.png"], "real"), (["v.mp4", "v/000003.png"], ".")],
)
def test_an_input_is_never_overwritten(
    names: list[str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("real").mkdir()
    Path("link").symlink_to("real")
    with pytest.raises(UsageError, match="would overwrite the input"):
        OutputNames(Path(folder), [_source(name) for name in names])


def test_results_may_lie_beside_their_inputs() -> None:
    assert _written([_source("a.jpg"), _source("out/b.jpg")], overlay=True)
