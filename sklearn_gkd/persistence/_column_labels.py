"""Labels of columns that are not strings, as plain JSON: numbers, dates, and tuples of these."""

from typing import Any

import numpy as np
import pandas as pd

KINDS = "biufMO"  # of dtype


def pack_labels(labels: pd.Index) -> dict[str, Any]:
    """Return labels as JSON, or raise an error where they would not be read back as the same."""
    try:
        packed = {
            "dtype": np.dtype(labels.dtype).str,
            "levels": labels.nlevels,
            "values": [_pack(label) for label in labels.tolist()],
        }
        restored = unpack_labels(packed)
        same = restored.equals(labels) and restored.dtype == labels.dtype
    except (TypeError, ValueError):
        same = False
    if not same:
        raise ValueError(
            "The columns that the estimator was fitted on have labels that save_model does not "
            f"write: {labels[:3]}. Fit on columns whose labels are strings "
            "(X.columns = X.columns.map(str)), numbers, dates or tuples of these, or on an array."
        )
    return packed


def unpack_labels(packed: dict[str, Any]) -> pd.Index:
    """Return the labels that `pack_labels` made JSON of."""
    values = [_unpack(value) for value in packed["values"]]
    if packed["levels"] > 1:
        return pd.MultiIndex.from_tuples(values)
    dtype = np.dtype(packed["dtype"])
    if dtype.kind not in KINDS:
        raise ValueError(f"it has column labels of {dtype}")
    return pd.Index(values, dtype=dtype, tupleize_cols=False)


def _pack(label: Any) -> Any:
    if isinstance(label, tuple):
        return {"tuple": [_pack(part) for part in label]}
    if isinstance(label, pd.Timestamp):
        return {"date": label.isoformat()}
    if label is None or isinstance(label, bool | int | float | str):
        return label
    raise TypeError(f"{label!r} is neither a number nor a date")


def _unpack(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    return pd.Timestamp(content) if kind == "date" else tuple(map(_unpack, content))
