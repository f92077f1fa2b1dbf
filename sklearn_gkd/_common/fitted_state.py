"""Declarations of the fitted attributes that a file of `persistence` holds.

A class whose fitted objects can be saved has a method `_fitted_state`, which returns a dict from
the name of each fitted attribute to what it is. Sizes have names, such as "T" and "C"; what gives a
size stands before what is checked against it. Parameters are saved too, and need no declaration.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A fitted attribute.

    Parameters
    ----------
    optional : bool, default=False
        Whether it may be missing or None.
    of_teacher : bool, default=False
        Whether it is saved by ``save_model(teacher=True)`` alone.
    """

    optional: bool = False
    of_teacher: bool = False


@dataclass(frozen=True)
class Sizes(Attribute):
    """A tuple of positive integers, which gives these sizes, or any two or three."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Count(Attribute):
    """A positive integer: the product of the sizes, or any where there are none."""

    sizes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FloatArray(Attribute):
    """An array of floats."""

    shape: tuple[str, ...]


@dataclass(frozen=True)
class Numbers(Attribute):
    """A float, or several in an array, whose number gives this size."""

    size: str


@dataclass(frozen=True)
class ColumnNames(Attribute):
    """An array of strings: as many as the product of the sizes, or any where there are none."""

    sizes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnLabels(Attribute):
    """Labels of columns that are not strings: as many as the product of the sizes, if any."""

    sizes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnNumbers(Attribute):
    """A list of the places of columns, from 0."""


@dataclass(frozen=True)
class Text(Attribute):
    """A string."""


@dataclass(frozen=True)
class Labels(Attribute):
    """An array of the class labels, each once; their number gives this size."""

    size: str


@dataclass(frozen=True)
class Net(Attribute):
    """A skorch net that sees views of these shapes, with so many outputs.

    A name in the place of a shape stands for those of `Parts`.
    """

    views: Sequence[tuple[str, str] | str]
    n_outputs: str


@dataclass(frozen=True)
class Transformer(Attribute):
    """A fitted transformer of a class that can be saved, or a Pipeline of such."""


@dataclass(frozen=True)
class Part(Attribute):
    """An object of a class that declares all of its attributes."""

    cls: type


@dataclass(frozen=True)
class Parts(Attribute):
    """A list of objects of a class that declares all of its attributes, each with a shape.

    The shapes, (T, C) or (H, W, C), have one name.
    """

    cls: type
    shapes: str


OF_SERIES: dict[str, Attribute] = {
    "series_shape_": Sizes(("T", "C")),
    "n_features_in_": Count(("T", "C")),
    "feature_names_in_": ColumnNames(("T", "C"), optional=True),
    "_column_labels": ColumnLabels(("T", "C"), optional=True),
}
"""What every estimator of series has."""
