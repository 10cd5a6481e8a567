"""Draws a generated flight as the shipped weights see it: boxes above, laser beams below.

Usage: python examples/draw_lasers.py [OUT.jpg]
Left out: docs/images/lasers.jpg.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from img2img.data.images import read
from img2img.data.synth.ship import Flight
from img2img.data.synth.ship_frames import write_frames
from img2img.report.draw import contact_sheet

N, EVERY, SEED, SIZE = 60, 10, 1, 256


def main(out: Path) -> None:
    """Writes the sheet and prints its size."""
    with tempfile.TemporaryDirectory() as place:
        frames = Path(place, "frames")
        write_frames(frames, Flight(N, seed=SEED, size=SIZE))
        shown = []
        for name, flags in (("boxes", ["--overlay"]), ("beams", ["--lasers"])):
            answers = Path(place, name)
            command = ["predict", "xwing", frames, "--smooth", "filter", "--out", answers, *flags]
            subprocess.run([sys.executable, "-m", "img2img", *map(str, command)], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
            shown += [read(answers / f"{i}_overlay.png") for i in range(4, N, EVERY)]
        n_bytes = contact_sheet(out, shown, N // EVERY)
    print(f"{out}: {n_bytes / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "docs/images/lasers.jpg"))
