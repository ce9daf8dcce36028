"""Whatever breaks, a form is submitted at most once and the attempt ends with an honest result."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from directorybolt.job.v1 import job_pb2
from starlette.responses import HTMLResponse

from sandbox.sample_profile import bakery
from services.runtime.clock import SystemClock
from services.submitter.browser_flags import OWNER_SWITCH
from services.submitter.browser_pool import BrowserPool
from services.submitter.engine import AttemptPlan, Engine, Fenced, ResultKind, Timeouts
from services.submitter.pool_config import PoolConfig
from services.submitter.process_table import marked
from tests.doubles.attempt_journal import RecordingJournal
from tests.fix_browser import AnyLocalSite, serve, warm_pool

if TYPE_CHECKING:
    from tests.fix_browser import CountingSite

_FORM = """<h1>Add your business</h1><form method=post action=/take>
<label>Business name <input name=name required></label>
<label>Phone <input name=phone type=tel required></label>
<label>Website <input name=url type=url></label><label>Description <textarea name=text></textarea></label>
<button>Add business</button></form>"""
_THANKS = "<h1>Thank you</h1><p>Your listing is now live.</p>"


def _plan(site: CountingSite, **timeouts: float) -> AttemptPlan:
    return AttemptPlan(site.url, "", bakery(), timeouts=Timeouts(**timeouts))


async def _signal_browsers(number: signal.Signals) -> None:
    for row in marked(f"{OWNER_SWITCH}{os.getpid()}."):
        os.kill(row.pid, number)


async def test_a_browser_killed_in_mid_form_fails_before_sending_and_the_next_attempt_works():
    with serve({"/": _FORM, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            engine = Engine(pool, SystemClock())
            journal = RecordingJournal(on_step={"form_filled": lambda: _signal_browsers(signal.SIGKILL)})
            result = await engine.attempt(_plan(site), journal)
            assert (result.kind, result.error_class) == (
                ResultKind.FAILED,
                job_pb2.ERROR_CLASS_BROWSER_CRASH,
            )
            assert not result.sent
            assert site.count("POST") == 0
            again = await engine.attempt(_plan(site), RecordingJournal())
            assert (again.kind, site.count("POST")) == (ResultKind.LISTED, 1)


async def test_a_browser_killed_after_the_post_left_is_uncertain():
    with serve({"/": _FORM, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            engine = Engine(pool, SystemClock())
            journal = RecordingJournal(on_step={"recognise": lambda: _signal_browsers(signal.SIGKILL)})
            dies = "<p>Step 1 saved</p><form><input name=city><input name=zip><button>Next</button></form>"
            with serve({"/": _FORM, "/take": dies}) as wizard:
                result = await engine.attempt(_plan(wizard), journal)
                assert (result.kind, result.sent, wizard.count("POST")) == (ResultKind.UNCERTAIN, True, 1)
        assert site.arrived == []


async def test_a_frozen_browser_never_hangs_the_worker():
    config = PoolConfig(rules=AnyLocalSite(), operation_seconds=1.0, sessions_warm=1)
    with serve({"/": _FORM, "/take": _THANKS}) as site:
        async with BrowserPool(config) as pool:
            engine = Engine(pool, SystemClock())
            journal = RecordingJournal(on_step={"form_filled": lambda: _signal_browsers(signal.SIGSTOP)})
            began = time.monotonic()
            result = await engine.attempt(_plan(site, attempt_seconds=3.0), journal)
            assert time.monotonic() - began < 15
            assert (result.kind, result.sent) == (ResultKind.FAILED, False)
            again = await engine.attempt(_plan(site), RecordingJournal())
            assert (again.kind, site.count("POST")) == (ResultKind.LISTED, 1)


@pytest.mark.parametrize("step", ["fill", "form_filled", "submit", "permit"])
async def test_a_lost_lease_before_the_click_sends_nothing(step: str):
    with serve({"/": _FORM, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            with pytest.raises(Fenced):
                await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal(fenced_at=step))
            assert pool.statistics.sessions_leased == 0
        assert site.count("POST") == 0


async def test_a_permit_that_has_expired_sends_nothing():
    with serve({"/": _FORM, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            journal = RecordingJournal(permit_seconds=0.0)
            result = await Engine(pool, SystemClock()).attempt(_plan(site), journal)
        assert (result.code, result.sent, site.count("POST")) == ("permit_expired", False, 0)
        assert result.error_class == job_pb2.ERROR_CLASS_TRANSIENT


_PATHS = os.pathsep.join(path for path in sys.path if path)
_FROZEN_WORKER = """
import asyncio, sys, time
from sandbox.sample_profile import bakery
from services.runtime.clock import SystemClock
from services.submitter.engine import AttemptPlan, Engine, Permit
from tests.fix_browser import warm_pool
class Journal:
    async def step(self, name): pass
    async def form_filled(self, report): pass
    async def permit(self):
        until = time.monotonic() + 1.0
        print("permitted", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        return Permit(until)
async def main():
    async with warm_pool() as pool:
        result = await Engine(pool, SystemClock()).attempt(AttemptPlan(sys.argv[1], "", bakery()), Journal())
        print("result", result.kind.value, result.code, result.sent, flush=True)
asyncio.run(main())
"""


async def _line_with(stream: asyncio.StreamReader, word: str) -> str:
    while line := (await stream.readline()).decode():
        if line.startswith(word):
            return line
    raise AssertionError(f"the worker ended without saying {word}")


@pytest.mark.parametrize("frozen", [True, False])
async def test_a_worker_frozen_between_permit_and_click_cannot_click_late(frozen: bool):  # noqa: FBT001
    with serve({"/": _FORM, "/take": _THANKS}) as site:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _FROZEN_WORKER, site.url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": _PATHS},
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        await _line_with(worker.stdout, "permitted")
        if frozen:
            worker.send_signal(signal.SIGSTOP)
            expired = asyncio.Event()
            asyncio.get_running_loop().call_later(1.2, expired.set)
            worker.stdin.write(b"go\n")
            await expired.wait()
            worker.send_signal(signal.SIGCONT)
        else:
            worker.stdin.write(b"go\n")
        said = await _line_with(worker.stdout, "result")
        await worker.wait()
        if frozen:
            assert said.split() == ["result", "failed", "permit_expired", "False"]
        else:
            assert said.split() == ["result", "listed", "True"]
        assert site.count("POST") == (0 if frozen else 1)


async def test_a_page_that_sends_twice_counts_one():
    twice = (
        _FORM
        + """<script>document.forms[0].onsubmit = (event) => { event.preventDefault();
        const send = () => fetch('/take', {method: 'POST', body: new FormData(event.target)});
        Promise.allSettled([send(), send()]).then(
            () => document.body.innerHTML = '<p>Your listing is now live</p>');
        }</script>"""
    )
    with serve({"/": twice, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal())
        assert (result.kind, site.count("POST")) == (ResultKind.LISTED, 1)


async def test_words_that_stood_there_before_the_click_are_no_success():
    boast = "<p>Thank you! Your listing is now live in minutes. Successfully submitted, pending review.</p>"
    with serve({"/": boast + _FORM, "/take": boast + "<p>Hm.</p>"}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal())
        assert (result.kind, site.count("POST")) == (ResultKind.UNCERTAIN, 1)


async def test_a_script_that_wants_another_phone_format_is_obeyed_once():
    script = """<script>document.forms[0].onsubmit = (event) => {
        const phone = event.target.phone;
        if (/^\\d{3}\\.\\d{3}\\.\\d{4}$/.test(phone.value)) return;
        event.preventDefault();
        phone.setAttribute('aria-invalid', 'true');
        phone.parentElement.append(' Use the format 555.123.4567'); }</script>"""
    with serve({"/": _FORM + script, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal())
        assert (result.kind, site.count("POST")) == (ResultKind.LISTED, 1)
        assert "555.867.0142" in site.bodies[-1]


async def test_a_form_that_browser_validation_stops_is_not_sent():
    picky = _FORM.replace("name=phone type=tel", "name=phone type=tel pattern='X+'")
    journal = RecordingJournal()
    with serve({"/": picky, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), journal)
        assert (result.kind, result.sent, site.count("POST")) == (ResultKind.FIELD_ERRORS, False, 0)
        assert result.error_class == job_pb2.ERROR_CLASS_REQUIREMENT_NOT_MET
        assert any("Phone" in text for text in result.field_errors)
        assert "permit" not in journal.told


async def test_errors_that_the_site_names_prove_that_nothing_was_taken():
    back = _FORM.replace("<button>", "<p role=alert>Phone: this number is not valid</p><button>")
    with serve({"/": _FORM, "/take": HTMLResponse(back, 422)}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal())
        assert (result.kind, result.sent, site.count("POST")) == (ResultKind.FIELD_ERRORS, True, 1)


async def test_a_required_field_that_the_profile_lacks_is_named_before_any_permit():
    profile = bakery()
    profile.website = ""
    with serve({"/": _FORM.replace("type=url", "type=url required"), "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            journal = RecordingJournal()
            result = await Engine(pool, SystemClock()).attempt(AttemptPlan(site.url, "", profile), journal)
        assert (result.code, site.count("POST")) == ("profile_lacks_website", 0)
        assert "permit" not in journal.told


@pytest.mark.parametrize(
    ("page", "kind", "code"),
    [
        ("<h1>Soon</h1>", ResultKind.FAILED, "form_not_found"),
        ("<form>Log in <input name=user><input type=password></form>", ResultKind.LOGIN, "login_required"),
        (
            _FORM.replace("<button>", "<label>Enter the security code <input name=captcha></label><button>"),
            ResultKind.CAPTCHA,
            "captcha",
        ),
        (HTMLResponse("gone", 404), ResultKind.FAILED, "http_404"),
        (HTMLResponse("busy", 503), ResultKind.FAILED, "http_503"),
    ],
)
async def test_pages_that_cannot_be_submitted_say_why(page: str | HTMLResponse, kind: ResultKind, code: str):
    with serve({"/": page}) as site:
        async with warm_pool() as pool:
            plan = _plan(site, form_seconds=0.3)
            result = await Engine(pool, SystemClock()).attempt(plan, RecordingJournal())
        assert (result.kind, result.code, result.sent) == (kind, code, False)
        assert result.error_class != job_pb2.ERROR_CLASS_UNSPECIFIED


async def test_a_site_that_nobody_serves_is_a_passing_failure():
    async with warm_pool() as pool:
        plan = AttemptPlan("http://127.0.0.1:8998/", "", bakery())
        result = await Engine(pool, SystemClock()).attempt(plan, RecordingJournal())
    assert (result.code, result.error_class) == ("connect_failed", job_pb2.ERROR_CLASS_TRANSIENT)


async def test_a_private_address_is_refused():
    async with warm_pool() as pool:
        plan = AttemptPlan("http://169.254.169.254/latest", "", bakery())
        result = await Engine(pool, SystemClock()).attempt(plan, RecordingJournal())
    assert (result.code, result.error_class) == ("address_refused", job_pb2.ERROR_CLASS_REFUSED)


async def test_a_page_that_posts_by_itself_does_not_hide_its_own_late_submission():
    busy = (
        _FORM
        + """<script>fetch('/track', {method: 'POST', body: 'x'}).catch(() => 0);
        const form = document.forms[0];
        form.onsubmit = (event) => {
        event.preventDefault(); setTimeout(() => form.submit(), 1200); }</script>"""
    )
    with serve({"/": busy, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal())
        assert (result.kind, site.count("POST", "/take"), site.count("POST")) == (ResultKind.LISTED, 1, 1)


async def test_a_script_that_sends_after_all_patience_is_held_back():
    dawdling = (
        _FORM
        + """<script>const form = document.forms[0]; form.onsubmit = (event) => {
        event.preventDefault();
        setTimeout(() => fetch('/take', {method: 'POST', body: 'x'}), 1500); }</script>"""
    )
    with serve({"/": dawdling, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            plan = _plan(site, tried_seconds=0.1, settle_seconds=0.2)
            result = await Engine(pool, SystemClock()).attempt(plan, RecordingJournal())
        assert (result.kind, result.sent, site.count("POST")) == (ResultKind.NOT_SENT, False, 0)


async def test_a_wizard_whose_permit_ends_on_the_way_is_uncertain():
    second = """<p>Step 1 saved</p><form method=post action=/last><label>City <input name=city></label>
        <label>Zip code <input name=zip></label><button>Next</button></form>"""
    with serve({"/": _FORM, "/take": second, "/last": _THANKS}) as site:
        async with warm_pool() as pool:

            async def wait_for_expiry() -> None:
                expired = asyncio.Event()
                asyncio.get_running_loop().call_later(1.5, expired.set)
                await expired.wait()

            journal = RecordingJournal(permit_seconds=1.5, on_step={"recognise": wait_for_expiry})
            result = await Engine(pool, SystemClock()).attempt(_plan(site), journal)
        assert (result.kind, result.code) == (ResultKind.UNCERTAIN, "permit_expired")
        assert (site.count("POST", "/take"), site.count("POST", "/last")) == (1, 0)


async def test_a_form_in_a_frame_is_filled_and_its_answer_read():
    with serve({"/": "<iframe src=/inner width=700 height=500>", "/inner": _FORM, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal())
        assert (result.kind, site.count("POST")) == (ResultKind.LISTED, 1)


async def test_a_form_that_opens_a_window_is_answered_there():
    with serve({"/": _FORM.replace("<form", "<form target=_blank"), "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal())
        assert (result.kind, site.count("POST")) == (ResultKind.LISTED, 1)


async def test_a_form_sent_by_get_needs_a_permit_as_well():
    by_get = _FORM.replace("method=post", "method=get")
    with serve({"/": by_get, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            engine = Engine(pool, SystemClock())
            held = await engine.attempt(_plan(site), RecordingJournal(permit_seconds=0.0))
            assert (held.code, site.count("GET", "/take")) == ("permit_expired", 0)
            result = await engine.attempt(_plan(site), RecordingJournal())
            assert (result.kind, site.count("GET", "/take")) == (ResultKind.LISTED, 1)


async def test_a_form_that_a_script_draws_late_is_found():
    late = f"<div id=app></div><script>setTimeout(() => app.innerHTML = `{_FORM}`, 600)</script>"
    with serve({"/": late, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal())
        assert (result.kind, site.count("POST")) == (ResultKind.LISTED, 1)


async def test_a_wizard_drawn_by_scripts_sends_once_at_the_end():
    steps = (
        _FORM.replace("<form", "<form id=one").replace("<button>Add business", "<button>Next")
        + """<form id=two method=post action=/take hidden><label>City <input name=city></label>
        <label>Zip code <input name=zip></label><button>Publish</button></form>
        <script>one.onsubmit = (event) => {
        event.preventDefault(); one.remove(); two.hidden = false; }</script>"""
    )
    with serve({"/": steps, "/take": _THANKS}) as site:
        async with warm_pool() as pool:
            result = await Engine(pool, SystemClock()).attempt(_plan(site), RecordingJournal())
        assert (result.kind, site.count("POST")) == (ResultKind.LISTED, 1)
        assert "city=Portland" in site.bodies[-1]
