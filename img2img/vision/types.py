"""Types of plain arrays that every layer speaks of."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB, or (H, W, C) where a docstring says so."""
