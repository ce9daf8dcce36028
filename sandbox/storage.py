"""The counter that tests trust: one row per accepted POST, written before the answer is sent.

SQLite in WAL mode, in a folder of its own: nothing that the submitting side does can reach it. The time
comes from SQLite itself.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.form import Received

_TABLES = """
CREATE TABLE IF NOT EXISTS submission (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    accepted_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    site        TEXT NOT NULL,
    business    TEXT NOT NULL,
    standing    TEXT NOT NULL,
    fields      TEXT NOT NULL,
    listing     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS submission_by_site ON submission (site, business);
CREATE TABLE IF NOT EXISTS mail (
    token       TEXT PRIMARY KEY,
    sent_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    site        TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    recipient   TEXT NOT NULL,
    subject     TEXT NOT NULL,
    body        TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS draft (
    draft       TEXT PRIMARY KEY,
    fields      TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS known (
    business    TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    phone       TEXT NOT NULL
);
"""
_SUBMISSION = "SELECT sequence, accepted_at, site, business, standing, fields, listing FROM submission"
_MAIL = "SELECT token, sent_at, site, sequence, recipient, subject, body FROM mail"


@dataclass(frozen=True)
class Submission:
    """One accepted POST."""

    sequence: int
    accepted_at: str  #: UTC, ISO 8601
    site: str
    business: str
    standing: str  #: "listed", "pending_review" or "pending_confirmation"
    fields: Received  #: everything received, by the site's own field names
    listing: dict[str, str]  #: what the listing shows, by meaning ("name", "phone")


@dataclass(frozen=True)
class Mail:
    """One letter in the outbox."""

    token: str
    sent_at: str
    site: str
    sequence: int
    recipient: str
    subject: str
    body: str


@dataclass(frozen=True)
class KnownBusiness:
    """A business that a site claims to have had all along."""

    number: int
    name: str
    phone: str


class Storage:
    """The SQLite file of all nine sites."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(folder / "sandbox.sqlite3", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def reset(self) -> None:
        """Forgets all submissions, mails, drafts and known businesses."""
        self._connection.executescript(
            "BEGIN; DELETE FROM submission; DELETE FROM mail; DELETE FROM draft; DELETE FROM known; COMMIT;"
        )

    def accept(
        self, *, site: str, business: str, standing: str, fields: Received, listing: dict[str, str]
    ) -> Submission:
        """Stores one accepted POST; the same one again makes a second row."""
        cursor = self._connection.execute(
            "INSERT INTO submission (site, business, standing, fields, listing) VALUES (?, ?, ?, ?, ?)"
            " RETURNING sequence, accepted_at, site, business, standing, fields, listing",
            (site, business, standing, json.dumps(fields), json.dumps(listing)),
        )
        return _submission(cursor.fetchone())

    def submissions(self, site: str | None = None) -> list[Submission]:
        """Accepted POSTs in the order of acceptance, of one site or of all."""
        rows = self._connection.execute(
            f"{_SUBMISSION} WHERE ? IS NULL OR site = ? ORDER BY sequence", (site, site)
        )
        return [_submission(row) for row in rows]

    def submission(self, site: str, sequence: int) -> Submission | None:
        """One accepted POST of a site."""
        rows = self._connection.execute(f"{_SUBMISSION} WHERE site = ? AND sequence = ?", (site, sequence))
        row = rows.fetchone()
        return _submission(row) if row else None

    def counts(self, site: str | None = None) -> dict[str, dict[str, int]]:
        """Accepted POSTs per site and business; sites without any are absent."""
        rows = self._connection.execute(
            "SELECT site, business, count(*) FROM submission WHERE ? IS NULL OR site = ?"
            " GROUP BY site, business",
            (site, site),
        )
        found: dict[str, dict[str, int]] = {}
        for name, business, count in rows:
            found.setdefault(name, {})[business] = count
        return found

    def post_mail(
        self, *, submission: Submission, token: str, recipient: str, subject: str, body: str
    ) -> None:
        """Puts a letter into the outbox."""
        self._connection.execute(
            "INSERT INTO mail (token, site, sequence, recipient, subject, body) VALUES (?, ?, ?, ?, ?, ?)",
            (token, submission.site, submission.sequence, recipient, subject, body),
        )

    def mails(self, site: str | None = None) -> list[Mail]:
        """The outbox, oldest first."""
        rows = self._connection.execute(
            f"{_MAIL} WHERE ? IS NULL OR site = ? ORDER BY sequence", (site, site)
        )
        return [Mail(*row) for row in rows]

    def confirm(self, site: str, token: str) -> Submission | None:
        """Lists what a letter's link stands for; None for a link that was never sent."""
        cursor = self._connection.execute(
            "UPDATE submission SET standing = 'listed'"
            " WHERE sequence = (SELECT sequence FROM mail WHERE token = ? AND site = ?)"
            " RETURNING sequence, accepted_at, site, business, standing, fields, listing",
            (token, site),
        )
        row = cursor.fetchone()
        return _submission(row) if row else None

    def save_draft(self, draft: str | None, fields: Received) -> str:
        """Keeps what a wizard knows so far; returns the draft's name."""
        name = draft or secrets.token_hex(8)
        self._connection.execute(
            "INSERT INTO draft VALUES (?, ?) ON CONFLICT (draft) DO UPDATE SET fields = excluded.fields",
            (name, json.dumps(fields)),
        )
        return name

    def draft(self, draft: str) -> Received | None:
        """What a wizard knows so far; None for an unknown draft."""
        row = self._connection.execute("SELECT fields FROM draft WHERE draft = ?", (draft,)).fetchone()
        return json.loads(row[0]) if row else None

    def remember(self, *, business: str, name: str, phone: str) -> KnownBusiness:
        """Makes a business one that the site has had all along."""
        row = self._connection.execute(
            "INSERT INTO known VALUES (?, ?, ?) ON CONFLICT (business) DO UPDATE SET name = excluded.name"
            " RETURNING rowid, name, phone",
            (business, name, phone),
        ).fetchone()
        return KnownBusiness(*row)

    def known(self) -> list[KnownBusiness]:
        """Businesses that the site has had all along."""
        rows = self._connection.execute("SELECT rowid, name, phone FROM known ORDER BY rowid")
        return [KnownBusiness(*row) for row in rows]


def _submission(row: tuple[Any, ...]) -> Submission:
    *facts, fields, listing = row
    return Submission(*facts, fields=json.loads(fields), listing=json.loads(listing))
