"""The environment, read once at the start into frozen values; what is wrong is said in one sentence.

Each process reads ServiceConfig and the further parts that it needs. Files with secrets are read here
too, so that a missing one stops the process before it answers anybody.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

TraceMode = Literal["link", "parent"]
LogFormat = Literal["json", "console"]

_PREFIX = "DIRECTORYBOLT_"
_PORT_MAX = 65_535
_KEY_BYTES_MIN = 32


class ConfigError(Exception):
    """A variable of the environment is missing or wrong; the message names it."""


class Environment:
    """Reads variables and says which one is wrong."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables

    def text(self, name: str, default: str | None = None) -> str:
        """Return a variable's text; without a default it must be there."""
        value = self._variables.get(name, "").strip()
        if value:
            return value
        if default is None:
            raise ConfigError(f"{name} is not set: give it a value")
        return default

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        """Return a number within bounds."""
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise ConfigError(f"{name} must be a number from {least:g} to {most:g}, not '{text}'")
        return value

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number within bounds."""
        value = self.number(name, default, least=least, most=most)
        if not value.is_integer():
            raise ConfigError(f"{name} must be a whole number, not '{self.text(name)}'")
        return int(value)

    def choice(self, name: str, *choices: str) -> str:
        """Return one of the words; the first is the default."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise ConfigError(f"{name} must be {' or '.join(choices)}, not '{value}'")
        return value

    def secret(self, name: str) -> bytes:
        """Return the content of the file that the variable names, without white space at the ends."""
        path = Path(self.text(name))
        try:
            content = path.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"{name} names {path}, which cannot be read: {error.strerror}") from error
        if len(content) < _KEY_BYTES_MIN:
            raise ConfigError(f"{name} names {path}, which holds less than {_KEY_BYTES_MIN} bytes")
        return content


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """How the process logs and traces. An empty endpoint exports nothing."""

    log_format: LogFormat
    trace_mode: TraceMode
    otlp_endpoint: str

    @classmethod
    def read(cls, env: Environment) -> TelemetryConfig:
        """Read it from the environment."""
        return cls(
            log_format=cast("LogFormat", env.choice(_PREFIX + "LOG_FORMAT", "json", "console")),
            trace_mode=cast("TraceMode", env.choice(_PREFIX + "TRACE_MODE", "link", "parent")),
            otlp_endpoint=env.text("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        )


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """What all services need. Port 0 lets the system choose; the process prints the choice.

    `staff_key` and `service_key` are whole API keys; `token_secret` seals page and position tokens;
    `lifeline_fd` is an inherited pipe whose end asks the process to drain; an empty `gateway_address` means
    that the process appends directly; `archive_url` is where archived events are read, empty for nowhere.
    """

    database_url: str = field(repr=False)
    bind_address: str
    grpc_port: int
    health_port: int
    staff_key: str = field(repr=False)
    service_key: str = field(repr=False)
    token_secret: bytes = field(repr=False)
    rate_limit_per_minute: int
    lifeline_fd: int | None
    telemetry: TelemetryConfig
    gateway_address: str = ""
    archive_url: str = ""

    @classmethod
    def read(cls, env: Environment) -> ServiceConfig:
        """Read it from the environment.

        Errors: ConfigError naming the variable.
        """
        return cls(
            database_url=env.text("DATABASE_URL"),
            bind_address=env.text(_PREFIX + "BIND", "127.0.0.1"),
            grpc_port=env.whole(_PREFIX + "GRPC_PORT", 0, least=0, most=_PORT_MAX),
            health_port=env.whole(_PREFIX + "HEALTH_PORT", 0, least=0, most=_PORT_MAX),
            staff_key=_api_key(env, _PREFIX + "STAFF_KEY_FILE"),
            service_key=_api_key(env, _PREFIX + "SERVICE_KEY_FILE"),
            token_secret=env.secret(_PREFIX + "TOKEN_KEY_FILE"),
            rate_limit_per_minute=env.whole(_PREFIX + "RATE_LIMIT_PER_MINUTE", 100, least=1, most=1_000_000),
            lifeline_fd=_lifeline(env),
            telemetry=TelemetryConfig.read(env),
            gateway_address=env.text(_PREFIX + "GATEWAY_ADDRESS", ""),
            archive_url=env.text(_PREFIX + "ARCHIVE_URL", ""),
        )


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """Where the other services answer; read only by who calls them."""

    intake_address: str
    scheduler_address: str
    submitter_address: str
    monitor_address: str

    @classmethod
    def read(cls, env: Environment) -> PeerConfig:
        """Read it from the environment; a service that is not named has an empty address."""
        return cls(
            *(
                env.text(f"{_PREFIX}{each}_ADDRESS", "")
                for each in ("INTAKE", "SCHEDULER", "SUBMITTER", "MONITOR")
            )
        )


@dataclass(frozen=True, slots=True)
class TimingConfig:
    """How long leases, pulses, sweeps and permits last; `retry_scale` multiplies every retry delay."""

    lease_seconds: float
    pulse_seconds: float
    sweep_seconds: float
    permit_seconds: float
    retry_scale: float

    @classmethod
    def read(cls, env: Environment) -> TimingConfig:
        """Read it from the environment.

        Errors: ConfigError naming the variable; a lease must outlast three pulses.
        """
        timing = cls(
            lease_seconds=env.number(_PREFIX + "LEASE_SECONDS", 60, least=0.5, most=3_600),
            pulse_seconds=env.number(_PREFIX + "PULSE_SECONDS", 10, least=0.05, most=600),
            sweep_seconds=env.number(_PREFIX + "SWEEP_SECONDS", 15, least=0.05, most=600),
            permit_seconds=env.number(_PREFIX + "PERMIT_SECONDS", 30, least=0.1, most=600),
            retry_scale=env.number(_PREFIX + "RETRY_SCALE", 1, least=0.0001, most=100),
        )
        if timing.pulse_seconds * 3 > timing.lease_seconds:
            raise ConfigError(
                f"{_PREFIX}PULSE_SECONDS must be at most a third of {_PREFIX}LEASE_SECONDS, "
                "or one late pulse costs the lease"
            )
        return timing


@dataclass(frozen=True, slots=True)
class MasterKeyConfig:
    """A master key: the content of its file, or what AWS KMS knows it by; `variable` is who named it."""

    variable: str
    local_key: bytes = field(default=b"", repr=False)
    kms_key: str = ""

    @classmethod
    def read(cls, env: Environment, name: str) -> MasterKeyConfig:
        """Read it from the variable `<name>_KMS` or, without that, `<name>_FILE`.

        Errors: ConfigError naming the variable; when both are set.
        """
        in_file, in_kms = f"{name}_FILE", f"{name}_KMS"
        kms_key = env.text(in_kms, "")
        if not kms_key:
            return cls(in_file, local_key=env.secret(in_file))
        if env.text(in_file, ""):
            raise ConfigError(f"{in_file} and {in_kms} are both set: one of them keeps the master key")
        return cls(in_kms, kms_key=kms_key)


@dataclass(frozen=True, slots=True)
class SealingConfig:
    """The master key, which wraps the customers' keys, and the one that it replaces, if any."""

    master_key: MasterKeyConfig
    former: MasterKeyConfig | None = None

    @classmethod
    def read(cls, env: Environment) -> SealingConfig:
        """Read it from the environment.

        Errors: ConfigError naming the variable.
        """
        former = _PREFIX + "FORMER_MASTER_KEY"
        replaces = any(env.text(f"{former}_{kind}", "") for kind in ("FILE", "KMS"))
        return cls(
            master_key=MasterKeyConfig.read(env, _PREFIX + "MASTER_KEY"),
            former=MasterKeyConfig.read(env, former) if replaces else None,
        )


@dataclass(frozen=True, slots=True)
class CertificateConfig:
    """The key that signs certificates of erasure."""

    key: bytes = field(repr=False)

    @classmethod
    def read(cls, env: Environment) -> CertificateConfig:
        """Read it from the environment.

        Errors: ConfigError naming the variable.
        """
        return cls(key=env.secret(_PREFIX + "CERTIFICATE_KEY_FILE"))


@dataclass(frozen=True, slots=True)
class LogSealConfig:
    """Which key seals the log, and where seals are kept outside: a folder, or s3://bucket/prefix.

    Shape: without a key file nothing is sealed; without an archive seals stand in the database alone.
    """

    key_file: Path | None
    archive: str

    @classmethod
    def read(cls, env: Environment) -> LogSealConfig:
        """Read it from the environment.

        Errors: ConfigError naming the variable.
        """
        key_file = env.text(_PREFIX + "LOG_SEAL_KEY_FILE", "")
        return cls(
            key_file=Path(key_file) if key_file else None,
            archive=env.text(_PREFIX + "LOG_SEAL_ARCHIVE", ""),
        )


@dataclass(frozen=True, slots=True)
class EvidenceConfig:
    """Where proof pictures are kept."""

    folder: Path

    @classmethod
    def read(cls, env: Environment) -> EvidenceConfig:
        """Read it from the environment.

        Errors: ConfigError naming the variable.
        """
        return cls(folder=Path(env.text(_PREFIX + "EVIDENCE_DIR")))


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker is called, how much it does at once, and which private origins it may visit."""

    worker_id: str
    slots: int
    private_origins: frozenset[str]

    @classmethod
    def read(cls, env: Environment) -> WorkerConfig:
        """Read it from the environment; origins are separated by commas.

        Errors: ConfigError naming the variable.
        """
        origins = env.text(_PREFIX + "PRIVATE_ORIGINS", "").split(",")
        return cls(
            worker_id=env.text(_PREFIX + "WORKER_ID"),
            slots=env.whole(_PREFIX + "WORKER_SLOTS", 2, least=1, most=100),
            private_origins=frozenset(each.strip().rstrip("/") for each in origins if each.strip()),
        )


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long events stay in the database, how long archived ones are kept, and how long pulses."""

    hot: timedelta
    keep: timedelta
    keep_pulses: timedelta

    @classmethod
    def read(cls, env: Environment) -> RetentionConfig:
        """Read it from the environment.

        Errors: ConfigError naming the variable; archived events are kept longer than hot ones.
        """
        hot, keep, pulses = (
            timedelta(days=env.number(f"{_PREFIX}{name}_DAYS", days, least=0, most=36_500))
            for name, days in (("ARCHIVE_HOT", 90), ("ARCHIVE_KEEP", 365), ("PULSE_KEEP", 7))
        )
        if keep < hot:
            raise ConfigError(f"{_PREFIX}ARCHIVE_KEEP_DAYS must be at least {_PREFIX}ARCHIVE_HOT_DAYS")
        return cls(hot, keep, pulses)


@dataclass(frozen=True, slots=True)
class AlertConfig:
    """Where alerts go; an empty address sends none."""

    slack_webhook_url: str = field(repr=False)

    @classmethod
    def read(cls, env: Environment) -> AlertConfig:
        """Read it from the environment."""
        return cls(slack_webhook_url=env.text(_PREFIX + "SLACK_WEBHOOK_URL", ""))


def _api_key(env: Environment, name: str) -> str:
    key = env.secret(name).decode("ascii", errors="replace")
    if not key.startswith("dbk_"):
        raise ConfigError(f"{name} names a file that does not hold a key of the form dbk_…")
    return key


def _lifeline(env: Environment) -> int | None:
    name = _PREFIX + "LIFELINE_FD"
    return env.whole(name, 0, least=0, most=65_535) if env.text(name, "") else None
