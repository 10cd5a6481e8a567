"""The target equals OpenCV on float32 pictures, and a convolution written out by hand."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from img2img.errors import DataError, UsageError
from img2img.tasks.sobel import SobelOptions
from img2img.vision.filters import make_filter, reach_px

Floats = NDArray[np.float64]
ALL = ["sobel", "scharr", "prewitt", "laplacian", "gaussian", "emboss", "random:3"]
sizes = st.sampled_from([(1, 1), (1, 2), (1, 9), (7, 1), (2, 2), (3, 2), (5, 5), (24, 17)])

SMOOTH = np.outer([1, 2, 1], [1, 2, 1]) / 16
KERNELS = {
    "sobel": np.outer([1, 2, 1], [-1, 0, 1]),
    "scharr": np.outer([3, 10, 3], [-1, 0, 1]),
    "prewitt": np.outer([1, 1, 1], [-1, 0, 1]),
    "laplacian": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "emboss": np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
}


def _picture(shape: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def _mirrored(index: int, length: int) -> int:
    """Reflect-101, one step at a time."""
    while length > 1 and not 0 <= index < length:
        index = -index if index < 0 else 2 * (length - 1) - index
    return index if length > 1 else 0


def _correlated(plane: Floats, kernel: Floats) -> Floats:
    """Correlation with reflect-101 borders, straight from its definition."""
    answer = np.zeros_like(plane)
    height, width = plane.shape
    reach_y, reach_x = kernel.shape[0] // 2, kernel.shape[1] // 2
    for (ky, kx), weight in np.ndenumerate(kernel):
        rows = [_mirrored(y + ky - reach_y, height) for y in range(height)]
        columns = [_mirrored(x + kx - reach_x, width) for x in range(width)]
        answer += weight * plane[np.ix_(rows, columns)]
    return answer


def _grey(image: NDArray[np.uint8]) -> Floats:
    return image.astype(np.float64) @ [0.299, 0.587, 0.114]


@settings(deadline=None, max_examples=40)
@given(shape=sizes, seed=st.integers(0, 1000), name=st.sampled_from(["sobel", "scharr", "prewitt"]))
def test_magnitudes_equal_a_convolution_by_hand(
    shape: tuple[int, int], seed: int, name: str
) -> None:
    image = _picture(shape, seed)
    blurred = _correlated(_grey(image), SMOOTH)
    in_x, in_y = (_correlated(blurred, kernel) for kernel in (KERNELS[name], KERNELS[name].T))
    expected = np.clip(np.hypot(in_x, in_y), 0, 255)
    answer = make_filter(name)(image)
    assert answer.dtype == np.float32
    assert answer.shape == shape
    # The root turns rounding of 1e-4 around zero into more: squares are compared there.
    np.testing.assert_allclose(answer, expected, atol=2e-3)
    np.testing.assert_allclose(make_filter(name, output="y")(image),
                               np.clip(in_y + 128, 0, 255), atol=2e-3)  # fmt: skip


@settings(deadline=None, max_examples=20)
@given(shape=sizes, seed=st.integers(0, 1000))
def test_signed_filters_equal_a_convolution_by_hand(shape: tuple[int, int], seed: int) -> None:
    image = _picture(shape, seed)
    grey = _grey(image)
    emboss = np.clip(_correlated(grey, KERNELS["emboss"]), 0, 255)
    np.testing.assert_allclose(make_filter("emboss")(image), emboss, atol=2e-3)
    laplacian = _correlated(_correlated(grey, SMOOTH), KERNELS["laplacian"])
    np.testing.assert_allclose(
        make_filter("laplacian")(image), np.clip(np.abs(laplacian), 0, 255), atol=2e-3
    )
    signed = make_filter("laplacian", output="signed", blur_size=0, scale=0.25)(image)
    expected = np.clip(0.25 * _correlated(grey, KERNELS["laplacian"]) + 128, 0, 255)
    np.testing.assert_allclose(signed, expected, atol=2e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (48, 31)])
def test_the_default_target_equals_plain_opencv(shape: tuple[int, int]) -> None:
    image = _picture(shape)
    grey = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY).reshape(shape)
    grey = cv2.GaussianBlur(grey, (3, 3), 0)
    in_x, in_y = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    expected = np.clip(cv2.magnitude(in_x, in_y), 0, 255)
    np.testing.assert_allclose(make_filter("sobel")(image), expected, atol=2e-4)


@pytest.mark.parametrize("name", ["sobel", "scharr", "laplacian"])
def test_derivatives_equal_opencvs_own(name: str) -> None:
    image = _picture((20, 23))
    grey = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)
    theirs = {
        "sobel": lambda: cv2.Sobel(grey, cv2.CV_32F, 1, 0),
        "scharr": lambda: cv2.Scharr(grey, cv2.CV_32F, 1, 0),
        "laplacian": lambda: cv2.Laplacian(grey, cv2.CV_32F),
    }[name]()
    output = "signed" if name == "laplacian" else "x"
    ours = make_filter(name, output=output, blur_size=0, scale=0.05)(image)  # type: ignore[arg-type]
    np.testing.assert_allclose(ours, np.clip(theirs * 0.05 + 128, 0, 255), atol=2e-4)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_larger_gaussians_equal_opencv(size: int) -> None:
    image = _picture((20, 23))
    grey = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)
    answer = make_filter("gaussian", kernel_size=size)(image)
    np.testing.assert_allclose(answer, cv2.GaussianBlur(grey, (size, size), 0), atol=2e-4)


@pytest.mark.parametrize("name", ALL)
def test_where_a_picture_lies_in_memory_changes_no_bit(name: str) -> None:
    """Resumed trainings are equal bit for bit only if targets are (cv2.magnitude is not)."""
    image, made = _picture((32, 33)), make_filter(name)
    buffers = [np.empty(image.size + offset, np.uint8) for offset in range(1, 40)]
    copies = [buffer[len(buffer) - image.size :].reshape(image.shape) for buffer in buffers]
    for copy in copies:
        copy[...] = image
    junk = [np.empty(size, np.uint8) for size in range(1000, 1100, 7)]
    assert len({made(copy).tobytes() for copy in copies}) == 1
    assert junk


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (9, 8)])
def test_every_filter_answers_every_size_in_range(name: str, shape: tuple[int, int]) -> None:
    image = _picture(shape)
    answer = make_filter(name)(image)
    assert answer.shape == shape
    assert answer.dtype == np.float32
    assert answer.min() >= 0
    assert answer.max() <= 255


@pytest.mark.parametrize("name", ["sobel", "laplacian", "random:1", "gaussian"])
@pytest.mark.parametrize("size", [3, 5, 7])
def test_a_target_reaches_as_far_as_stated(name: str, size: int) -> None:
    made = make_filter(name, kernel_size=size)
    flat = np.full((41, 41, 3), 100, np.uint8)
    dotted = flat.copy()
    dotted[20, 20] = 200
    changed = np.argwhere(np.abs(made(dotted) - made(flat)) > 1e-3)
    reach = reach_px(name, size, None)
    assert np.abs(changed - 20).max() == reach


def test_a_kernel_file_and_a_function_file_are_obeyed(tmp_path: Path) -> None:
    image = _picture((9, 8))
    for text in ("0 0 0\n0 0 1\n0 0 0\n", "0, 0, 0\n0, 0, 1\n0, 0, 0\n"):
        (tmp_path / "kernel.txt").write_text(text)
        answer = make_filter(f"kernel:{tmp_path}/kernel.txt")(image)
        np.testing.assert_allclose(answer[:, :-1], _grey(image)[:, 1:], atol=1e-3)
    (tmp_path / "mine.py").write_text(
        "def red(image):\n    return image[..., 0] * 2.0\n"
        "def wrong(image):\n    return image[:1, :1, 0]\n"
    )
    answer = make_filter(f"python:{tmp_path}/mine.py:red")(image)
    np.testing.assert_array_equal(answer, np.minimum(image[..., 0] * 2.0, 255))
    with pytest.raises(DataError, match="one number a pixel"):
        make_filter(f"python:{tmp_path}/mine.py:wrong")(image)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"name": "sobl"}, "did you mean 'sobel'"),
        ({"name": "sobel", "kernel_size": 4}, "odd"),
        ({"name": "sobel", "blur_size": 4}, "task.blur_size cannot be 4: it must be odd"),
        ({"name": "scharr", "kernel_size": 5}, "3×3"),
        ({"name": "emboss", "kernel_size": 5}, "3×3"),
        ({"name": "gaussian", "output": "x"}, "sobel, scharr, prewitt"),
        ({"name": "sobel", "output": "signed"}, "x or y"),
        ({"name": "random:x"}, "whole number"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        make_filter(**options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=named):
        SobelOptions(**{"filter" if k == "name" else k: v for k, v in options.items()})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "1 2\n3 4\n", "1 a 2\n", "1 2 nan\n"])
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_kernel_files_that_cannot_be_used_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "kernel.txt").write_text(text)
    with pytest.raises(DataError, match=r"kernel\.txt"):
        make_filter(f"kernel:{tmp_path}/kernel.txt")


@pytest.mark.parametrize(
    "rows", ["[]", "[[]]", "[[1,2],[3,4]]", "[[1],[2,3],[4]]", '[["a"]]', "[[1e99]]", "[[1]", "[1]"]
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_inline_kernels_that_cannot_be_used_are_refused(rows: str) -> None:
    with pytest.raises(DataError, match=re.escape(rows)):
        make_filter(f"kernel:{rows}")


def test_options_hold_the_numbers_of_a_kernel_not_its_file(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    kernel[0, 0] = 0.1
    path = tmp_path / "kernel.txt"
    np.savetxt(path, kernel, fmt="%.9g")
    expected = make_filter(f"kernel:{path}").kernels[0]
    np.testing.assert_array_equal(expected, kernel)
    options = SobelOptions(filter=f"kernel:{path}")
    path.unlink()
    assert options.filter.startswith("kernel:[[0.1,")
    assert SobelOptions(filter=options.filter) == options
    np.testing.assert_array_equal(make_filter(options.filter).kernels[0], expected)
    with pytest.raises(DataError, match=r"kernel\.txt"):
        SobelOptions(filter=f"kernel:{path}")


@pytest.mark.parametrize("target", ["missing.py:f", "mine.py", "mine.py:absent", "broken.py:f"])
def test_function_files_that_cannot_be_used_are_refused(target: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    with pytest.raises(DataError, match=target.partition(":")[0]):
        make_filter(f"python:{tmp_path}/{target}")
    with pytest.raises(DataError, match="missing"):
        make_filter(f"kernel:{tmp_path}/missing.txt")
