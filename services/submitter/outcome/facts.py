"""What was seen around a click: the page before and after, and the requests that left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Link:
    """A link that a person can see."""

    url: str
    text: str


@dataclass(frozen=True, slots=True)
class PageView:
    """What a person sees of a page."""

    url: str = ""
    title: str = ""
    #: Visible text, line by line.
    lines: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    #: Messages at controls that the page marks as invalid.
    invalid: tuple[str, ...] = ()
    #: Messages of the browser's own validation.
    native: tuple[str, ...] = ()
    #: Texts of elements that look like error or warning boxes.
    alerts: tuple[str, ...] = ()
    #: Name of a visible challenge; empty for none.
    challenge: str = ""
    #: Whether a password is asked for.
    password: bool = False
    #: How many text controls hold something.
    texts_filled: int = 0
    #: Signature of the listing form on the page; empty when there is none.
    form_signature: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """A submitting request that left, and its answer."""

    method: str = "POST"
    #: 0 when no answer came.
    status: int = 200
    retry_after: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the recogniser judges."""

    before: PageView
    after: PageView
    sent: tuple[Sent, ...] = ()
    #: Why the gate held submitting requests back.
    held: tuple[str, ...] = ()
    #: Texts of dialogs that the page opened since the click.
    dialogs: tuple[str, ...] = ()

    @property
    def new_lines(self) -> tuple[str, ...]:
        """Lines that were not there before, and dialogs: only these can be an answer."""
        known = {line.casefold() for line in self.before.lines}
        fresh = (line for line in self.after.lines if line.casefold() not in known)
        return tuple(dict.fromkeys([*self.dialogs, *fresh]))

    @property
    def new_alerts(self) -> tuple[str, ...]:
        """Error boxes that were not there before."""
        return tuple(text for text in self.after.alerts if text not in self.before.alerts)


def with_frame(page: PageView, frame: PageView) -> PageView:
    """Add what an embedded frame shows to the view of its page."""
    return replace(
        page,
        lines=page.lines + frame.lines,
        links=page.links + frame.links,
        invalid=page.invalid + frame.invalid,
        native=page.native + frame.native,
        alerts=page.alerts + frame.alerts,
        challenge=page.challenge or frame.challenge,
        password=page.password or frame.password,
        texts_filled=page.texts_filled + frame.texts_filled,
    )


def parse_view(raw: Mapping[str, Any], form_signature: str = "") -> PageView:
    """Build a view from what the reading script returned."""
    return PageView(
        url=str(raw["url"]),
        title=str(raw["title"]),
        lines=tuple(raw["lines"]),
        links=tuple(Link(**each) for each in raw["links"]),
        invalid=tuple(raw["invalid"]),
        native=tuple(raw["native"]),
        alerts=tuple(raw["alerts"]),
        challenge=str(raw["challenge"]),
        password=bool(raw["password"]),
        texts_filled=int(raw["texts_filled"]),
        form_signature=form_signature,
    )
