"""The nine stand-in directories, in the order of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.sites.already import AlreadySite
from sandbox.sites.captcha import CaptchaSite
from sandbox.sites.flaky import FlakySite
from sandbox.sites.long import LongSite
from sandbox.sites.mail import MailSite
from sandbox.sites.plain import PlainSite
from sandbox.sites.scripted import ScriptedSite
from sandbox.sites.slow import SlowSite
from sandbox.sites.wizard import WizardSite

if TYPE_CHECKING:
    from sandbox.sites.site import Site

SITES: tuple[type[Site], ...] = (
    PlainSite,
    LongSite,
    WizardSite,
    ScriptedSite,
    SlowSite,
    FlakySite,
    AlreadySite,
    MailSite,
    CaptchaSite,
)
