"""Layout of files: which file, and which of its bands, holds each date and band of a stack."""

import glob
import os
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import product
from typing import Any

import numpy as np

from sklearn_gkd.eo._dates import as_dates, as_dates_in_any_order
from sklearn_gkd.eo.raster._names import same_band

YEAR_MONTH_DAY = r"(?:19|20|21)\d{2}", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"

DAY, TIME = "-?".join(YEAR_MONTH_DAY), r"(?:T\d{6}Z?)?"

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

IN_DESCRIPTION = re.compile(
    rf"(?<!\d)(?:{'[-_]?'.join(YEAR_MONTH_DAY)}{TIME}"
    rf"|(?P<day>\d\d)(?P<month>{'|'.join(MONTHS)})(?P<year>\d{{4}})"  # as SNAP writes it
    rf"|(?P<of_year>{YEAR_MONTH_DAY[0]}(?:[0-2]\d\d|3[0-5]\d|36[0-6])))(?!\d)"  # MODIS, HLS
)

STEP = re.compile(r"(?<![A-Za-z0-9.])\d+(?![A-Za-z0-9.])")  # the number of a date: B4_10

Layers = tuple[np.ndarray, list[str], list[list[int]]]


def is_pattern(paths: Any) -> bool:
    """Return whether this is a path with the place of the date in it."""
    return isinstance(paths, str | os.PathLike) and "{date}" in os.fspath(paths)


def files_by_name(
    pattern: Any, dates: Any, bands: Sequence[str] | None
) -> tuple[list[list[list[str]]], np.ndarray, list[str] | None]:
    """Return the files whose names fit a pattern, their dates, and their bands if it has them.

    The files are those of dates, of tiles and of bands, in three levels.
    """
    pattern = os.fspath(pattern)
    found = _matches(pattern, bands)
    if dates is None:
        dates = sorted({date for date, _, _ in found})
    times = as_dates(dates, "dates")
    if "{band}" not in pattern:
        names: list[Any] = [None]
    else:
        names = sorted({band for _, _, band in found}) if bands is None else list(bands)
    paths = []
    for day in times.astype("datetime64[D]"):
        tiles = sorted({tile for date, tile, _ in found if date == day}) or [""]
        for tile, name in product(tiles, names):
            if (day, tile, name) not in found:
                of_tile = f", the tile {tile}" if tile else ""
                of_band = "" if name is None else f" and the band {name}"
                raise ValueError(f"No file fits {pattern!r} for {day}{of_tile}{of_band}.")
        paths.append([[found[day, tile, name] for name in names] for tile in tiles])
    return paths, times, None if names == [None] else names


def _matches(pattern: str, bands: Sequence[str] | None) -> dict[tuple[Any, str, Any], str]:
    """Return the files by day, tile ("" without any) and band (None without any)."""
    in_name = "|".join(map(re.escape, bands)) if bands else r"[^/\\]+?"
    expression = re.escape(pattern).replace(r"\*", r"[^/\\]*")
    for name, what in (("date", DAY + TIME), ("tile", r"[^/\\]+?"), ("band", in_name)):
        expression = expression.replace(rf"\{{{name}\}}", f"(?P<{name}>{what})", 1)
        expression = expression.replace(rf"\{{{name}\}}", f"(?P={name})")
    wildcards = glob.escape(pattern).replace("[*]", "*")
    for name in ("{date}", "{tile}", "{band}"):
        wildcards = wildcards.replace(name, "*")
    found: dict[tuple[Any, str, Any], str] = {}
    for path in sorted(glob.glob(wildcards)):
        match = _fit(pattern, expression, path)
        if match is None:
            continue
        (time,) = as_dates_in_any_order([match["date"]], path)
        named = match.groupdict()
        key = time.astype("datetime64[D]"), named.get("tile", ""), named.get("band")
        if key in found:
            raise ValueError(
                f"{found[key]} and {path} are both of {key[0]}. Give one file for each day and "
                "band: files of one orbit, or a mosaic; of tiles that lie side by side, say where "
                "the names tell them apart: {tile}."
            )
        found[key] = path
    if not found:
        raise ValueError(
            f"No file fits {pattern!r}, where {{date}} is such as 20160112 or 2016-01-12."
        )
    return found


def _fit(pattern: str, expression: str, path: str) -> re.Match[str] | None:
    """Return how a path fits a pattern, or raise an error if several of its dates do."""
    fitting: dict[str, re.Match[str]] = {}
    end = 0
    for day in re.finditer(f"(?=({DAY}))", path):
        match = re.fullmatch(expression.replace(DAY, re.escape(day[1]), 1), path)
        if match is not None and day.start() >= end:  # else it begins among the last one's digits
            end = day.end(1)
            fitting.setdefault(day[1].replace("-", ""), match)
    if len(fitting) > 1:
        first = next(iter(fitting.values())).start("date")
        raise ValueError(
            f"{path} fits {pattern!r} by several dates: {' and '.join(fitting)}. Write out what "
            "stands before the one that you mean, such as "
            f"{os.path.basename(path[:first]) + '{date}'!r}, or give a list of files with dates=."
        )
    return next(iter(fitting.values()), None)


def layers_of_file(
    path: Any, descriptions: Sequence[str | None], dates: Any, bands: Sequence[str] | None
) -> Layers:
    """Return dates, bands, and the number of each (T, C), from 1, of a file that has all of them.

    Its descriptions say the order where they name dates or bands. Otherwise it is that of tables:
    all bands of the first date, then those of the second.
    """
    parts = [_date_and_name(description) for description in descriptions]
    if dates is None:
        if any(date is None for date, _ in parts):
            raise ValueError(
                f"dates is None, and {path} does not say the date of each band. Give dates."
            )
        dates = sorted({date for date, _ in parts})
    times = as_dates(dates, "dates")
    if bands is None:
        bands = list(dict.fromkeys(name for _, name in parts))
        if "" in bands:
            raise ValueError(f"bands is None, and {path} does not name its bands. Give bands.")
    bands = list(bands)
    said = {name for _, name in parts}
    names = [_band_of(name, bands, said) for _, name in parts]
    dated = all(date is not None for date, _ in parts)
    if dated and set(names) != {None}:
        return times, bands, _by_description(path, parts, names, times, bands)
    shape = len(times), len(bands)
    if len(parts) != shape[0] * shape[1]:
        raise ValueError(
            f"{path} has {len(parts)} bands, but there are {shape[0]} dates of {shape[1]} bands: "
            f"{bands}. Name each band of the file."
        )
    order = np.arange(len(parts)).reshape(shape)
    if [names.count(band) for band in bands] == [shape[0]] * shape[1]:
        _check_steps(path, descriptions, names)
        order = np.argsort([bands.index(name or "") for name in names], kind="stable")
        order = order.reshape(shape[::-1]).T
    elif dated:
        order = np.argsort([date for date, _ in parts], kind="stable").reshape(shape)
        for of_date, day in zip(order, times.astype("datetime64[D]"), strict=True):
            if any(parts[number][0] != day for number in of_date):
                raise ValueError(f"{path} does not have {shape[1]} bands of {day}.")
    return times, bands, (order + 1).tolist()


def _check_steps(
    path: Any, descriptions: Sequence[str | None], names: Sequence[str | None]
) -> None:
    """Raise an error where the descriptions of a band number its dates in another order."""
    for band in dict.fromkeys(names):
        said = [text or "" for text, name in zip(descriptions, names, strict=True) if name == band]
        found = [STEP.findall(text) for text in said]
        steps = [int(numbers[0]) for numbers in found if len(numbers) == 1]
        if len(set(steps)) == len(said) and steps != sorted(steps):
            raise ValueError(
                f"{path} numbers the dates of {band} in another order than it has them: {said}. "
                "Write its bands in the order of time; sorted as text, 10 comes before 2."
            )


def _by_description(
    path: Any,
    parts: list[tuple[Any, str]],
    names: list[str | None],
    times: np.ndarray,
    bands: list[str],
) -> list[list[int]]:
    numbers: dict[tuple[Any, str], int] = {}
    for number, ((date, _), name) in enumerate(zip(parts, names, strict=True), 1):
        if name is None:
            continue  # a band that is not asked for
        if (date, name) in numbers:
            raise ValueError(f"{path} has two bands of {date} and {name}. Give one of each day.")
        numbers[date, name] = number
    for day in times.astype("datetime64[D]"):
        for band in bands:
            if (day, band) not in numbers:
                raise ValueError(f"{path} has no band of {day} and {band}.")
    return [[numbers[day, band] for band in bands] for day in times.astype("datetime64[D]")]


def _date_and_name(description: str | None) -> tuple[Any, str]:
    """Return the day in a description, if any, and the rest of it."""
    date = IN_DESCRIPTION.search(description or "")
    name = IN_DESCRIPTION.sub("", description or "").strip(" _-:,.()")
    return None if date is None else _day_of(date, "the file's descriptions"), name


def _day_of(match: re.Match[str], where: str) -> np.datetime64:
    text = match[0].replace("_", "-")
    if match["of_year"]:
        text = datetime.strptime(text, "%Y%j").date().isoformat()
    elif match["month"]:
        text = f"{match['year']}-{MONTHS.index(match['month']) + 1:02d}-{match['day']}"
    (time,) = as_dates_in_any_order([text], where)
    return time.astype("datetime64[D]")


def check_days_of_names(paths: Sequence[Sequence[str]], times: np.ndarray) -> None:
    """Raise an error where the names of the files of each date have the dates in another order."""
    days = list(times.astype("datetime64[D]"))
    named = [_days_of_names(of_date) & set(days) for of_date in paths]
    if not all(named):
        return
    for of_date, day, found in zip(paths, days, named, strict=True):
        if day not in found:
            raise ValueError(
                f"{of_date[0]} stands where {day} belongs, but by its name it is of {min(found)}. "
                "Give paths in the order of dates, for instance sorted(glob.glob(...))."
            )


def _days_of_names(paths: Iterable[str]) -> set[np.datetime64]:
    days = set()
    for name in map(os.path.basename, paths):
        for match in IN_DESCRIPTION.finditer(name):
            with suppress(ValueError):  # a number that is no day, as 20160230
                days.add(_day_of(match, name))
    return days


def _band_of(name: str, bands: Sequence[str], said: Collection[str]) -> str | None:
    """Return the band that one of the names that a file has said is of, if it is one alone."""
    if name in bands or (not name and len(bands) == 1):
        return name or bands[0]
    found = [band for band in bands if band not in said and same_band(name, band)]
    return found[0] if len(found) == 1 else None
