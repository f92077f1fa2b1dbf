"""Names of bands: which are radar in dB, classes or probabilities; what a file says they are."""

import os
import re
from collections.abc import Sequence

POLARISATIONS = frozenset({"VV", "VH", "HH", "HV"})

# What may stand beside a polarisation in the name of a band that is still backscatter in dB.
BESIDE_RADAR = re.compile(
    r"(ASC|DESC|ASCENDING|DESCENDING|A|D|ORBIT|RELORB|TRACK)\d*|\d+|"
    r"S1[A-D]?|SENTINEL1?|IW|GRD|RTC|DB|"
    r"(SIGMA|GAMMA|BETA)(0|NOUGHT)?|BACKSCATTER"
)

FLAGS = re.compile(r"[A-Z]*QA\d*|QI|QC\d*|UDM2?|FLAGS?|[A-Z]*MASK|CLM|CLASSI")

SKY = frozenset(["CLOUD", "CLOUDS", "SHADOW", "SHADOWS", "HAZE", "CLEAR", "SNOW"])

PROBABILITIES = re.compile(r"CLP|CLD|[A-Z]*PRB|[A-Z]*PROB|PROBABILITY|PROBABILITIES")

CLASSES = re.compile(r"SCL|CLASSIFICATION|CLASS(ES)?|LANDCOVER")

CLOUDS_OF_SCL = (0, 1, 3, 8, 9, 10)  # no data, defective, shadow, clouds, cirrus

CLOUD_BITS = {"QA60": (10, 11), "QA_PIXEL": (0, 1, 2, 3, 4)}  # Sentinel-2; Landsat, with fill

CODES = POLARISATIONS | {*(f"B{number}" for number in range(1, 14)), "B8A", "SCL"}

COLOURS = frozenset(["BLUE", "GREEN", "RED", "NIR", "SWIR"])

# What makes another band of one: red_edge is not red, VV_count not VV.
ANOTHER = frozenset(["EDGE", "COUNT", "STD", "STDDEV", "VAR", "VARIANCE", "ANGLE", "MASK"])


def is_radar(name: str) -> bool:
    """Return whether a band is backscatter in dB: VV, vh, VV_asc, sigma0_VV; not VV/VH."""
    words = _words(name)
    beside = [word for word in words if word not in POLARISATIONS]
    return len(words) - len(beside) == 1 and all(BESIDE_RADAR.fullmatch(word) for word in beside)


def is_categorical(name: str) -> bool:
    """Return whether a band holds classes or flags, which have no mean: SCL, QA_PIXEL."""
    return holds_flags(name) or any(CLASSES.fullmatch(word) for word in _words(name))


def holds_flags(name: str) -> bool:
    """Return whether a band holds flags, of which 0 is none: QA60, a mask, cloud_shadow."""
    words = _words(name)
    return (bool(words) and SKY.issuperset(words)) or any(map(FLAGS.fullmatch, words))


def holds_probabilities(name: str) -> bool:
    """Return whether a band holds probabilities, in which thresholds may be sought: CLP."""
    return any(map(PROBABILITIES.fullmatch, _words(name)))


def zero_is_valid(name: str) -> bool:
    """Return whether 0 in a band is a value, no flag or surely not, and never "no data"."""
    return holds_flags(name) or holds_probabilities(name)


def clouds_of(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the values, and the bits, by which a well-known mask marks what is not used."""
    known = "_".join(_words(name))
    return CLOUDS_OF_SCL if known == "SCL" else (), CLOUD_BITS.get(known, ())


def same_band(description: str, name: str) -> bool:
    """Return whether a file's description is that of a band: ``B04`` and ``S2_B4`` are of B4."""
    described, words = set(_words(description)), set(_words(name))
    if not described or not words or (described ^ words) & ANOTHER:
        return False
    return described <= words or words <= described


def check_descriptions(path: str, descriptions: Sequence[str | None], names: Sequence[str]) -> None:
    """Raise an error where a file's descriptions contradict the names of its bands."""
    for description, name in zip(descriptions, names, strict=True):
        if description and _contradicts(description, name, names):
            raise ValueError(
                f"{path} says that its bands are {list(descriptions)}, but bands names "
                f"{list(names)}: {description!r} is not {name}. Give the names in the file's "
                "order; to call bands otherwise, rename them afterwards "
                "(stack.assign_coords(band=...))."
            )


def check_file_name(path: str, name: str, names: Sequence[str]) -> None:
    """Raise an error where a file of one band has the name of another in its own, alone."""
    stem = os.path.splitext(os.path.basename(path))[0]
    others = [other for other in names if same_band(stem, other)]
    if others and not same_band(stem, name):
        raise ValueError(
            f"{path} stands where {name} belongs, but by its name it is {others[0]}. Give the "
            f"files of a date in the order of bands: {list(names)}."
        )


def check_same_order(
    path: str, said: Sequence[str | None], first: str, first_said: Sequence[str | None]
) -> None:
    """Raise an error where files of the same bands name them in another order, however they do."""
    one, other = ([_undated(name) for name in names] for names in (first_said, said))
    for name, of_first in zip(other, one, strict=True):
        if name and name != of_first and name in one:
            raise ValueError(
                f"{path} has its bands in another order, {list(said)}, than {first}, "
                f"{list(first_said)}. Write the files with their bands in one order, or give a "
                "file for each band, in the order of bands."
            )


def _undated(name: str | None) -> tuple[str, ...]:
    """Return the words of a name, without those of digits, such as a date's."""
    return tuple(word for word in _words(name or "") if not re.match(r"\d+(T\d+)?$", word))


def _contradicts(description: str, name: str, names: Sequence[str]) -> bool:
    if same_band(description, name):
        return False
    if any(same_band(description, other) for other in names):
        return True
    described, words = set(_words(description)), set(_words(name))
    return any(
        described & kind
        and words & kind
        and (not described & words & kind or (described ^ words) & ANOTHER)
        for kind in (CODES, COLOURS)
    )


def _words(name: str) -> list[str]:
    """Return the words of a name in capitals, B4 for B04."""
    words = re.findall(r"[^\W_]+", str(name).upper())
    return [re.sub(r"^B0(?=\d)", "B", word) for word in words]
