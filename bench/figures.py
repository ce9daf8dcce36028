"""Figures of a benchmark, the goals they are held to, and the table that shows both."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value of ours, and the peer's where it has one."""

    name: str
    unit: str
    ours: float
    peer: float | None = None
    more_is_better: bool = True

    @property
    def ratio(self) -> float | None:
        """How many times better ours is."""
        if self.peer is None or not self.peer or not self.ours:
            return None
        return self.ours / self.peer if self.more_is_better else self.peer / self.ours


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure of ours has to reach, absolutely or as a ratio to the peer's."""

    at_least: float | None = None
    at_most: float | None = None
    ratio_at_least: float | None = None

    def text(self) -> str:
        """Return it as people write it."""
        parts = (
            f">= {self.at_least:g}" if self.at_least is not None else "",
            f"<= {self.at_most:g}" if self.at_most is not None else "",
            f">= {self.ratio_at_least:g} x peer" if self.ratio_at_least is not None else "",
        )
        return ", ".join(part for part in parts if part)

    def met(self, ours: float, ratio: float | None) -> bool:
        """Return whether all of it is reached."""
        return (
            (self.at_least is None or ours >= self.at_least)
            and (self.at_most is None or ours <= self.at_most)
            and (self.ratio_at_least is None or (ratio is not None and ratio >= self.ratio_at_least))
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result: medians over the rounds, and the lowest and highest of ours."""

    name: str
    unit: str
    ours: float
    lowest: float
    highest: float
    peer: float | None
    ratio: float | None
    goal: str
    met: bool | None


def rows_of(rounds: Sequence[Sequence[Figure]], goals: Mapping[str, Goal]) -> Sequence[Row]:
    """Return a row per figure, in the order of the first round."""
    return [
        _row([each[at] for each in rounds], goals.get(figure.name)) for at, figure in enumerate(rounds[0])
    ]


def _row(measured: Sequence[Figure], goal: Goal | None) -> Row:
    first = measured[0]
    ours = median(each.ours for each in measured)
    peers = [each.peer for each in measured if each.peer is not None]
    ratios = [each.ratio for each in measured if each.ratio is not None]
    ratio = median(ratios) if ratios else None
    return Row(
        first.name,
        first.unit,
        _short(ours),
        _short(min(each.ours for each in measured)),
        _short(max(each.ours for each in measured)),
        _short(median(peers)) if peers else None,
        _short(ratio) if ratio is not None else None,
        goal.text() if goal else "",
        goal.met(ours, ratio) if goal else None,
    )


def _short(value: float) -> float:
    return round(value) if abs(value) >= 1_000 else round(value, 4 if abs(value) < 1 else 2)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in text."""
    head = f"{'':44}{'unit':>10}{'ours':>10}{'lowest':>10}{'highest':>10}{'peer':>10}{'ratio':>8}  goal"
    return "\n".join([head, *(_line(each) for each in rows)])


def _line(row: Row) -> str:
    verdict = {None: "", True: ": met", False: ": NOT MET"}[row.met]
    peer = "-" if row.peer is None else f"{row.peer:g}"
    ratio = "-" if row.ratio is None else f"{row.ratio:g}"
    values = f"{row.ours:>10g}{row.lowest:>10g}{row.highest:>10g}{peer:>10}{ratio:>8}"
    return f"{row.name:44}{row.unit:>10}{values}  {row.goal}{verdict}"
