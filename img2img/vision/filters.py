"""Image filters: the truth that `sobel` learns, computed in float32 and rounded by nobody.

The default target, stated once: grey by BT.601 (0.299 R + 0.587 G + 0.114 B), Gaussian 3×3
(1 2 1)/4 in both directions, Sobel 3×3 in x and y, magnitude sqrt(gx² + gy²), clipped to 0…255.
All in float32, borders reflect-101, which is what OpenCV gives on float32 pictures.
"""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.errors import DataError, UsageError, unknown_name
from img2img.vision.types import Image

Plane = NDArray[np.float32]
"""(H, W) float32 in 0…255, or signed before the offset."""

GRADIENTS = ("sobel", "scharr", "prewitt")
NAMES = (*GRADIENTS, "laplacian", "gaussian", "emboss")
PREFIXES = ("random:", "kernel:", "python:")

_LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
_EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFilter:
    """A filter from a picture (H, W, 3) uint8 RGB to (H, W) float32 in 0…255.

    Attributes:
        kernels: one linear kernel, or two whose magnitude counts; empty for a function.
        blur_size: side of the Gaussian before the kernels, 0 for none.
        magnitude: whether the answer is the Euclidean norm over the kernels.
        offset: added at the end; 128 shows signed values of kernels that sum to zero.
        function: a function of the user's that replaces all of it.
    """

    kernels: tuple[NDArray[np.float32], ...] = ()
    blur_size: int = 0
    magnitude: bool = True
    offset: float = 0.0
    function: Callable[[Image], NDArray[np.generic]] | None = None

    def __call__(
        self, image: Image, *, border: int = cv2.BORDER_REFLECT_101, stages: type = np.float32
    ) -> Plane:
        """The target. `border` and `stages` (np.uint8 rounds between the stages) exist for the
        baselines that show what those two habits cost."""
        if self.function is not None:
            return _answer_of(self.function, image)
        grey = _rounded(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY), stages)
        if self.blur_size:
            size = (self.blur_size, self.blur_size)
            grey = _rounded(cv2.GaussianBlur(grey, size, 0, borderType=border), stages)
        planes = [cv2.filter2D(grey, cv2.CV_32F, k, borderType=border) for k in self.kernels]
        if self.magnitude:
            # Not cv2.magnitude: its last bit depends on where in memory its arguments lie.
            planes = [np.sqrt(sum(plane * plane for plane in planes))]
        plane: Plane = np.clip(planes[0] + np.float32(self.offset), 0, 255)
        return plane.astype(np.float32, copy=False)


def make_filter(
    name: str,
    *,
    output: Literal["auto", "magnitude", "signed", "x", "y"] = "auto",
    kernel_size: int = 3,
    blur_size: int | None = None,
    scale: float = 1.0,
) -> ImageFilter:
    """The filter of that name.

    Args:
        name: one of `NAMES`, or `random:SEED`, `kernel:FILE`, `kernel:[[…],[…]]` (rows as JSON),
            `python:FILE.py:FUNCTION`.
        output: `magnitude`, one signed derivative (`x`, `y`) or the signed kernel (`signed`);
            `auto` is the magnitude for derivatives and the signed value for other kernels.
        kernel_size: side of the kernel in pixels, odd; derivatives larger than 3 are scaled to
            the gain of their 3×3 kernel. A kernel of the user's has its own size.
        blur_size: side of the Gaussian before it; None: 3 for derivatives, none for others.
        scale: factor on the kernel.

    Raises:
        UsageError: unknown name or a combination that makes no sense.
        DataError: the file of `kernel:` or `python:` cannot be used.
    """
    if name.startswith("python:"):
        return ImageFilter(function=_load_function(name.removeprefix("python:")))
    for option, size in (("kernel_size", kernel_size), ("blur_size", blur_size)):
        if size and size % 2 == 0:
            raise UsageError(f"task.{option} cannot be {size}: it must be odd.")
    derivative = name in GRADIENTS or name == "laplacian"
    kernels = _kernels(name, kernel_size)
    if output in ("x", "y"):
        if name not in GRADIENTS:
            raise UsageError(f"task.output={output} needs one of {', '.join(GRADIENTS)}.")
        kernels = (kernels["xy".index(output)],)
    elif output == "signed" and len(kernels) > 1:
        raise UsageError(f"task.output=signed of {name} is either x or y: choose one of them.")
    magnitude = output == "magnitude" or (output == "auto" and derivative)
    scaled = tuple((kernel * np.float32(scale)).astype(np.float32) for kernel in kernels)
    sums_to_zero = abs(float(scaled[0].sum())) < 1e-3 * float(np.abs(scaled[0]).sum())
    return ImageFilter(
        kernels=scaled,
        blur_size=(3 if derivative else 0) if blur_size is None else blur_size,
        magnitude=magnitude,
        offset=0.0 if magnitude or not sums_to_zero else 128.0,
    )


def reach_px(name: str, kernel_size: int, blur_size: int | None) -> int:
    """Pixels around a pixel that its target depends on (0 if unknown, for `python:`)."""
    if name.startswith("python:"):
        return 0
    made = make_filter(name, kernel_size=kernel_size, blur_size=blur_size)
    sides = int(max(max(kernel.shape) for kernel in made.kernels))
    return sides // 2 + made.blur_size // 2


def _kernels(name: str, size: int) -> tuple[NDArray[np.float32], ...]:
    if name in GRADIENTS:
        return _gradient(name, size)
    if name == "laplacian":
        if size == 3:
            return (_LAPLACIAN,)
        second, smooth = cv2.getDerivKernels(2, 0, size, normalize=False)
        kernel = smooth @ second.T + second @ smooth.T
        return ((kernel * (np.abs(_LAPLACIAN).sum() / np.abs(kernel).sum())).astype(np.float32),)
    if name == "gaussian":
        line = cv2.getGaussianKernel(size, 0, cv2.CV_32F)
        return ((line @ line.T).astype(np.float32),)
    if name == "emboss":
        if size != 3:
            raise UsageError(f"task.kernel_size={size}: emboss exists as 3×3 only.")
        return (_EMBOSS,)
    if name.startswith("random:"):
        return (_random_kernel(name.removeprefix("random:"), size),)
    if name.startswith("kernel:"):
        return (_read_kernel(name.removeprefix("kernel:")),)
    raise unknown_name("filter", name, [*NAMES, *(f"{prefix}…" for prefix in PREFIXES)])


def _gradient(name: str, size: int) -> tuple[NDArray[np.float32], ...]:
    """Kernels of the derivatives in x and in y, each the other's transpose."""
    if name != "sobel" and size != 3:
        raise UsageError(f"task.kernel_size={size}: {name} exists as 3×3 only.")
    if name == "sobel":
        derivative, smooth = (k.ravel() for k in cv2.getDerivKernels(1, 0, size))
        gain = np.abs(derivative).sum() * smooth.sum()
        derivative = derivative * (8 / gain)
    else:
        derivative = np.array([-1, 0, 1], np.float32)
        smooth = np.array([3, 10, 3] if name == "scharr" else [1, 1, 1], np.float32)
    in_x = np.outer(smooth, derivative).astype(np.float32)
    return in_x, np.ascontiguousarray(in_x.T)


def _random_kernel(seed: str, size: int) -> NDArray[np.float32]:
    """Normal weights, shifted to sum to zero and scaled to half the gain of Sobel."""
    if not seed.isdigit():
        raise UsageError(f"task.filter=random:{seed} needs a whole number as its seed.")
    kernel = np.random.default_rng(int(seed)).normal(size=(size, size))
    kernel -= kernel.mean() if size > 1 else 0.0
    kernel *= 4 / np.abs(kernel).sum()
    return kernel.astype(np.float32)


def with_inline_kernel(name: str) -> str:
    """The filter's name; `kernel:FILE` as `kernel:[[…],[…]]`, with the numbers of the file.

    Raises:
        DataError: the file cannot be used.
    """
    if not name.startswith("kernel:") or name.startswith("kernel:["):
        return name
    kernel = _read_kernel(name.removeprefix("kernel:"))
    # str gives the shortest number that means the same float32.
    rows = [[float(str(number)) for number in row] for row in kernel]
    return f"kernel:{json.dumps(rows, separators=(',', ':'))}"


def _read_kernel(source: str) -> NDArray[np.float32]:
    """The kernel of a text file, or of JSON rows."""
    try:
        if source.startswith("["):
            kernel = np.asarray(json.loads(source), np.float32)
        else:
            path = Path(source)
            kernel = np.loadtxt(path, dtype=np.float32, ndmin=2, delimiter=_delimiter(path))
    except (OSError, ValueError, TypeError) as error:
        wanted = "is no text file of numbers (nor their rows as JSON)"
        raise DataError(f"task.filter=kernel:{source} {wanted}: {error}.") from None
    if kernel.ndim != 2 or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise DataError(f"task.filter=kernel:{source} must have odd sides, not {kernel.shape}.")
    if not np.isfinite(kernel).all():
        raise DataError(f"task.filter=kernel:{source} holds a number that is not finite.")
    return kernel


def _delimiter(path: Path) -> str | None:
    return "," if "," in path.read_text(encoding="utf-8") else None


def _load_function(target: str) -> Callable[[Image], NDArray[np.generic]]:
    file, _, name = target.rpartition(":")
    spec = importlib.util.spec_from_file_location("img2img_filter", file) if file else None
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise DataError(f"task.filter=python:{target} needs an existing FILE.py:FUNCTION.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's own code raises
        raise DataError(f"task.filter=python:{target} cannot be loaded: {error}.") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise DataError(f"task.filter=python:{target}: {file} has no function {name!r}.")
    return function  # type: ignore[no-any-return]


def _answer_of(function: Callable[[Image], NDArray[np.generic]], image: Image) -> Plane:
    try:
        plane = np.asarray(function(image.copy()), np.float32)
    except Exception as error:  # a user's code may raise anything
        name = getattr(function, "__name__", "")
        raise DataError(f"the filter function {name} failed: {error!r}.") from error
    if plane.shape == (*image.shape[:2], 1):
        plane = plane[..., 0]
    if plane.shape != image.shape[:2]:
        raise DataError(
            f"the filter function gave shape {plane.shape} for a picture of {image.shape[:2]}; "
            "it must give one number a pixel."
        )
    clipped: Plane = np.clip(np.nan_to_num(plane), 0, 255)
    return clipped


def _rounded(plane: "cv2.typing.MatLike", stages: type) -> "cv2.typing.MatLike":
    return plane if stages is np.float32 else np.clip(np.rint(plane), 0, 255).astype(stages)
