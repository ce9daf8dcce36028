"""Picks the button that sends a form, or takes it a step further. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.submitter.mapping.vocabulary import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.submitter.mapping.page_model import Button

_SENDS: Final = frozenset(
    [
        "submit",
        "add",
        "send",
        "continue",
        "next",
        "publish",
        "save",
        "register",
        "create",
        "list",
        "post",
        "finish",
        "done",
        "proceed",
        "complete",
        "go",
        "check",
        "open",
        "apply",
        "confirm",
        "absenden",
        "eintragen",
        "senden",
        "weiter",
        "speichern",
        "veroffentlichen",
        "envoyer",
        "ajouter",
        "soumettre",
        "valider",
        "suivant",
        "publier",
        "enviar",
        "anadir",
        "agregar",
        "siguiente",
        "publicar",
        "registrar",
        "inscrire",
    ]
)
_TURNS_AWAY: Final = frozenset(
    [
        "cancel",
        "back",
        "previous",
        "reset",
        "clear",
        "search",
        "login",
        "preview",
        "draft",
        "delete",
        "remove",
        "close",
        "signin",
        "upload",
        "browse",
        "facebook",
        "google",
        "abbrechen",
        "zuruck",
        "suchen",
        "annuler",
        "retour",
        "rechercher",
        "cancelar",
        "volver",
        "buscar",
        "log",
        "sign",
    ]
)


def submit_button(buttons: Sequence[Button]) -> Button | None:
    """Pick the most likely button; None when there is none that a person could press."""
    usable = [button for button in buttons if button.visible and button.enabled]
    rated = [(rate(button), -place, button) for place, button in enumerate(usable)]
    best = max(rated, key=lambda row: (row[0], row[1]), default=None)
    return best[2] if best and best[0] > 0 else None


def rate(button: Button) -> float:
    """Rate a button: what it says counts more than its type."""
    words = set(words_of(button.text))
    score = 2.0 if button.type in {"submit", "image"} else 0.0
    if words & _SENDS:
        score += 3.0
    if words & _TURNS_AWAY:
        score -= 3.0
    return score
