"""Plans how to fill a page in: which form, what goes where and why, what stays empty. Pure.

Every attribute goes to the control that wants it most; a control below the threshold stays empty, and so
does every control that no person can see. The plan says for each control what was decided and by which
signals, because a wrong value on a stranger's site cannot be taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from services.submitter.mapping.answer import answer
from services.submitter.mapping.attributes import BUSINESS_SIGNS, REPEATABLE, Attribute
from services.submitter.mapping.buttons import submit_button
from services.submitter.mapping.page_model import NO_FORM
from services.submitter.mapping.score import Candidate, against, candidates
from services.submitter.mapping.signature import form_signature
from services.submitter.mapping.vocabulary import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from directorybolt.profile.v1.profile_pb2 import BusinessProfile

    from services.submitter.mapping.page_model import Button, Control, FormDocument

#: Below this a control stays empty.
CONFIDENCE_MIN: Final = 0.6
_SIGNS_MIN: Final = 2
_REPEAT_WORDS: Final = frozenset(
    ["confirm", "confirmation", "repeat", "again", "verify", "retype", "wiederholen", "confirmer", "repetir"]
)
_MAIL: Final = frozenset({Attribute.EMAIL, Attribute.CONTACT_EMAIL})

Action = Literal["text", "select", "tick", "untick"]


@dataclass(frozen=True, slots=True)
class Fill:
    """One control that gets a value."""

    control: Control
    attribute: Attribute
    action: Action
    #: Text; for "select" the values of the options; for ticks nothing.
    values: tuple[str, ...]
    #: Radios or checkboxes to tick, by index.
    ticks: tuple[int, ...]
    confidence: float
    #: Signals that led here, strongest first.
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Skip:
    """One control that stays as it is, and why."""

    control: Control
    #: "hidden", "disabled", "decoy", "unsure", "no_value", "taken" or "prefilled".
    reason: str
    #: The best guess; None when nothing spoke.
    attribute: Attribute | None = None


@dataclass(frozen=True, slots=True)
class FormPlan:
    """What to do with one form."""

    form: int
    fills: tuple[Fill, ...]
    skips: tuple[Skip, ...]
    button: Button | None
    #: Hash of the form's structure; values do not change it.
    signature: str

    @property
    def fields(self) -> tuple[str, ...]:
        """Attributes that found a place, sorted."""
        return tuple(sorted({fill.attribute.value for fill in self.fills if fill.action != "untick"}))

    @property
    def confidence_min(self) -> float:
        """Least confidence among the filled controls; 0 when none is filled."""
        return min((fill.confidence for fill in self.fills), default=0.0)

    @property
    def missing(self) -> tuple[Skip, ...]:
        """Required controls that stay empty although a person would have to fill them."""
        return tuple(skip for skip in self.skips if skip.control.required and skip.reason in _UNMET)

    @property
    def signs(self) -> int:
        """How many different business attributes the form takes."""
        return len({fill.attribute for fill in self.fills} & BUSINESS_SIGNS)

    @property
    def needs_login(self) -> bool:
        """Whether the form asks for a password and for hardly anything of a business."""
        passwords = any(skip.attribute is Attribute.PASSWORD for skip in self.skips)
        return passwords and self.signs < _SIGNS_MIN


_UNMET: Final = frozenset({"unsure", "no_value", "taken"})


def plan_page(document: FormDocument, profile: BusinessProfile) -> FormPlan | None:
    """Plan the form of a page that takes most of a business; None when none takes anything of it."""
    groups = {control.form for control in document.controls}
    plans = [plan_form(document, form, profile) for form in sorted(groups) if not _is_search(document, form)]
    worthy = [plan for plan in plans if plan.signs > 0 or plan.needs_login]
    return max(worthy, key=lambda plan: (plan.signs, len(plan.fills)), default=None)


def plan_form(document: FormDocument, form: int, profile: BusinessProfile) -> FormPlan:
    """Plan one form of a page."""
    controls = [control for control in document.controls if control.form == form]
    fills, skips = _decide(controls, profile)
    return FormPlan(
        form=form,
        fills=tuple(fills),
        skips=tuple(skips),
        button=submit_button([button for button in document.buttons if button.form == form]),
        signature=form_signature(document, form),
    )


def _is_search(document: FormDocument, form: int) -> bool:
    return form != NO_FORM and any(each.index == form and each.role == "search" for each in document.forms)


def _decide(controls: Sequence[Control], profile: BusinessProfile) -> tuple[list[Fill], list[Skip]]:
    ranked = {control.index: candidates(control) for control in controls}
    assigned = _assign(controls, ranked)
    fills: list[Fill] = []
    skips: list[Skip] = []
    for control in controls:
        outcome = _outcome(control, assigned.get(control.index), ranked[control.index], profile)
        if isinstance(outcome, Fill):
            fills.append(outcome)
        else:
            skips.append(outcome)
    return fills, skips


def _assign(controls: Iterable[Control], ranked: dict[int, tuple[Candidate, ...]]) -> dict[int, Candidate]:
    """Give each attribute to the control that wants it most, and each control its best free attribute."""
    bids = [
        (candidate, control) for control in controls if control.visible for candidate in ranked[control.index]
    ]
    bids.sort(key=lambda bid: -bid[0].score)
    assigned: dict[int, Candidate] = {}
    taken: set[Attribute] = set()
    for candidate, control in bids:
        if control.index in assigned or (
            candidate.attribute in taken and not _may_repeat(candidate, control)
        ):
            continue
        assigned[control.index] = candidate
        taken.add(candidate.attribute)
    # What another control has got is no rival any more: "Name" beside "Business name" is the contact.
    gone = {attribute for attribute in taken if not attribute.is_decoy}
    return {
        index: against(mine, [each for each in ranked[index] if each.attribute not in gone])
        for index, mine in assigned.items()
    }


def _may_repeat(candidate: Candidate, control: Control) -> bool:
    if candidate.attribute.is_decoy or candidate.attribute in REPEATABLE:
        return True
    words = words_of(f"{control.label} {control.placeholder} {control.name} {control.id}")
    return candidate.attribute in _MAIL and bool(_REPEAT_WORDS.intersection(words))


def _outcome(
    control: Control, given: Candidate | None, ranked: tuple[Candidate, ...], profile: BusinessProfile
) -> Fill | Skip:
    best = ranked[0].attribute if ranked else None
    if not (control.visible and control.enabled):
        return Skip(control, "disabled" if control.visible else "hidden", best)
    if given is None:
        return _unasked(control, Skip(control, "taken" if ranked else "unsure", best))
    if given.attribute.is_decoy:
        return _decoy(control, given)
    if given.confidence < CONFIDENCE_MIN:
        return _unasked(control, Skip(control, "unsure", given.attribute))
    return _fill(control, given, profile)


def _fill(control: Control, given: Candidate, profile: BusinessProfile) -> Fill | Skip:
    found = answer(given.attribute, control, profile)
    if found is None:
        return Skip(control, "no_value", given.attribute)
    confidence = min(given.confidence, found.confidence)
    return Fill(control, given.attribute, found.action, found.values, found.ticks, confidence, given.reasons)


def _decoy(control: Control, given: Candidate) -> Fill | Skip:
    if given.attribute is Attribute.NEWSLETTER and control.type == "checkbox" and control.checked:
        return Fill(control, given.attribute, "untick", (), (), given.confidence, given.reasons)
    return Skip(control, "decoy", given.attribute)


def _unasked(control: Control, skip: Skip) -> Fill | Skip:
    """Leave it, except a required tick: the form cannot be sent without, and it is an assent like terms."""
    if control.type == "checkbox" and control.required:
        return Fill(
            control, Attribute.TERMS, "tick", (), (control.index,), CONFIDENCE_MIN, ("required tick",)
        )
    if any(option.selected and option.value for option in control.options):
        return Skip(control, "prefilled", skip.attribute)
    return skip
