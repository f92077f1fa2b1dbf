"""Files of fitted models without pickle: safetensors, with JSON in the header."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from sklearn.base import BaseEstimator
from torch import Tensor

from sklearn_gkd._common.files import versions, write_whole
from sklearn_gkd._training.torch_state import plain_torch
from sklearn_gkd.persistence._allowed import Networks
from sklearn_gkd.persistence._packing import Packer
from sklearn_gkd.persistence._unpacking import Unpacker

FORMAT = 1


def save_model(
    estimator: BaseEstimator,
    path: str | os.PathLike[str],
    *,
    teacher: bool = False,
    networks: Networks | None = None,
) -> None:
    """Write a fitted model to one file of safetensors and JSON, which `load_model` reads.

    The file holds what predicts: weights, scaling, classes or the scale of y, column names, the
    shapes of the series; and, for the reader, parameters, training history and versions, but not
    what a trial found (`distillation_`). A file that exists is replaced once the new one is
    complete.

    Parameters
    ----------
    estimator : GKDClassifier, GKDRegressor, SeriesClassifier, SeriesRegressor, or others
        Fitted; also a transformer of series, or a Pipeline of these. Transformers of series are
        `eo.CloudMask`, `eo.GapFiller`, `eo.Resample` and `eo.SpectralIndices`.
    path : str or path-like
        The file.
    teacher : bool, default=False
        Whether to write the teacher too, for `GKDClassifier.teacher_predict_proba` or
        `GKDRegressor.teacher_predict`. It must be a net, and priv_transformer must be None, a
        transformer of series or a Pipeline of these.
    networks : dict of str to nn.Module class, default=None
        Names for classes of your own that the net is made of. `load_model` needs the same. Those
        of `networks.NETWORKS` and the usual activations of torch have names.

    Raises
    ------
    TypeError
        If the estimator, or a step of the Pipeline, is of another class, or if a parameter of a
        transformer is not a number, a string, an array of them, or an array of dates.
    ValueError
        If it is not fitted, if ``teacher=True`` and there is no teacher, or if prediction needs
        what cannot be written without pickle: a network without a name, a teacher that is not a
        net, column labels that are neither strings, numbers, dates nor tuples of these.

    Notes
    -----
    Parameters of an estimator that are not plain values (a teacher that is one of scikit-learn's,
    callbacks, a RandomState) are described, not written: see `load_model`. `device`,
    `memory` and `checkpoint` belong to the machine and not to the model, and are left out.

    Arrays in the parameters of a transformer load as lists, and dates (datetime64, a
    DatetimeIndex, ``datetime.date``) as the same dates in strings, such as ``"2016-01-12"``: what
    is loaded transforms bit for bit as before.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_gkd import SeriesClassifier
    >>> from sklearn_gkd.datasets import make_sits
    >>> from sklearn_gkd.persistence import load_model, save_model
    >>> sits = make_sits(200, random_state=0)
    >>> clf = SeriesClassifier(max_epochs=1, random_state=0).fit(sits.X_s1, sits.y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(clf, Path(folder) / "radar.safetensors")
    ...     loaded = load_model(Path(folder) / "radar.safetensors")
    >>> bool((loaded.predict_proba(sits.X_s1) == clf.predict_proba(sits.X_s1)).all())
    True
    """
    tensors: dict[str, Tensor] = {}
    packed = Packer(tensors, networks, teacher).model(estimator)
    text = json.dumps({"format": FORMAT, "versions": versions(), "model": packed})
    metadata = {"sklearn_gkd": text, "sha256": _digest(text, tensors)}
    write_whole(path, safetensors.torch.save(tensors, metadata))


@plain_torch()
def load_model(path: str | os.PathLike[str], *, networks: Networks | None = None) -> Any:
    """Read a model that `save_model` wrote; nothing in the file is run, whatever it says.

    The estimator predicts bit for bit as the saved one did (with the same versions, on the same
    machine), and takes all other calls too: `clone`, `set_params`, `save_model`, `fit`. Where a
    parameter was not a plain value, it is an `Unsaved`, and `fit` raises an error that names it
    until `set_params` has given it anew. `device`, `memory` and `checkpoint` are at their defaults.

    Parameters
    ----------
    path : str or path-like
        The file.
    networks : dict of str to nn.Module class, default=None
        Classes that the file may name, besides those of `networks.NETWORKS` and the usual
        activations of torch. Their code runs, with the parameters in the file.

    Returns
    -------
    GKDClassifier, GKDRegressor, SeriesClassifier, SeriesRegressor, transformer or Pipeline
        Fitted. Without a teacher in the file, it has no ``teacher_`` and no ``priv_reader_``.

    Raises
    ------
    ValueError
        If the file is truncated or altered, is no file of `save_model`, was written by a newer
        version, or names a network that is not allowed.

    Notes
    -----
    The checksum in the file tells damage, not intent: who writes a file can also write its
    checksum, and decides what the model predicts.
    """
    name = os.fspath(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies, aligned as torch aligns them, so that the same kernels run.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{name} is truncated, altered or no safetensors file: {error}. What joblib or pickle "
            "wrote, they load."
        ) from None
    try:
        text, digest = metadata["sklearn_gkd"], metadata["sha256"]
        content = json.loads(text)
        newer = content["format"] > FORMAT
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError(f"{name} is not a model that save_model wrote.") from None
    if newer:
        raise ValueError(
            f"{name} has format {content['format']} and this version of sklearn-gkd reads up to "
            f"{FORMAT}. Install the version that wrote it: {content.get('versions')}."
        )
    if digest != _digest(text, tensors):
        raise ValueError(
            f"{name} was altered after save_model wrote it: its checksum is of other content. "
            "Get the file again."
        )
    try:
        return Unpacker(tensors, networks).model(content["model"])
    except Exception as error:
        # Whatever a file may say, what escapes is one kind of error.
        raise ValueError(f"{name} does not hold a model that can be built: {error}") from error


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of metadata and tensors, whatever their order in the file."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
