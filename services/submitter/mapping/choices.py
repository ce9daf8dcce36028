"""Chooses among the options of selects, radio groups and checkbox groups by what they mean. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from directorybolt.profile.v1.profile_pb2 import Weekday

from services.submitter.mapping.attributes import Attribute
from services.submitter.mapping.places import country_names, region_names
from services.submitter.mapping.vocabulary import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from directorybolt.profile.v1.profile_pb2 import BusinessProfile

    from services.submitter.mapping.page_model import Control, Option

_OTHER: Final = frozenset(
    [
        "other",
        "others",
        "miscellaneous",
        "misc",
        "general",
        "sonstige",
        "sonstiges",
        "andere",
        "autre",
        "autres",
        "otro",
        "otros",
    ]
)
_FREE: Final = frozenset(
    ["free", "basic", "regular", "standard", "kostenlos", "gratis", "gratuit", "gratuita", "none"]
)
_COSTS: Final = re.compile(r"[$€£]\s*\d*[1-9]|\d\s*[$€£]|featured|premium|\bpaid\b|sponsored", re.IGNORECASE)
_RANKS: Final = (
    frozenset(["low", "cheap", "inexpensive", "budget", "economy", "gunstig", "bajo", "economico", "bas"]),
    frozenset(["moderate", "medium", "mid", "average", "mittel", "medio", "moyen"]),
    frozenset(["high", "expensive", "premium", "upscale", "teuer", "alto", "caro", "eleve"]),
    frozenset(["luxury", "luxurious", "exclusive", "luxus", "lujo", "luxe"]),
)
_CARDS: Final = frozenset({"visa", "mastercard", "american", "amex", "discover"})
_RELATED: Final[Mapping[str, frozenset[str]]] = {
    "bakery": frozenset(["food", "patisserie", "cafe", "catering", "grocery", "restaurant"]),
    "cafe": frozenset(["coffee", "food", "restaurant", "bakery", "catering"]),
    "coffee": frozenset(["cafe", "food", "restaurant"]),
    "restaurant": frozenset(["food", "dining", "cafe", "catering", "hospitality"]),
    "plumber": frozenset(["plumbing", "trade", "home", "repair", "construction"]),
    "lawyer": frozenset(["legal", "law", "attorney"]),
    "dentist": frozenset(["dental", "health", "medical", "doctor"]),
    "hotel": frozenset(["accommodation", "lodging", "travel", "hospitality"]),
    "salon": frozenset(["hair", "beauty", "wellness"]),
    "software": frozenset(["it", "information", "technology", "computer", "internet"]),
}
_DAYS: Final = (
    frozenset(["monday", "mon", "montag", "mo", "lundi", "lun", "lunes"]),
    frozenset(["tuesday", "tue", "tues", "dienstag", "di", "mardi", "mar", "martes"]),
    frozenset(["wednesday", "wed", "mittwoch", "mi", "mercredi", "mer", "miercoles", "mie"]),
    frozenset(["thursday", "thu", "thur", "thurs", "donnerstag", "jeudi", "jeu", "jueves", "jue"]),
    frozenset(["friday", "fri", "freitag", "fr", "vendredi", "ven", "viernes", "vie"]),
    frozenset(["saturday", "sat", "samstag", "sonnabend", "sa", "samedi", "sam", "sabado", "sab"]),
    frozenset(["sunday", "sun", "sonntag", "so", "dimanche", "dim", "domingo", "dom"]),
)
_OPENS: Final = frozenset(
    [
        "open",
        "opens",
        "opening",
        "from",
        "start",
        "begin",
        "begins",
        "von",
        "ab",
        "ouverture",
        "apertura",
        "abre",
        "desde",
    ]
)
_CLOSES: Final = frozenset(
    [
        "close",
        "closes",
        "closing",
        "to",
        "end",
        "until",
        "till",
        "bis",
        "fermeture",
        "cierre",
        "cierra",
        "hasta",
    ]
)
_CLOSED: Final = frozenset(["closed", "geschlossen", "ferme", "fermee", "cerrado"])


@dataclass(frozen=True, slots=True)
class Choice:
    """Options to take, and how sure that is."""

    options: tuple[Option, ...]
    confidence: float


def choose(attribute: Attribute, control: Control, profile: BusinessProfile) -> Choice | None:
    """Choose options by meaning; None when none fits."""
    usable = [option for option in control.options if _is_real(option, control) and not option.disabled]
    chooser = _CHOOSERS.get(attribute)
    return chooser(usable, control, profile) if chooser and usable else None


def _is_real(option: Option, control: Control) -> bool:
    return bool(option.value) or not control.type.startswith("select")


def _stem(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:  # noqa: PLR2004
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word  # noqa: PLR2004


def _stems(text: str) -> frozenset[str]:
    return frozenset(
        _stem(word) for word in words_of(text) if len(word) > 1 and word not in {"and", "the", "of"}
    )


def _by_names(options: Sequence[Option], names: Sequence[str]) -> Choice | None:
    for spelling in names:
        for option in options:
            if spelling in {" ".join(words_of(option.label)), " ".join(words_of(option.value))}:
                return Choice((option,), 0.97)
    return None


def _country(options: Sequence[Option], _: Control, profile: BusinessProfile) -> Choice | None:
    return _by_names(options, country_names(profile.address.country_code))


def _region(options: Sequence[Option], _: Control, profile: BusinessProfile) -> Choice | None:
    return _by_names(options, region_names(profile.address.region, profile.address.country_code))


def _city(options: Sequence[Option], _: Control, profile: BusinessProfile) -> Choice | None:
    return _by_names(options, (" ".join(words_of(profile.address.city)),))


def _year(options: Sequence[Option], _: Control, profile: BusinessProfile) -> Choice | None:
    return _by_names(options, (str(profile.year_founded),)) if profile.year_founded else None


def _categories(options: Sequence[Option], control: Control, profile: BusinessProfile) -> Choice | None:
    rated = sorted(((_fit(option.label, profile), option) for option in options), key=lambda row: -row[0])
    if control.type == "checkbox-group" or control.multiple:
        wanted = [option for fit, option in rated if fit >= 0.6][:3]  # noqa: PLR2004
        if wanted:
            return Choice(tuple(wanted), rated[0][0])
    best_fit, best = rated[0]
    if best_fit >= 0.3:  # noqa: PLR2004
        return Choice((best,), best_fit)
    other = next((option for option in options if _OTHER & set(words_of(option.label))), None)
    return Choice((other,), 0.62) if other else None


def _fit(label: str, profile: BusinessProfile) -> float:
    """Rate an option against the profile's categories, the first of which counts most."""
    offered = _stems(label)
    best = 0.0
    for place, category in enumerate(profile.categories):
        wanted = _stems(category)
        weight = 0.97 - 0.05 * place
        shared = len(wanted & offered)
        if shared:
            best = max(best, weight * (0.55 + 0.3 * shared / len(wanted) + 0.15 * shared / len(offered)))
        elif any(_RELATED.get(word, frozenset[str]()) & offered for word in wanted):
            best = max(best, weight * 0.66)
    if best == 0.0 and offered & _stems(f"{profile.business_name} {profile.tagline}"):
        best = 0.62
    return best


def _price(options: Sequence[Option], _: Control, profile: BusinessProfile) -> Choice | None:
    if not profile.price_range:
        return None
    for option in options:
        if profile.price_range in option.label.split():
            return Choice((option,), 0.97)
    ranks = _RANKS[min(len(profile.price_range), len(_RANKS)) - 1]
    found = next(
        (option for option in options if ranks & set(words_of(f"{option.label} {option.value}"))), None
    )
    return Choice((found,), 0.8) if found else None


def _payments(options: Sequence[Option], _: Control, profile: BusinessProfile) -> Choice | None:
    methods = [_stems(method) for method in profile.payment_methods]
    taken = tuple(option for option in options if any(_pays(_stems(option.label), each) for each in methods))
    return Choice(taken, 0.9) if taken else None


def _pays(offered: frozenset[str], method: frozenset[str]) -> bool:
    if "credit" in offered and method & _CARDS:
        return True
    return bool(method) and (method <= offered or offered <= method)


def _plan(options: Sequence[Option], _: Control, __: BusinessProfile) -> Choice | None:
    """Take what costs nothing; nobody ordered more."""
    unpaid = [option for option in options if not _COSTS.search(option.label)]
    free = [option for option in unpaid if _FREE & set(words_of(option.label))]
    chosen = next(iter(free or [option for option in unpaid if option.selected]), None)
    return Choice((chosen,), 0.9) if chosen else None


def hours_slot(control: Control) -> tuple[int, bool] | None:
    """Tell which day a control is about (0 is Monday) and whether it is the opening; None when unclear."""
    words = set(words_of(f"{control.label} {control.cell} {control.name} {control.id} {control.aria}"))
    days = [index for index, names in enumerate(_DAYS) if names & words]
    opens, closes = bool(words & _OPENS), bool(words & _CLOSES)
    if opens and closes:  # "opening hours" in the name, "closes" in the label
        words = set(words_of(f"{control.cell} {control.label} {control.name.rpartition('[')[2]}"))
        opens, closes = bool(words & _OPENS), bool(words & _CLOSES)
    return (days[0], opens) if len(days) == 1 and opens != closes else None


def hours_time(control: Control, profile: BusinessProfile) -> str | None:
    """Give the time ("HH:MM") for a day's control; empty when closed that day, None when unclear."""
    slot = hours_slot(control)
    if slot is None or not profile.opening_hours:
        return None
    day, opens = slot
    periods = [row for row in profile.opening_hours if row.day == Weekday.WEEKDAY_MONDAY + day]
    if not periods:
        return ""
    return periods[0].open if opens else periods[-1].close


def _hours(options: Sequence[Option], control: Control, profile: BusinessProfile) -> Choice | None:
    time = hours_time(control, profile)
    if time is None:
        return None
    spellings = _time_spellings(time) if time else _CLOSED
    for option in options:
        if {option.label.strip().lower(), option.value.strip().lower()} & spellings:
            return Choice((option,), 0.95)
    return None


def _time_spellings(time: str) -> frozenset[str]:
    hour, minute = int(time[:2]), time[3:]
    half, short = ("am" if hour < 12 else "pm"), (hour % 12 or 12)  # noqa: PLR2004
    twelve = [f"{short}:{minute} {half}", f"{short}:{minute}{half}", f"{short:02}:{minute} {half}"]
    whole = [f"{short} {half}", f"{short}{half}", str(hour)] if minute == "00" else []
    return frozenset([time, f"{hour}:{minute}", f"{hour:02}{minute}", f"{time}:00", *twelve, *whole])


_CHOOSERS: Final[
    Mapping[Attribute, Callable[[Sequence[Option], Control, BusinessProfile], Choice | None]]
] = {
    Attribute.COUNTRY: _country,
    Attribute.REGION: _region,
    Attribute.CITY: _city,
    Attribute.CATEGORIES: _categories,
    Attribute.PRICE_RANGE: _price,
    Attribute.PAYMENT_METHODS: _payments,
    Attribute.PLAN: _plan,
    Attribute.OPENING_HOURS: _hours,
    Attribute.YEAR_FOUNDED: _year,
}
