"""Every `img2img` line of README and docs is a command that works; every local link leads on."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import img2img

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def commands(page: Path) -> list[str]:
    """The commands in the page's ```sh blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("img2img ")]


@pytest.fixture
def workplace(exact_run: Path, tmp_path: Path) -> Path:
    """The files that the pages speak of."""
    made = img2img("data", "make", "sobel", "--n", 8, "--size", 64, "--out", "photos", cwd=tmp_path)
    assert made.code == 0
    shutil.copytree(tmp_path / "photos", tmp_path / "my" / "photos")
    picture = next((tmp_path / "photos" / "train").iterdir())
    shutil.copy(picture, tmp_path / "photo.jpg")
    shutil.copytree(exact_run, tmp_path / "runs" / "mine")
    (tmp_path / "list.txt").write_text("photo.jpg\n")
    (tmp_path / "mine.toml").write_text('[train]\nlr = 0.01\n[task]\nfilter = "scharr"\n')
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_work(page: Path, workplace: Path) -> None:
    for line in commands(page):
        words = shlex.split(line.split("||")[0], comments=True)[1:]
        if words[0] == "train":
            # Trainings are resolved, built and measured, not run.
            words += ["--dry-run", "--set", "data.n_generated=16"][
                : 1 if "--resume" in words else 3
            ]
            if "--out" in words:
                words[words.index("--out") + 1] = "new"
        if words[0] in ("eval", "compare") and "--data" not in words:
            words += ["--data", "photos"]
        done = img2img(*words, cwd=workplace)
        assert done.code == 0, f"{line}: {done.err}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert {"index.html", "predict.html", "data-make.html", "pix2pix.html"} <= {
        page.name for page in pages
    }
    for page in pages:
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"([^\"]+)",
                            page.read_text(encoding="utf-8"))  # fmt: skip
        away = [address for address in loaded if re.match(r"(?:https?:)?//", address)]
        assert [a for a in away if "canonical" not in a] == [], page.name


def described() -> dict[str, set[str]]:
    """{folder below img2img: names of the modules that the map of the architecture gives there}."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    (drawn,) = re.findall(r"```text\nimg2img/\n(.*?)```", text, re.DOTALL)
    found: dict[str, set[str]] = {}
    folders = [""]
    for line in drawn.splitlines():
        indent = len(line) - len(line.lstrip())
        folders = folders[: indent // 2]
        if named := re.match(r"\s*(\w+)/\s", line):
            folders.append(named[1])
        place = "/".join(folder for folder in folders if folder)
        found.setdefault(place, set()).update(re.findall(r"\b(\w+\.py)\b", line))
    return found


def test_the_map_of_the_architecture_names_the_modules_that_exist() -> None:
    for folder, named in described().items():
        modules = {path.name for path in (ROOT / "img2img" / folder).glob("[!_]*.py")}
        assert named <= modules, f"gone from {folder}: {named - modules}"
        # One file a command, a format, a generator: of these only what is shared is named.
        if folder not in ("cli", "data/formats", "data/synth"):
            assert named == modules, f"new in {folder}: {modules - named}"
