"""The environment is read once, and what is wrong is said in one sentence that names the variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.runtime.config import (
    AlertConfig,
    ConfigError,
    Environment,
    EvidenceConfig,
    PeerConfig,
    SealingConfig,
    ServiceConfig,
    TelemetryConfig,
    TimingConfig,
    WorkerConfig,
)

if TYPE_CHECKING:
    from pathlib import Path

KEY = "dbk_aaaaaaaa_" + "x" * 43


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    values = {"DATABASE_URL": "postgresql://u:hidden-word@h/db"}
    for name in ("STAFF_KEY", "SERVICE_KEY", "TOKEN_KEY", "MASTER_KEY", "CERTIFICATE_KEY"):
        path = tmp_path / name
        path.write_text(KEY + "\n")
        values[f"DIRECTORYBOLT_{name}_FILE"] = str(path)
    return values


def test_defaults_fill_what_is_not_set(variables: dict[str, str]) -> None:
    config = ServiceConfig.read(Environment(variables))
    assert (config.bind_address, config.grpc_port, config.health_port) == ("127.0.0.1", 0, 0)
    assert (config.rate_limit_per_minute, config.lifeline_fd) == (100, None)
    assert (config.staff_key, config.service_key) == (KEY, KEY)
    assert config.telemetry == TelemetryConfig("json", "link", "")


def test_no_secret_shows_when_the_configuration_is_printed(variables: dict[str, str]) -> None:
    shown = repr(ServiceConfig.read(Environment(variables))) + repr(
        SealingConfig.read(Environment(variables))
    )
    assert KEY not in shown
    assert "hidden-word" not in shown


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "DIRECTORYBOLT_STAFF_KEY_FILE", "DIRECTORYBOLT_TOKEN_KEY_FILE"]
)
def test_a_missing_variable_is_named(variables: dict[str, str], name: str) -> None:
    del variables[name]
    with pytest.raises(ConfigError, match=f"^{name} is not set"):
        ServiceConfig.read(Environment(variables))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DIRECTORYBOLT_GRPC_PORT", "65536"),
        ("DIRECTORYBOLT_GRPC_PORT", "http"),
        ("DIRECTORYBOLT_HEALTH_PORT", "1.5"),
        ("DIRECTORYBOLT_RATE_LIMIT_PER_MINUTE", "0"),
        ("DIRECTORYBOLT_TRACE_MODE", "both"),
        ("DIRECTORYBOLT_LOG_FORMAT", "xml"),
        ("DIRECTORYBOLT_LIFELINE_FD", "-1"),
        ("DIRECTORYBOLT_STAFF_KEY_FILE", "/nowhere/at/all"),
    ],
)
def test_a_wrong_value_is_named(variables: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} "):
        ServiceConfig.read(Environment({**variables, name: value}))


def test_a_key_file_that_is_too_short_is_named(variables: dict[str, str], tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("dbk_short")
    with pytest.raises(ConfigError, match=r"^DIRECTORYBOLT_SERVICE_KEY_FILE .* less than 32 bytes"):
        ServiceConfig.read(Environment({**variables, "DIRECTORYBOLT_SERVICE_KEY_FILE": str(short)}))


def test_a_key_file_without_a_key_is_named(variables: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("x" * 60)
    with pytest.raises(ConfigError, match=r"^DIRECTORYBOLT_STAFF_KEY_FILE "):
        ServiceConfig.read(Environment({**variables, "DIRECTORYBOLT_STAFF_KEY_FILE": str(other)}))


def test_a_lease_must_outlast_three_pulses() -> None:
    with pytest.raises(ConfigError, match="DIRECTORYBOLT_PULSE_SECONDS"):
        TimingConfig.read(Environment({"DIRECTORYBOLT_LEASE_SECONDS": "25"}))
    timing = TimingConfig.read(Environment({}))
    assert (timing.lease_seconds, timing.pulse_seconds, timing.retry_scale) == (60.0, 10.0, 1.0)


def test_a_worker_knows_its_private_origins() -> None:
    config = WorkerConfig.read(
        Environment(
            {
                "DIRECTORYBOLT_WORKER_ID": "w1",
                "DIRECTORYBOLT_PRIVATE_ORIGINS": "http://127.0.0.1:8000/, http://127.0.0.1:8001",
            }
        )
    )
    assert config == WorkerConfig("w1", 2, frozenset({"http://127.0.0.1:8000", "http://127.0.0.1:8001"}))


def test_the_small_parts_read_their_variables(tmp_path: Path) -> None:
    env = Environment(
        {
            "DIRECTORYBOLT_INTAKE_ADDRESS": "127.0.0.1:1",
            "DIRECTORYBOLT_EVIDENCE_DIR": str(tmp_path),
            "DIRECTORYBOLT_SLACK_WEBHOOK_URL": "https://hooks.example/x",
        }
    )
    assert PeerConfig.read(env) == PeerConfig("127.0.0.1:1", "", "", "")
    assert EvidenceConfig.read(env).folder == tmp_path
    assert AlertConfig.read(env).slack_webhook_url == "https://hooks.example/x"
