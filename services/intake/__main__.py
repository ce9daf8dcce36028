"""The intake process: `python -m services.intake`, configured by its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.privacy.erasure import Erasures
from services.intake.callers_ledger import CallersLedger
from services.intake.desk import Needs, keeper_of, set_up
from services.intake.servicer import hosted
from services.projections.catalogue import CatalogueProjection
from services.projections.erased_customers import ErasedCustomersProjection
from services.projections.history import HistoryProjection
from services.projections.jobs import JobsProjection
from services.projections.reading import Reads
from services.projections.submissions import SubmissionsProjection
from services.runtime.clock import SystemClock
from services.runtime.config import (
    CertificateConfig,
    EvidenceConfig,
    SealingConfig,
    ServiceConfig,
    TimingConfig,
)
from services.runtime.evidence import FileEvidence
from services.runtime.gateway_store import open_event_store
from services.runtime.ledger import Ledger
from services.runtime.loop import Loop
from services.runtime.process import Service, run_process
from services.runtime.projecting import projecting, projector_of
from services.runtime.readiness import answers
from services.runtime.sealing import certificate_signer_of, vault_of
from services.runtime.service_pulse import service_pulse_loop
from services.runtime.tables.api_keys import ApiKeyTable
from services.runtime.tables.pool import open_pool
from services.runtime.tokens import TokenSealer

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from services.runtime.config import Environment

NAME: Final = "intake"
ROLE: Final = "bolt_intake"
PROJECTIONS: Final = (
    CatalogueProjection(),
    ErasedCustomersProjection(),
    HistoryProjection(),
    JobsProjection(),
    SubmissionsProjection(),
)


async def assemble(environment: Environment, stack: AsyncExitStack) -> Service:
    """Put the process together; what must be closed goes onto the stack.

    Errors: ConfigError; StoreUnavailable and StoreDown when the database does not answer.
    """
    config, timing = ServiceConfig.read(environment), TimingConfig.read(environment)
    url, clock = config.database_url, SystemClock()
    vault = await stack.enter_async_context(vault_of(url, SealingConfig.read(environment)))
    evidence = FileEvidence(EvidenceConfig.read(environment).folder, vault)
    store = await stack.enter_async_context(open_event_store(config))
    pool = await stack.enter_async_context(open_pool(url, role=ROLE, application_name=NAME))
    projectors = [projector_of(store, url, each, ROLE) for each in PROJECTIONS]
    await stack.enter_async_context(projecting(projectors, clock))
    api_keys = ApiKeyTable(pool, clock)
    erasures = Erasures(url, store, vault, certificate_signer_of(CertificateConfig.read(environment)))
    stack.push_async_callback(erasures.close)
    needs = Needs(
        ledger=CallersLedger(store, NAME),
        vault=vault,
        reads=Reads(pool),
        read_models={each.projection.name: each for each in projectors},
        api_keys=api_keys,
        evidence=evidence,
        erasures=erasures,
        sealer=TokenSealer(config.token_secret, clock),
        clock=clock,
    )
    pulse = service_pulse_loop(
        Ledger(store, NAME),
        service=NAME,
        interval_seconds=timing.pulse_seconds,
        clock=clock,
    )
    keeper = keeper_of(needs, Ledger(store, NAME))
    erasures_kept = Loop("erasures", keeper.run_once, interval_seconds=timing.sweep_seconds, clock=clock)
    return Service(
        config=config,
        hosted=[hosted(set_up(needs))],
        verify_key=api_keys.verify,
        loops=[pulse, erasures_kept],
        clock=clock,
        is_ready=lambda: answers(store),
    )


if __name__ == "__main__":
    run_process(NAME, assemble)
