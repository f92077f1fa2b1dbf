"""Parameters of sources of privileged information, and what fit has made of them."""

import re
from typing import Any, Self

import numpy as np

from sklearn_gkd._common.checks import naming
from sklearn_gkd._common.compat import BaseComposition
from sklearn_gkd._estimators._sources import PrivilegedReader, check_sources


class PrivilegedParameters(BaseComposition):
    """Base of the estimators that have priv_sources, whose transformers can be set by name."""

    priv_transformer: Any
    n_channels_priv: int | None
    priv_sources: Any
    priv_reader_: PrivilegedReader

    def _privileged_reader(
        self, X_priv: Any, labels: np.ndarray | None, train: np.ndarray, seed: int
    ) -> PrivilegedReader:
        """Return what reads X_priv, fitted, or raise an error where the parameters contradict.

        Without labels, transformers that learn from y are refused.
        """
        check_sources(self.priv_transformer, self.n_channels_priv, self.priv_sources)
        with naming("priv_sources"):
            self._validate_names([name for name, *_ in self.priv_sources or ()])
        parameters = self.priv_transformer, self.n_channels_priv, self.priv_sources
        try:
            return PrivilegedReader().fit(X_priv, labels, train, seed, *parameters)
        except (TypeError, ValueError) as error:
            if labels is not None or not re.search(r"\by\b", str(error)):
                raise
            raise ValueError(
                f"{error} Where a teacher is asked of rows whose labels it has not seen, as by "
                'teacher_cv and, with pairs, by distillation="auto", transformers of X_priv are '
                "fitted without y. Give one that does not need it, or leave teacher_cv at None "
                'and set distillation="always".'
            ) from error

    @property
    def priv_transformer_(self) -> Any:
        """The fitted clone of priv_transformer, where there is one source."""
        source, *others = self.priv_reader_.sources
        if others:
            raise AttributeError(
                f"X_priv has {1 + len(others)} sources, each with its own transformer: see "
                "priv_sources_."
            )
        return source.transformer

    @property
    def priv_sources_(self) -> list[tuple[Any, ...]]:
        """Each of priv_sources, fitted: name, transformer, numbers of columns, shape."""
        return [
            (source.name, source.transformer or "passthrough", source.columns, source.shape)
            for source in self.priv_reader_.sources
        ]

    @property
    def _transformers(self) -> Any:
        """The sources as scikit-learn's compositions know their parts: names and estimators."""
        try:
            return [(name, transformer) for name, transformer, *_ in self.priv_sources or ()]
        except (TypeError, ValueError):
            return self.priv_sources

    @_transformers.setter
    def _transformers(self, named: list[tuple[str, Any]]) -> None:
        self.priv_sources = [
            (name, transformer, *others)
            for (name, transformer), (_, _, *others) in zip(named, self.priv_sources, strict=True)
        ]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, those of nets and of the transformers of sources too.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return those of what the parameters hold.

        Returns
        -------
        dict
            Parameters by name.
        """
        return self._get_params("_transformers", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, the transformers of sources and theirs among them."""
        if "priv_sources" in params:  # whose transformers the others may name
            self.priv_sources = params.pop("priv_sources")
        return self._set_params("_transformers", **params)
