import hashlib
import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_gkd.datasets import _french_parcels as parcels
from sklearn_gkd.datasets import fetch_french_parcels, load_sits

pytest.importorskip("pooch", reason="needs the extra geo")
pytest.importorskip("pyarrow", reason="needs the extra geo")

REAL = Path(os.environ.get("SKLEARN_GKD_DATA", "."))


class Handler(SimpleHTTPRequestHandler):
    n_requests = 0

    def do_GET(self):
        type(self).n_requests += 1
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def serve(monkeypatch):
    """Serve a file in the place of the real one, and return the class that counts requests."""
    servers = []

    def start(path):
        handler = type("Counting", (Handler,), {})
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=path.parent))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        url = f"http://127.0.0.1:{server.server_port}/{path.name}"
        monkeypatch.setattr(parcels, "URL", url)
        return handler

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def small_file(tmp_path, monkeypatch):
    """A file of the real one's columns: 4 parcels, 3 dates, one of them missing, a gap."""
    rows = [
        ("c", 1101060000, "2023-01-01", 48.27, 0.094),
        ("a", 1101010011, "2023-01-01", 43.3, -0.461),
        ("a", 1101010011, "2023-01-11", 43.3, -0.461),
        ("a", 1101010011, "2023-01-21", 43.3, -0.461),
        ("b", 1206000000, "2023-01-01", 43.3, -0.461),
        ("d", 2001020022, "2023-01-21", 43.3, -0.461),
    ]
    frame = pd.DataFrame(rows, columns=["sample_id", "ewoc_code", "timestamp", "lat", "lon"])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"])
    columns = [*parcels.BANDS_S1.values(), *parcels.BANDS_S2.values()]
    for number, column in enumerate(columns):
        frame[column] = np.arange(6, dtype=np.uint16) + 1000 * (number + 1)
    frame.loc[2, "S2-L2A-B08"] = 65535
    path = tmp_path / "served" / "2023_FRA_LPIS_POLY_110.geoparquet"
    path.parent.mkdir()
    frame.to_parquet(path)
    monkeypatch.setattr(parcels, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_what_a_file_holds(serve, small_file, tmp_path):
    handler = serve(small_file)
    data = fetch_french_parcels(tmp_path / "home")
    assert data.sample_id.tolist() == ["a", "c", "d"]
    assert data.y.tolist() == ["cereals", "maize", "grassland"]
    assert data.groups.tolist() == ["433_-5", "482_0", "433_-5"]
    assert data.dates_s1.tolist() == ["2023-01-01", "2023-01-11", "2023-01-21"]
    assert data.X_s1.shape == (3, 3, 2)
    assert data.X_s2.shape == (3, 3, 9)
    assert data.X_s1.dtype == data.X_s2.dtype == np.float32
    np.testing.assert_allclose(
        data.X_s1[0, :, 0], 20 * np.log10([1001, 1002, 1003]) - 83, rtol=1e-5
    )
    np.testing.assert_array_equal(data.X_s2[0, :, 6], [9001, np.nan, 9003])
    assert np.isnan(data.X_s2[1, 1:]).all()
    np.testing.assert_array_equal(data.X_s2[2, 2], 1000 * np.arange(3, 12) + 5)
    again = fetch_french_parcels(tmp_path / "home")
    np.testing.assert_array_equal(again.X_s2, data.X_s2)
    assert handler.n_requests == 1


def test_another_file_is_refused(serve, small_file, tmp_path, monkeypatch):
    monkeypatch.setattr(parcels, "SHA256", "0" * 64)
    serve(small_file)
    with pytest.raises(ValueError, match="hash"):
        fetch_french_parcels(tmp_path / "home")
    assert not list((tmp_path / "home").rglob("*.geoparquet"))


def test_without_a_network(small_file, tmp_path, monkeypatch):
    monkeypatch.setattr(parcels, "URL", "http://127.0.0.1:9/2023_FRA_LPIS_POLY_110.geoparquet")
    with pytest.raises(OSError, match=r"cannot be downloaded: .* put it into .*home"):
        fetch_french_parcels(tmp_path / "home")
    folder = tmp_path / "home" / "sklearn_gkd"
    folder.mkdir(parents=True, exist_ok=True)
    small_file.rename(folder / small_file.name)
    assert len(fetch_french_parcels(tmp_path / "home").y) == 3


def test_without_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs pooch: pip install 'sklearn-gkd\[geo\]'"):
        fetch_french_parcels(tmp_path)


@pytest.mark.skipif(
    not (REAL / "raw").is_dir(), reason="needs the real file, in SKLEARN_GKD_DATA/raw"
)
def test_the_real_file(serve, tmp_path):
    serve(REAL / "raw" / "2023_FRA_LPIS_POLY_110.geoparquet")
    data = fetch_french_parcels(tmp_path)
    expected = load_sits(REAL / "france_lpis_2023_dekadal.npz")
    for key in expected:
        if key == "X_s1":  # made in single precision
            np.testing.assert_allclose(data[key], expected[key], atol=2e-5)
        else:
            np.testing.assert_array_equal(data[key], expected[key], err_msg=key)
