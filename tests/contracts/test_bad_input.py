"""Whatever comes in is fitted and predicted well, or refused by an error that names the argument.

One argument of a call is drawn from all that people pass, the others are well formed: an error
must then name the one.
"""

import datetime
import re
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.networks import SeriesNet

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn_gkd.PrivilegedInformationWarning"),
    # What scikit-learn says of y: a column instead of a row, and almost as many classes as rows.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning"),
    pytest.mark.filterwarnings("ignore:The number of unique classes is greater than 50%"),
    pytest.mark.filterwarnings("ignore:The least populated class in y has only"),
    # What it says of a table with column names after one without, and the reverse.
    pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names"),
]

TINY = SeriesNet(
    "mlp",
    module__width=8,
    module__features=4,
    module__head=4,
    max_epochs=1,
    batch_size=16,
)

SHAPES = [(6,), (1,), (3, 2), (1, 3), (4, 1), (0,), (3, 0), (), (2, 3, 2)]
VALUES = {
    "plain": lambda X, at: X,
    "NaN": lambda X, at: _put(X, at, np.nan),
    "inf": lambda X, at: _put(X, at, np.inf),
    "-inf": lambda X, at: _put(X, at, -np.inf),
    "NaN and inf": lambda X, at: _put(_put(X, at, np.nan), at + 1, np.inf),
    "NaN row": lambda X, at: _put(X, at % max(len(X), 1), np.nan, of_rows=True),
    "NaN but two rows": lambda X, at: _only(X, [at % max(len(X), 1), (at + 3) % max(len(X), 1)]),
    "NaN column": lambda X, at: _put(X.T, at % max(len(X.T), 1), np.nan, of_rows=True).T,
    "NaN everywhere": lambda X, at: np.full_like(X, np.nan),
    "many NaN": lambda X, at: np.where(X > 0.3, np.nan, X),
    "constant": lambda X, at: np.full_like(X, 3.25),
    "constant column": lambda X, at: _put(X.T, at % max(len(X.T), 1), 7.0, of_rows=True).T,
    "columns alike": lambda X, at: np.broadcast_to(X[..., :1], X.shape).copy(),
    "tiny": lambda X, at: X * 1e-42,
    "large": lambda X, at: X * 1e18,
    "huge": lambda X, at: X * 1e37,
    "beyond float32": lambda X, at: X * 1e300,
    "one huge": lambda X, at: _put(X, at, 3e38),
    "both ends of float32": lambda X, at: np.where(X > 0.8, 3.3e38, -3.3e38),
    "offset": lambda X, at: X + 1e7,
}


def _put(X, at, value, of_rows=False):
    X = np.array(X)
    if X.size:
        (X if of_rows else X.reshape(-1))[at % len(X) if of_rows else at % X.size] = value
    return X


def _only(X, rows):
    return np.where(np.isin(np.arange(len(X)), rows).reshape(-1, *[1] * (X.ndim - 1)), X, np.nan)


def _memory_map(X):
    if X.size == 0:
        return X
    with tempfile.TemporaryFile() as file:
        file.write(X.tobytes())
        file.flush()
        return np.memmap(file, dtype=X.dtype, mode="r", shape=X.shape)


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def _object(X, value):
    X = X.astype(object)
    return _put(X, 5, value)


def _frame(X, names=None):
    table = np.reshape(X, (len(X), -1)) if len(X) else X.reshape(0, 3)
    if names is not None:
        return pd.DataFrame(table, columns=(names * (table.shape[1] or 1))[: table.shape[1]])
    return pd.DataFrame(table).add_prefix("VV_d")


def _table(X):
    return X.reshape(len(X), -1) if len(X) and X.size else np.zeros((len(X), 3))


CONTAINERS = {
    "float64": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "longdouble": lambda X: X.astype(np.longdouble),
    "big-endian": lambda X: X.astype(">f8"),
    "int8": lambda X: np.nan_to_num(X * 40).astype(np.int8),
    "int64": lambda X: np.nan_to_num(X * 40).astype(np.int64),
    "uint16": lambda X: np.nan_to_num(np.abs(X) * 40).astype(np.uint16),
    "bool": lambda X: X > 0,
    "complex": lambda X: X.astype(complex),
    "object": lambda X: X.astype(object),
    "object, None": lambda X: _object(X, None),
    "object, pd.NA": lambda X: _object(X, pd.NA),
    "object, text": lambda X: _object(X, "cloud"),
    "object, list": lambda X: _object(X, [1, 2]) if X.size == 0 else _object(X, "[1, 2]"),
    "object, date": lambda X: _object(X, datetime.date(2017, 5, 1)),
    "numbers as text": lambda X: X.astype(str),
    "text": lambda X: np.full(X.shape, "cloud"),
    "bytes": lambda X: X.astype(bytes),
    "dates": lambda X: np.full(X.shape, "2017-05-01", dtype="datetime64[D]"),
    "spans": lambda X: np.full(X.shape, 3, dtype="timedelta64[D]"),
    "records": lambda X: np.zeros(len(X), dtype=[("VV", float), ("VH", float)]),
    "list": lambda X: X.tolist(),
    "tuple": lambda X: tuple(X.tolist()),
    "ragged list": lambda X: [[0.5] * (1 + i % 2) for i in range(len(X))],
    "list of arrays": list,
    "CSR": lambda X: scipy.sparse.csr_matrix(_table(X)),
    "COO": lambda X: scipy.sparse.coo_array(_table(X)),
    "masked": lambda X: np.ma.masked_array(X, mask=X > 0.5),
    "masked rows": lambda X: np.ma.masked_array(X, np.resize([[True], [False]], X.shape)),
    "list of masked": lambda X: list(np.ma.masked_array(X, mask=X > 0.5)),
    "nothing masked": lambda X: np.ma.masked_array(X),
    "memory map": _memory_map,
    "read-only": _read_only,
    "Fortran": np.asfortranarray,
    "reversed": lambda X: X[::-1],
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "frame": _frame,
    "frame, numbered": lambda X: pd.DataFrame(_table(X)),
    "frame, same names": lambda X: _frame(X, ["VV"]),
    "frame, mixed names": lambda X: _frame(X, ["VV", 3, None]),
    "frame, text": lambda X: _frame(X).assign(crop="oats"),
    "frame, dates": lambda X: _frame(X).assign(day=pd.Timestamp("2017-05-01")),
    "frame, category": lambda X: _frame(X).assign(crop=pd.Categorical(["oats"] * len(_frame(X)))),
    "frame, nullable": lambda X: _frame(np.round(np.nan_to_num(X, posinf=0, neginf=0) % 9)).astype(
        "Int64"
    ),
    "frame, pd.NA": lambda X: _frame(X).convert_dtypes().astype("Float64"),
    "frame, sparse": lambda X: _frame(X).astype(pd.SparseDtype(float, np.nan)),
    "frame, shuffled index": lambda X: _frame(X).iloc[::-1],
    "polars": lambda X: pl.DataFrame(_table(X)),
    "tensor": lambda X: torch.tensor(X),
    "None": lambda X: None,
    "a number": lambda X: 3.5,
    "a text": lambda X: "fields.npz",
    "a dict": lambda X: {"X": X},
    "empty list": lambda X: [],
    "iterator": lambda X: iter(X.tolist()),
    "generator": lambda X: (row for row in X),
    "a set": lambda X: set(range(len(X))),
    "a path": lambda X: Path("fields.npz"),
    "LazyFrame": lambda X: pl.DataFrame(_table(X)).lazy(),
    "list of sources": lambda X: [X, np.concatenate([X, X], axis=-1)],
}

if hasattr(np.dtypes, "StringDType"):  # since numpy 2
    CONTAINERS["StringDType"] = lambda X: X.astype(str).astype(np.dtypes.StringDType())

LABELS = {
    "text": lambda code: np.array(["maize", "meadow", "forest"])[code],
    "text objects": lambda code: np.array(["maize", "meadow", "forest"], dtype=object)[code],
    "bytes": lambda code: np.array([b"a", b"b", b"c"])[code],
    "list": lambda code: [["maize", "meadow", "forest"][i] for i in code],
    "bool": lambda code: code > 0,
    "ints": lambda code: code,
    "negative ints": lambda code: np.array([-1, -7, 3], dtype=np.int8)[code],
    "large ints": lambda code: np.array([2**63 - 1, -(2**63), 0])[code],
    "unsigned": lambda code: np.array([2**64 - 1, 0, 5], dtype=np.uint64)[code],
    "ints beyond 64 bits": lambda code: np.array([2**70, 1, 2], dtype=object)[code],
    "int objects": lambda code: code.astype(object),
    "whole floats": lambda code: code.astype(np.float32),
    "float16": lambda code: code.astype(np.float16),
    "floats": lambda code: code + 0.5,
    "NaN": lambda code: np.where(code == 1, np.nan, code),
    "inf": lambda code: np.where(code == 1, np.inf, code),
    "None": lambda code: np.array(["maize", None, "forest"], dtype=object)[code],
    "pd.NA": lambda code: np.array(["maize", pd.NA, "forest"], dtype=object)[code],
    "NaN and text": lambda code: np.array(["maize", np.nan, "forest"], dtype=object)[code],
    "text and ints": lambda code: np.array(["maize", 1, 2], dtype=object)[code],
    "text, ints, bools": lambda code: np.array(["maize", 1, True], dtype=object)[code],
    "bools and ints": lambda code: np.array([True, 2, 3], dtype=object)[code],
    "tuples": lambda code: [("maize", int(i)) for i in code],
    "sets": lambda code: [{int(i)} for i in code],
    "dates": lambda code: np.array(["2017", "2018", "2019"], dtype="datetime64[Y]")[code],
    "complex": lambda code: code * 1j,
    "records": lambda code: np.zeros(len(code), dtype=[("class", int)]),
    "one class": np.zeros_like,
    "a class of one row": lambda code: np.where(np.arange(len(code)) == 0, 9, code % 2),
    "every row its class": lambda code: np.arange(len(code)),
    "a column": lambda code: code[:, None],
    "two columns": lambda code: np.stack([code, code], axis=1),
    "indicators": lambda code: np.eye(3, dtype=int)[code],
    "3-D": lambda code: code[:, None, None],
    "Series": lambda code: pd.Series(code, index=np.arange(len(code))[::-1]),
    "Series of text": lambda code: pd.Series(np.array(["a", "b", "c"])[code]),
    "category": lambda code: pd.Series(pd.Categorical.from_codes(code, ["a", "b", "c"])),
    "nullable": lambda code: pd.Series(code).astype("Int64"),
    "nullable with NA": lambda code: pd.Series(code).astype("Int64").replace(1, pd.NA),
    "nullable text": lambda code: pd.Series(np.array(["a", "b", "c"])[code], dtype="string"),
    "frame": lambda code: pd.DataFrame({"class": code}),
    "polars": lambda code: pl.Series(code),
    "tensor": torch.tensor,
    "memory map": lambda code: _memory_map(code),
    "read-only": _read_only,
    "strided": lambda code: np.repeat(code, 2)[::2],
    "masked": lambda code: np.ma.masked_array(code, mask=code == 1),
    "sparse": lambda code: scipy.sparse.csr_matrix(code),
    "nothing": lambda code: None,
    "a text": lambda code: "maize",
    "a number": lambda code: 1,
    "empty": lambda code: [],
    "longer": lambda code: np.append(code, 1),
    "shorter": lambda code: code[:-1],
}

SERIES = ["X", "X_priv", "X_unlabeled", "X_priv_unlabeled", "X_val", "X_priv_val", "X_new"]
LABELLED = ["y", "y_val", "groups"]


@st.composite
def series_like(draw, n_rows, good):
    """Return what people pass as series; mostly of the length that the others have."""
    shape = draw(st.sampled_from(good * 2 + SHAPES))
    length = draw(st.sampled_from([n_rows] * 16 + [n_rows + 1, n_rows - 1, 1, 0]))
    values = draw(st.sampled_from(["plain"] * 20 + sorted(VALUES)))
    container = draw(st.sampled_from(["float64"] * 20 + sorted(CONTAINERS)))
    X = np.random.RandomState(draw(st.integers(0, 9))).normal(size=(length, *shape))
    with np.errstate(all="ignore"):
        X = VALUES[values](X, draw(st.integers(0, 1000)))
        return CONTAINERS[container](X)


UNTRIED = partial(GKDClassifier, TINY, TINY, distillation="always")

ESTIMATORS = {
    "student": lambda: GKDClassifier(TINY, TINY, random_state=0),
    "filled": lambda: UNTRIED(priv_transformer=GapFiller(), random_state=0),
    "channels": lambda: UNTRIED(n_channels=2, n_channels_priv=3),
    "privileged": lambda: UNTRIED(teacher_view="privileged", random_state=0),
    "weighted": lambda: UNTRIED(class_weight="balanced", teacher_cv=2),
    "alone": lambda: SeriesClassifier(TINY, random_state=0),
}


@st.composite
def calls(draw):
    """Return an estimator, the argument that may be bad, and all arguments."""
    n_rows = draw(st.sampled_from([24, 24, 12, 5, 3, 2]))
    focus = draw(st.sampled_from(["X", "y", "X_priv"] * 4 + ["X_new"] * 2 + SERIES + LABELLED))
    names = set(ESTIMATORS)
    if "priv" in focus or "unlabeled" in focus:
        names.remove("alone")
    name = draw(st.sampled_from(sorted(names)))
    rng = np.random.RandomState(0)
    call = {"X": rng.normal(size=(n_rows, 3, 2)), "y": np.arange(n_rows) % 3 % n_rows}
    if name != "alone":
        call["X_priv"] = rng.normal(size=(n_rows, 4, 3))
    if focus in ("X_val", "y_val", "X_priv_val") or draw(st.integers(0, 9)) == 0:
        call |= {"X_val": rng.normal(size=(7, 3, 2)), "y_val": np.arange(7) % 3 % n_rows}
        if focus == "X_priv_val":
            call["X_priv_val"] = rng.normal(size=(7, 4, 3))
    if "unlabeled" in focus:
        call["X_unlabeled"] = rng.normal(size=(9, 3, 2))
        call["X_priv_unlabeled"] = rng.normal(size=(9, 4, 3))
    if focus == "groups":
        call["groups"] = np.arange(n_rows) // 2
    call["X_new"] = call["X"]
    n_own = len(call[focus])
    if focus in SERIES:
        good = [(4, 3), (12,)] if "priv" in focus else [(3, 2), (6,)]
        call[focus] = draw(series_like(n_own, good))
    else:
        call[focus] = LABELS[draw(st.sampled_from(sorted(LABELS)))](np.arange(n_own) % 3 % n_own)
    if focus == "X":
        call["X_new"] = call["X"]
    return name, focus, n_rows, call


def named_by(error, focus, n_rows):
    """Return whether an error names the argument, or what else the argument makes wrong."""
    names = [focus]
    if focus == "X":
        names += ["X_val", "X_unlabeled"]  # which must be of its shape
    if focus == "X_priv":
        names += ["X_priv_val", "X_priv_unlabeled"]
    if focus == "X_new":
        names = ["X"]
    if focus == "y":
        names += ["y_val"]
    if n_rows < 12:  # too few rows of a class is what is checked first
        names += ["y", "teacher_cv"]
    if "overflow" in str(error):  # which a network meets, and no check of one argument
        names = ["X", "X_priv"]
    return re.search(rf"\b({'|'.join(names)})\b", str(error))


def outcome(name, focus, n_rows, call):
    """Return whether a call is fitted and predicts well, or refused well."""
    call = dict(call)
    X_new, X, y = call.pop("X_new"), call.pop("X"), call.pop("y")
    estimator = ESTIMATORS[name]()
    try:
        probabilities = estimator.fit(X, y, **call).predict_proba(X_new)
        labels = estimator.predict(X_new)
    except (TypeError, ValueError) as error:
        if not named_by(error, focus, n_rows):
            raise AssertionError(f"{error!r} does not name {focus}") from error
        return "refused"
    assert probabilities.shape == (len(labels), len(estimator.classes_))
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert np.isin(labels, estimator.classes_).all()
    return "fitted"


@pytest.mark.parametrize("n_cases", [100, pytest.param(10_000, marks=pytest.mark.long)])
def test_input_is_fitted_well_or_refused_by_name(n_cases):
    outcomes = Counter()

    @settings(max_examples=n_cases, deadline=None, database=None, derandomize=True)
    @given(calls())
    def run(call):
        outcomes[outcome(*call)] += 1

    run()
    assert outcomes["fitted"] > 0.1 * n_cases
    assert outcomes["refused"] > 0.5 * n_cases


X, X_PRIV = np.random.RandomState(0).normal(size=(2, 24, 6))
Y = np.arange(24) % 3
try:
    SPARSE = scipy.sparse.coo_array(X.reshape(24, 3, 2))
except (TypeError, ValueError):  # before scipy 1.15, which has 2 dimensions only
    SPARSE = scipy.sparse.csr_array(X)
SOURCES = [X, np.concatenate([X, X], axis=1)]
SERIES_AS = {
    "ragged": [[0.5] * (1 + i % 2) for i in range(24)],
    "LazyFrame": pl.DataFrame(X).lazy(),
    "generator": (row for row in X),
    "a dict": {"X": X},
    "3-D sparse": SPARSE,
    "list of sources": SOURCES,
    "a file's name": "fields.npz",
    "a path": Path("fields.npz"),
    "a number": 3.5,
    "masked": np.ma.masked_greater(X, 0.5),
    "list of masked": list(np.ma.masked_greater(X, 0.5)),
    "band by band": pd.DataFrame(
        X, columns=[f"{band}_d{day}" for band in ("VV", "VH") for day in (1, 2, 3)]
    ),
}
REFUSED = {
    **{f"{name}, {case}": (name, value) for name in SERIES for case, value in SERIES_AS.items()},
    "X, None": ("X", None),
    "X_new, None": ("X_new", None),
    "y, masked": ("y", np.ma.masked_equal(Y, 1)),
    "y_val, masked": ("y_val", np.ma.masked_equal(Y, 1)),
    "groups, masked": ("groups", np.ma.masked_equal(Y, 1)),
    "X, no columns": ("X", X[:, :0]),
    "X, no rows": ("X", X[:0]),
    "X, longer": ("X", np.repeat(X, 2, axis=0)),
    "X, text": ("X", np.full((24, 6), "cloud")),
    "X, records": ("X", np.zeros(24, dtype=[("VV", float), ("VH", float)])),
    "y, None": ("y", np.array(["maize", None, "oats"])[Y]),
    "y, text and ints": ("y", np.array(["maize", 1, 2], dtype=object)[Y]),
    "y, complex": ("y", Y * 1j),
    "y, unknown type": ("y", np.array([True, 2, 3], dtype=object)[Y]),
    "groups, text and ints": ("groups", np.array(["a", 1, 2], dtype=object)[Y]),
    "groups, longer": ("groups", np.arange(25)),
    "X_priv, text": ("X_priv", np.full((24, 6), "cloud")),
    "X_priv, names": ("X_priv", pd.DataFrame(X_PRIV, columns=["VV"] * 3 + [1, 2, None])),
    "X_val, sparse": ("X_val", scipy.sparse.csr_array(X)),
    "y_val, None": ("y_val", np.array(["maize", None, "oats"])[Y]),
    "X_new, beyond all": ("X_new", np.sign(X) * 3.3e38),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_name_their_argument(case):
    focus, value = REFUSED[case]
    call = {"X": X, "y": Y, "X_priv": X_PRIV, "X_new": X}
    if "val" in focus:
        call |= {"X_val": X, "y_val": Y}
    if "priv" in focus:
        call |= {"X_priv_unlabeled": X_PRIV, "X_unlabeled": X}
    if focus == "X_unlabeled":
        call |= {"X_priv_unlabeled": X_PRIV}
    assert outcome("student", focus, 24, {**call, focus: value}) == "refused"


def test_weights_do_not_hide_what_is_wrong_with_X():
    with pytest.raises(TypeError, match="X is of type dict"):
        SeriesClassifier(TINY).fit({"X": X}, Y, sample_weight=np.ones(24))


def test_a_gap_filler_of_X_priv_names_it():
    X_priv = np.where(np.arange(6) % 3 == 1, np.nan, X_PRIV)
    clf = GKDClassifier(TINY, TINY, priv_transformer=GapFiller(n_channels=3))
    with pytest.raises(ValueError, match="X_priv: X has no observation of channel 1"):
        clf.fit(X, Y, X_priv=X_priv)


def test_folds_of_the_teacher_are_named():
    with pytest.raises(ValueError, match="teacher_cv: n_splits=9 cannot be greater"):
        GKDClassifier(TINY, TINY, teacher_cv=9, validation_fraction=0.2).fit(X, Y, X_priv=X_PRIV)


def test_a_fold_of_one_row_is_refused():
    clf = GKDClassifier(TINY, TINY, teacher_cv=2, validation_fraction=0.2, random_state=0)
    with pytest.raises(ValueError, match=r"teacher_cv=.* leaves a fold a single row to train on"):
        clf.fit(X[:5], [0, 1, 1, 0, 1], X_priv=X_PRIV[:5])


@pytest.mark.parametrize("row", range(4, 11))
def test_two_rows_of_privileged_information_are_enough(row):
    clf = GKDClassifier(TINY, TINY, random_state=0)
    clf.fit(X, Y, X_priv=_only(X_PRIV, [row, row + 3]))


def test_a_teacher_that_overflows_says_so():
    X_priv = np.where(X_PRIV > 0.8, 3.3e38, -3.3e38)
    with pytest.raises(ValueError, match=r"The loss of the teacher .* series without extreme"):
        GKDClassifier(TINY, TINY, random_state=0).fit(X, Y, X_priv=X_priv)
