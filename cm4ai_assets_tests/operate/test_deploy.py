"""The files of deploy/ but for those of Kubernetes, held against the tools that read them, without Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import compose_spec
import pytest
import redis
import yaml
from botocore.session import get_session
from dagster._cli import create_dagster_cli
from dagster._daemon.cli import create_dagster_daemon_cli
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from cm4ai_assets import daemon, ui, worker
from cm4ai_assets.settings import PACKAGE, PROJECT, Settings
from cm4ai_assets_tests.operate.test_image import EXTRAS, environment_of_image
from cm4ai_assets_tests.processes import end_group, free_port

DEPLOY = PROJECT / "deploy"
SET = {
    "POSTGRES_PASSWORD": "Pg1", "REDIS_PASSWORD": "Rd1", "CM4AI_LOGIN": "operator", "CM4AI_LOGIN_HASH": "$2a$14$x",
    "CM4AI_RUNS": "3",
}  # fmt: skip
# Settings that a form of deployment has no use for, and what stands in their place.
IN_CONTAINERS = {
    "CM4AI_UI_PORT": "the command names the port, and the proxy knows it",
}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")
SECRET = re.compile("password|secret|token|access_key|auth", re.IGNORECASE)


def interpolated(text: str, wished: Mapping[str, str] | None = None) -> str:
    """What Compose makes of variables: those of SET, and over them those that an operator wished for."""
    values = {**SET, **(wished or {})}
    return VARIABLE.sub(lambda found: values.get(found[1]) or (found[3] if found[2] == ":-" else ""), text)


def parsed(text: str) -> Any:
    options = compose_spec._PyOptions()  # type: ignore[attr-defined] # the typed one cannot be told to merge
    options.apply_merge = True
    return options.from_yaml(text)


@pytest.fixture(scope="module")
def compose() -> str:
    return (DEPLOY / "compose.yaml").read_text()


def test_the_compose_file_is_one_and_faults_in_it_would_be_seen(compose: str) -> None:
    text = interpolated(compose)
    parsed(text).validate()
    for right, wrong in (("condition: service_healthy", "condition: service_well"), ("image: redis", "imag: redis")):
        with pytest.raises(ValueError, match=r"service_well|imag"):
            parsed(text.replace(right, wrong))


def test_only_the_proxy_is_published_and_only_on_the_loopback_until_an_address_is_named(compose: str) -> None:
    services = yaml.safe_load(interpolated(compose))["services"]
    assert {name: one["ports"] for name, one in services.items() if "ports" in one} == {
        "proxy": ["127.0.0.1:80:80", "127.0.0.1:443:443"]
    }
    ui_, proxy = services["ui"], services["proxy"]
    assert ui_["environment"]["CM4AI_UI_HOSTS"] == proxy["environment"]["CM4AI_SITE"] == "localhost"
    port = ui._parser().parse_args(ui_["command"][3:]).port
    assert proxy["environment"]["CM4AI_UI"] == f"ui:{port}"
    read = set(re.findall(r"\{\$(\w+)", (DEPLOY / "Caddyfile").read_text()))
    assert set(proxy["environment"]) <= read


def test_the_stores_are_reached_by_the_platform_only(compose: str) -> None:
    found = yaml.safe_load(interpolated(compose))
    assert found["networks"]["stores"]["internal"] is True
    assert {name for name, one in found["services"].items() if "stores" in one.get("networks", [])} == {
        "database", "redis", "ui", "daemon", "code", "worker",
    }  # fmt: skip
    assert "default" not in found["services"]["database"]["networks"] + found["services"]["redis"]["networks"]


def test_ui_and_daemon_find_the_code_location_that_is_served(compose: str) -> None:
    services = yaml.safe_load(interpolated(compose))["services"]
    (location,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    served = services["code"]["command"]
    option = dict(zip(served[3::2], served[4::2], strict=True))
    assert location["grpc_server"] == {
        "host": "code", "port": int(option["--port"]), "location_name": option["--location-name"],
    }  # fmt: skip
    own = yaml.safe_load((PACKAGE / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    assert (option["--module-name"], option["--location-name"]) == (own["module_name"], own["location_name"])
    (copied,) = re.findall(r"^COPY deploy/workspace.yaml (\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for name, parser in (("ui", ui._parser()), ("daemon", daemon._parser())):
        words = services[name]["command"]
        assert words[:3] == ["python", "-m", f"cm4ai_assets.{name}"]
        assert str(parser.parse_args(words[3:]).workspace) == copied
    assert ui._parser().parse_args(services["ui"]["command"][3:]).with_daemon is False


def test_dagsters_own_commands_of_the_compose_file_are_understood(compose: str) -> None:
    services = yaml.safe_load(interpolated(compose))["services"]
    programs = {"dagster": create_dagster_cli(), "dagster-daemon": create_dagster_daemon_cli()}
    lines = [words for one in services.values()
             for words in (one.get("command", []), one.get("healthcheck", {}).get("test", []))]  # fmt: skip
    found = [words[i:] for words in lines for i, word in enumerate(words) if word in programs]
    assert len(found) == 3
    for program, *words in found:
        command: click.Command = programs[program]
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        command.make_context(program, words)  # raises on an unknown option


def test_the_platforms_containers_may_do_nothing_and_are_given_time_to_end(compose: str) -> None:
    services = yaml.safe_load(interpolated(compose))["services"]
    own = {name: one for name, one in services.items() if one["image"] == "cm4ai-assets"}
    assert set(own) == {"ui", "daemon", "code", "worker"}
    for name, one in own.items():
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one["init"] is True, name
        count, unit = re.fullmatch(r"(\d+)([sm])", one["stop_grace_period"]).groups()  # type: ignore[union-attr]
        assert int(count) * {"s": 1, "m": 60}[unit] >= (600 if name == "worker" else 60), name
    assert {one["restart"] for one in services.values()} == {"unless-stopped"}


def test_each_service_is_asked_for_what_it_is_for(compose: str) -> None:
    """And a service that needs another one waits until that one is well."""
    services = yaml.safe_load(interpolated(compose))["services"]
    asked = {name: " ".join(one["healthcheck"]["test"]) for name, one in services.items()
             if "test" in one.get("healthcheck", {})}  # fmt: skip
    user = services["database"]["environment"]["POSTGRES_USER"]
    assert f"pg_isready --username {user}" in asked["database"]
    assert asked["redis"].endswith("redis-cli ping | grep -q PONG"), "it answers to a wrong password with status 0 too"
    assert "dagster-daemon liveness-check" in asked["daemon"]
    served = services["code"]["command"]
    assert asked["code"].endswith(f"grpc-health-check --port {served[served.index('--port') + 1]}")
    assert set(services) - set(asked) == {"ui", "proxy", "worker"}  # the image's own; none; Celery's
    for name, one in services.items():
        for waited, how in one.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, (name, waited)
    assert "ui" in services["proxy"]["depends_on"]


@pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="Redis is not installed (Debian: apt-get install redis-server)"
)
def test_redis_asks_for_the_password_that_the_platform_has(compose: str, tmp_path: Path) -> None:
    one = yaml.safe_load(interpolated(compose))["services"]["redis"]
    port = free_port()
    words = [*one["command"][:2], one["command"][2].replace("$$", "$") + f" --port {port} --bind 127.0.0.1"]
    environ = {**os.environ, **one["environment"]}
    server = subprocess.Popen(words, env=environ, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        broker = redis.Redis(port=port, password=SET["REDIS_PASSWORD"], retry=Retry(ConstantBackoff(0.1), 100))
        assert broker.ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
        assert SET["REDIS_PASSWORD"] not in " ".join(words)
        assert broker.config_get("appendonly") == {"appendonly": "yes"}
    finally:
        end_group(server)
        server.wait()


def test_every_secret_comes_from_the_environment(compose: str) -> None:
    for one in [yaml.safe_load(compose)["x-platform"], *yaml.safe_load(compose)["services"].values()]:
        for name, value in one.get("environment", {}).items():
            assert not SECRET.search(name) or VARIABLE.fullmatch(value), name
    assert re.findall(r"://[^$\s]*:([^$\s@]+)@", compose) == []
    example = (DEPLOY / "example.env").read_text()
    assert sorted(re.findall(r"^#?(\w+)=", example, re.MULTILINE)) == sorted(
        {name for name, *_ in VARIABLE.findall(compose)}
    )
    assert ".env" in (PROJECT / ".gitignore").read_text().splitlines()


def every_setting() -> set[str]:
    """The settings there are: `.env.example` lists them, and a test of `settings` holds it to what is read."""
    return set(re.findall(r"^#?(\w+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))


def given(one: dict[str, Any]) -> dict[str, str]:
    """The environment of a container: that of the image, and over it what the compose file sets."""
    return environment_of_image() | {name: str(value or "") for name, value in one["environment"].items()}


def test_every_setting_reaches_the_containers(compose: str) -> None:
    for name, one in yaml.safe_load(interpolated(compose))["services"].items():
        if one["image"] == "cm4ai-assets":
            settings = {key for key in given(one) if re.match("CM4AI_|DATAVERSE_|DAGSTER_", key)}
            assert settings == every_setting() - set(IN_CONTAINERS), name
    for name in every_setting() - set(IN_CONTAINERS) - set(environment_of_image()):
        value = yaml.safe_load(compose)["x-platform"]["environment"][name]
        assert VARIABLE.search(value), f"{name}: what an operator writes into deploy/.env is not read"


def test_what_an_operator_writes_into_the_file_of_compose_is_what_the_platform_reads(compose: str) -> None:
    wished = {"CM4AI_SITE": "cm4ai.example.org", "CM4AI_ALERTS": "json://example.org/x", "CM4AI_SCRUB_GB": "3",
              "CM4AI_POLL_SECONDS": "600", "CM4AI_COLLECTION": "other", "CM4AI_EXECUTOR": "tcp://dask:8786",
              "CM4AI_DATASHEETS": "/data/sheets", "DATAVERSE_API_TOKEN": "t1"}  # fmt: skip
    worker_ = yaml.safe_load(interpolated(compose, wished))["services"]["worker"]
    settings = Settings.from_env(given(worker_))
    assert settings.ui_hosts == ("cm4ai.example.org",)
    assert settings.ui_url == "https://cm4ai.example.org"
    assert settings.alerts == ("json://example.org/x",)
    assert (settings.scrub_bytes, settings.poll_seconds, settings.collection) == (3 * 10**9, 600, "other")
    assert (settings.executor, settings.datasheets) == ("tcp://dask:8786", "/data/sheets")
    assert settings.dataverse_token == "t1"


def test_what_nobody_wrote_into_it_is_the_default(compose: str) -> None:
    found = Settings.from_env(given(yaml.safe_load(interpolated(compose))["services"]["worker"]))
    usual = Settings.from_env({})
    own = {"storage", "scratch", "database", "broker", "runs", "ui_hosts", "ui_url"}
    for one in fields(Settings):
        assert one.name in own or getattr(found, one.name) == getattr(usual, one.name), one.name
    example = dict(re.findall(r"^#(\w+)=(.*)$", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    said = Settings.from_env({name: value for name, value in example.items() if value not in {"", "''"}})
    for one in fields(Settings):
        if one.name not in own | {"datasheets"}:
            assert getattr(said, one.name) == getattr(usual, one.name), f"{one.name}: the example shows its default"


@pytest.mark.parametrize(
    ("region", "endpoint"), [("", "https://s3.amazonaws.com"), ("eu-west-1", "https://s3.eu-west-1.")]
)
def test_an_object_store_of_amazon_needs_its_keys_only(
    compose: str, region: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out reaches the container as an empty text, which is not everywhere the same as nothing."""
    wished = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "other", "AWS_DEFAULT_REGION": region}
    one = yaml.safe_load(interpolated(compose, wished))["services"]["worker"]
    for name, value in one["environment"].items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, str(value or ""))
    assert get_session().create_client("s3").meta.endpoint_url.startswith(endpoint)


def test_what_the_containers_are_given_are_settings_and_their_commands_exist(
    compose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = yaml.safe_load(interpolated(compose))["services"]["worker"]
    settings = Settings.from_env({name: str(value or "") for name, value in platform["environment"].items()})
    assert settings.database == "postgresql://cm4ai:Pg1@database:5432/cm4ai"
    assert (settings.broker, settings.runs) == ("redis://:Rd1@redis:6379/0", 3)
    assert platform["deploy"]["replicas"] == settings.runs
    assert platform["command"] == ["python", "-m", "cm4ai_assets.worker"]
    assert worker._parser().parse_args([]).runs == 1
    (command,) = re.findall(r"^CMD (.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    words = yaml.safe_load(command)
    assert words[:3] == ["python", "-m", "cm4ai_assets.ui"]
    assert ui._parser().parse_args(words[3:]).listen == "0.0.0.0"


def test_the_image_has_every_file_that_is_copied_and_every_extra(compose: str) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    lines = [line for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) if not line.startswith("--from")]
    copied = [word for line in lines for word in line.split()[:-1]]
    let_in = {
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert set(copied) == let_in
    assert all((PROJECT / name).exists() for name in copied)
    assert {"s3", "postgres", "celery", "dask", "k8s", "alerts"} == EXTRAS
