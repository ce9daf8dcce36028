"""The environment that each process of the mesh is told: settings travel as variables, never as arguments."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.runtime.api_key import ApiKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from stack.state import StateDirectory

LOOPBACK = "127.0.0.1"
#: Python paths must not leak into any stack, nor a developer's own AWS login into an embedded one.
WITHHELD = ("PYTHONPATH", "PYTHONHOME")
WITHHELD_WHEN_EMBEDDED = ("AWS_PROFILE", "AWS_SESSION_TOKEN")


def _api_key() -> str:
    return ApiKey.generate().text()


def _cipher_key() -> str:
    return secrets.token_hex(32)


#: Generated keys: the first two are API keys, the others bytes for ciphers.
KEYS: Mapping[str, Callable[[], str]] = {
    "staff_key": _api_key,
    "service_key": _api_key,
    "token_key": _cipher_key,
    "master_key": _cipher_key,
    "certificate_key": _cipher_key,
    "log_seal_key": _cipher_key,
}


@dataclass(frozen=True, slots=True)
class Replica:
    """One process of a service."""

    name: str
    service: str
    grpc_port: int
    health_port: int

    @property
    def address(self) -> str:
        """Where its RPCs answer, as host:port."""
        return f"{LOOPBACK}:{self.grpc_port}"

    @property
    def health_address(self) -> str:
        """Where its grpc.health.v1 answers in plaintext."""
        return f"{LOOPBACK}:{self.health_port}"

    def environment(self) -> dict[str, str]:
        """Return what only this process is told."""
        own = {
            "DIRECTORYBOLT_GRPC_PORT": str(self.grpc_port),
            "DIRECTORYBOLT_HEALTH_PORT": str(self.health_port),
        }
        if self.service == "submitter":
            own["DIRECTORYBOLT_WORKER_ID"] = self.name
        return own


def replica_names(submitters: int, *, gateway: bool = False) -> list[tuple[str, str]]:
    """Return (process name, service) of every process, submitters numbered from 1."""
    workers = [(f"submitter-{number}", "submitter") for number in range(1, submitters + 1)]
    optional = [("gateway", "gateway")] if gateway else []
    return [("intake", "intake"), ("scheduler", "scheduler"), *workers, ("monitor", "monitor"), *optional]


def inherited() -> dict[str, str]:
    """Return our own environment without what must not reach a child."""
    embedded = os.environ.get("DIRECTORYBOLT_SQS") != "aws"
    withheld = {*WITHHELD, *(WITHHELD_WHEN_EMBEDDED if embedded else ())}
    kept = {name: value for name, value in os.environ.items() if name not in withheld}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, (kept.get(name), LOOPBACK, "localhost")))
    return kept


def service_addresses(replicas: list[Replica]) -> dict[str, str]:
    """Return DIRECTORYBOLT_<SERVICE>_ADDRESS of each service: its first process."""
    first: dict[str, str] = {}
    for replica in replicas:
        first.setdefault(f"DIRECTORYBOLT_{replica.service.upper()}_ADDRESS", replica.address)
    return first


def key_files(state: StateDirectory) -> dict[str, Path]:
    """Return the file of each generated key."""
    return {name: state.key_file(name, generate) for name, generate in KEYS.items()}


def key_variables(files: Mapping[str, Path]) -> dict[str, str]:
    """Return DIRECTORYBOLT_<KEY>_FILE of each generated key."""
    return {f"DIRECTORYBOLT_{name.upper()}_FILE": str(path) for name, path in files.items()}


def shared(
    database_url: str, queue: Mapping[str, str], evidence: Path, sandbox_origin: str | None
) -> dict[str, str]:
    """Return what every service is told, apart from addresses and keys."""
    told = {
        "DATABASE_URL": database_url,
        "DIRECTORYBOLT_BIND": LOOPBACK,
        "DIRECTORYBOLT_EVIDENCE_DIR": str(evidence),
        "DIRECTORYBOLT_LOG_SEAL_ARCHIVE": str(evidence.with_name("log_seals")),
        **queue,
    }
    if sandbox_origin:
        told["DIRECTORYBOLT_PRIVATE_ORIGINS"] = sandbox_origin
    return told
