"""The use cases of the service, put together from what they need; `__main__` and tests build it alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from services.intake.accept_job import JobDesk
from services.intake.api_keys import ApiKeys
from services.intake.cancel import cancel_job
from services.intake.customers import Customers
from services.intake.directories import Directories
from services.intake.erase import CustomerEraser, ErasureNeeds
from services.intake.erasure_keeper import ErasureKeeper
from services.intake.evidence_details import SubmissionPresenter
from services.intake.export import CustomerExport, ExportNeeds
from services.intake.freshness import Freshness
from services.intake.lists import Lists, ReadModels
from services.intake.profiles import Profiles
from services.intake.proofs import Proofs
from services.intake.show_job import JobShow
from services.intake.watch import JobWatcher
from services.projections.catalogue import CatalogueReader
from services.projections.erased_customers import ErasedCustomerReader
from services.projections.history import HistoryReader
from services.projections.jobs import JobReader
from services.projections.submissions import SubmissionReader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from eventstore.privacy.erasure import Certificates, Erasures
    from eventstore.privacy.vault import Vault
    from services.intake.freshness import Covering
    from services.intake.names import Owned
    from services.projections.reading import Reads
    from services.runtime.clock import Clock
    from services.runtime.evidence import EvidenceStore
    from services.runtime.ledger import Ledger
    from services.runtime.tables.api_keys import ApiKeyTable
    from services.runtime.tokens import TokenSealer


@dataclass(frozen=True, slots=True)
class Needs:
    """What the use cases need from outside."""

    ledger: Ledger
    vault: Vault
    reads: Reads
    read_models: Mapping[str, Covering]
    api_keys: ApiKeyTable
    evidence: EvidenceStore
    erasures: Erasures
    sealer: TokenSealer
    clock: Clock


@dataclass(frozen=True, slots=True)
class Desk:
    """Every use case of the service."""

    ledger: Ledger
    customers: Customers
    api_keys: ApiKeys
    profiles: Profiles
    directories: Directories
    orders: JobDesk
    show: JobShow
    lists: Lists
    watcher: JobWatcher
    proofs: Proofs
    cancel: Callable[[Owned, str], Awaitable[None]]
    eraser: CustomerEraser
    export: CustomerExport
    certificates: Certificates


def set_up(needs: Needs) -> Desk:
    """Return the use cases, ready to be called."""
    ledger = needs.ledger
    read = ReadModels(
        CatalogueReader(needs.reads),
        JobReader(needs.reads),
        SubmissionReader(needs.reads),
        HistoryReader(needs.reads),
    )
    freshness = Freshness(needs.read_models, needs.sealer, needs.clock)
    presenter = SubmissionPresenter(needs.vault)
    customers = Customers(ledger, needs.vault)
    profiles = Profiles(ledger, needs.vault, customers)
    directories = Directories(ledger, read.catalogue)
    api_keys = ApiKeys(needs.api_keys, customers, needs.clock)
    show = JobShow(ledger, read.submissions, freshness, presenter, needs.sealer)
    return Desk(
        ledger=ledger,
        customers=customers,
        api_keys=api_keys,
        profiles=profiles,
        directories=directories,
        orders=JobDesk(ledger, customers, profiles, directories),
        show=show,
        lists=Lists(ledger, read, freshness, presenter, needs.sealer),
        watcher=JobWatcher(ledger, presenter, needs.sealer, needs.clock),
        proofs=Proofs(ledger, read.submissions, freshness, needs.evidence),
        cancel=partial(cancel_job, ledger, needs.vault),
        eraser=eraser_of(needs, ledger),
        export=CustomerExport(
            ExportNeeds(
                ledger=ledger,
                vault=needs.vault,
                customers=customers,
                api_keys=api_keys,
                show=show,
                presenter=presenter,
                certificates=needs.erasures.certificates,
                sealer=needs.sealer,
            )
        ),
        certificates=needs.erasures.certificates,
    )


def eraser_of(needs: Needs, ledger: Ledger) -> CustomerEraser:
    """Return what erases customers, recording by this ledger."""
    return CustomerEraser(
        ErasureNeeds(
            ledger=ledger,
            vault=needs.vault,
            customers=Customers(ledger, needs.vault),
            api_keys=needs.api_keys,
            evidence=needs.evidence,
            erasures=needs.erasures,
            clock=needs.clock,
        )
    )


def keeper_of(needs: Needs, ledger: Ledger) -> ErasureKeeper:
    """Return what keeps the erased erased, recording by this ledger."""
    return ErasureKeeper(
        ErasedCustomerReader(needs.reads),
        needs.vault,
        needs.erasures.certificates,
        eraser_of(needs, ledger),
    )
