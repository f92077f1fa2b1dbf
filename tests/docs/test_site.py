"""The built site in a real browser: its start, an example, its search, and no page too wide."""

import shutil
import subprocess
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "docs" / "_build"
CHROMIUM = shutil.which("chromium")
OFFLINE = "--disable-background-networking --disable-component-update --disable-quic --disable-sync"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="needs `make docs`"),
]


@pytest.fixture
def opened(tmp_path):
    """What a page holds after its scripts have run."""

    def open_page(address):
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        options += ["--allow-file-access-from-files", "--virtual-time-budget=5000"]
        command = [CHROMIUM, *options, *OFFLINE.split(), f"--user-data-dir={tmp_path / 'profile'}"]
        done = subprocess.run(
            [*command, "--dump-dom", address], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return open_page


def test_start(opened):
    page = opened((SITE / "index.html").as_uri())
    assert "learn from features that exist only at training" in page
    assert "<title" in page
    assert 'id="method-title"' in page


def test_an_example(opened):
    page = opened((SITE / "gallery" / "plot_quickstart.html").as_uri())
    assert "sphx_glr_plot_quickstart_001.png" in page
    assert "plot_quickstart.ipynb" in page


def test_search(opened):
    page = opened((SITE / "search.html").as_uri() + "?q=privileged_gain")
    assert "sklearn_gkd.evaluation.privileged_gain.html" in page


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    "page", ["index", "evidence", "guide/help", "reference/generated/sklearn_gkd.GKDClassifier"]
)
def test_no_page_scrolls_sideways(opened, tmp_path, page, width):
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"""<iframe src="{(SITE / f"{page}.html").as_uri()}" style="width: {width}px"></iframe>
        <script>
        const frame = document.querySelector("iframe");
        frame.onload = () => {{
            const root = frame.contentDocument.documentElement;
            document.title = `too wide by ${{root.scrollWidth - root.clientWidth}}`;
        }};
        </script>"""
    )
    assert "<title>too wide by 0</title>" in opened(frame.as_uri())
