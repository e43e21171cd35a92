from __future__ import annotations

import re
from pathlib import Path

import pytest

from cm4ai_assets import settings
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.settings import PROJECT, Settings, data_folder, environment, is_checkout


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.from_env({"HOME": "/home/someone"})
    assert settings.dataverse_url == "https://dataverse.lib.virginia.edu"
    assert settings.collection == "CM4AI"
    assert settings.storage == str(PROJECT / "storage")
    assert settings.scratch == Path("/home/someone/.cache/cm4ai_assets")
    assert settings.executor == "threads"
    assert settings.tensor_size == 1024


def test_an_installed_package_keeps_data_in_the_users_folder_whatever_was_installed_beside_it(tmp_path: Path) -> None:
    assert is_checkout()
    assert data_folder({"XDG_DATA_HOME": "/data"}) == PROJECT
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')  # some wheels leave theirs
    for env in ({"HOME": "/home/someone"}, {"HOME": "/home/someone", "XDG_DATA_HOME": "not/absolute"}):
        assert data_folder(env, tmp_path) == Path("/home/someone/.local/share/cm4ai_assets")
    assert data_folder({"XDG_DATA_HOME": "/data"}, tmp_path) == Path("/data/cm4ai_assets")


def test_a_token_is_never_shown() -> None:
    settings = Settings.from_env({"DATAVERSE_API_TOKEN": "00000000-secret"})
    assert settings.dataverse_token == "00000000-secret"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_a_database_is_known_by_the_url_that_any_tool_uses_and_its_password_is_never_shown(scheme: str) -> None:
    settings = Settings.from_env({"CM4AI_DATABASE": f"{scheme}://me:p%40ss-secret@db:5433/cm4ai?sslmode=require"})
    assert settings.database == "postgresql://me:p%40ss-secret@db:5433/cm4ai?sslmode=require"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("value", ["sqlite:///secret.db", "postgresql://me:secret@db", "secret"])
def test_what_is_no_database_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(ConfigurationError, match="CM4AI_DATABASE is not the URL") as raised:
        Settings.from_env({"CM4AI_DATABASE": value})
    assert "secret" not in str(raised.value)


SHARED_INSTANCE = {"CM4AI_DATABASE": "postgresql://db/cm4ai"}


@pytest.mark.parametrize("url", ["redis://:p%40ss-secret@queue:6380/2", "rediss://queue", "redis://me:secret@queue/"])
def test_a_broker_is_a_redis_server_and_its_password_is_never_shown(url: str) -> None:
    settings = Settings.from_env({**SHARED_INSTANCE, "CM4AI_BROKER": url})
    assert settings.broker == url
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("value", ["amqp://me:secret@queue", "redis://:secret@", "redis://:se/cret@queue", "secret"])
def test_what_is_no_broker_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(ConfigurationError, match="CM4AI_BROKER is not the URL") as raised:
        Settings.from_env({**SHARED_INSTANCE, "CM4AI_BROKER": value})
    assert "cret" not in str(raised.value)


def test_a_broker_without_a_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="CM4AI_DATABASE is not") as raised:
        Settings.from_env({"CM4AI_BROKER": "redis://:secret@queue"})
    assert "secret" not in str(raised.value)


MAIL = "mailtos://me:p%40ss-secret@mail.example.org?to=a@example.org,b@example.org"


@pytest.mark.parametrize("between", [" ", ",", "; ", "\n  ", " , "])
def test_channels_are_apart_where_another_url_begins_and_shown_nowhere(between: str) -> None:
    settings = Settings.from_env({"CM4AI_ALERTS": f" {MAIL}{between}slack://T1secret/B2secret/C3secret "})
    assert settings.alerts == (MAIL, "slack://T1secret/B2secret/C3secret")
    assert "secret" not in repr(settings)
    assert {MAIL, "p@ss-secret", "T1secret", "C3secret"} <= set(settings.secrets)
    assert "b@example.org" not in settings.secrets


@pytest.mark.parametrize("value", ["me:secret@mail.example.org", "mailtos://", "mailtos:// secret", "mailto:///secret"])
def test_what_is_no_channel_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(ConfigurationError, match="CM4AI_ALERTS is not a list") as raised:
        Settings.from_env({"CM4AI_ALERTS": value})
    assert "secret" not in str(raised.value)


def test_channels_without_apprise_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_env({}).alerts == ()
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cm4ai_assets\[alerts\]'"):
        Settings.from_env({"CM4AI_ALERTS": MAIL})


def test_links_lead_to_the_ui_as_people_open_it() -> None:
    assert Settings.from_env({}).ui_url == "http://127.0.0.1:3000"
    assert Settings.from_env({"CM4AI_UI_PORT": "3001"}).ui_url == "http://127.0.0.1:3001"
    assert Settings.from_env({"CM4AI_UI_URL": "https://cm4ai.example.org/"}).ui_url == "https://cm4ai.example.org"
    with pytest.raises(ConfigurationError, match=re.escape("CM4AI_UI_URL='cm4ai.example.org'")):
        Settings.from_env({"CM4AI_UI_URL": "cm4ai.example.org"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CM4AI_DATAVERSE_URL", "dataverse.lib.virginia.edu"),
        ("CM4AI_DATAVERSE_URL", "ftp://dataverse.lib.virginia.edu"),
        ("CM4AI_DATAVERSE_URL", "https://user@dataverse.lib.virginia.edu"),
        ("CM4AI_TENSOR_SIZE", "1000"),
        ("CM4AI_RUNS", "0"),
        ("CM4AI_RUNS", "many"),
        ("CM4AI_EXECUTOR", "processes"),
        ("CM4AI_EXECUTOR", "tcp://scheduler"),
        ("CM4AI_EXECUTOR", "tcp://:8786"),
        ("CM4AI_EXECUTOR", "http://scheduler:8786"),
        ("CM4AI_EXECUTOR", "tcp://scheduler:8786/?x=1"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"{name}={value!r}")):
        Settings.from_env({name: value})


@pytest.mark.parametrize("address", ["tcp://scheduler:8786", "tls://10.0.0.1:8786", "tcp://[::1]:8786"])
def test_image_work_goes_to_the_scheduler_that_is_named(address: str) -> None:
    assert Settings.from_env({"CM4AI_EXECUTOR": address}).executor == address


def test_an_executor_that_cannot_be_used_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="holds a user or password") as refused:
        Settings.from_env({"CM4AI_EXECUTOR": "tcp://me:pa55@scheduler:8786"})
    assert "pa55" not in str(refused.value)
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cm4ai_assets\[dask\]'"):
        Settings.from_env({"CM4AI_EXECUTOR": "tcp://scheduler:8786"})


def test_the_example_lists_every_variable_that_is_read_and_no_other() -> None:
    read = set(re.findall(r'"((?:CM4AI_\w+|DATAVERSE_API_TOKEN))"', (PROJECT / "cm4ai_assets/settings.py").read_text()))
    listed = re.findall(r"^#?(\w+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted({*read, "DAGSTER_HOME"})  # which Dagster reads


def test_the_file_of_settings_is_read_and_what_is_exported_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("CM4AI_STORAGE=/from/file\nCM4AI_COLLECTION=FILE\n#CM4AI_UI_PORT=1\n")
    monkeypatch.setenv("CM4AI_STORAGE", "/exported")
    monkeypatch.delenv("CM4AI_COLLECTION", raising=False)
    settings = Settings.from_env(environment(tmp_path))
    assert (settings.storage, settings.collection, settings.ui_port) == ("/exported", "FILE", 3000)


@pytest.mark.parametrize(("name", "value"), [("CM4AI_UI_PORT", "http"), ("CM4AI_UI_HOSTS", "https://x.org")])
def test_settings_of_the_ui_are_held_against_what_they_mean(name: str, value: str) -> None:
    assert Settings.from_env({"CM4AI_UI_HOSTS": "A.org, b.org"}).ui_hosts == ("a.org", "b.org")
    with pytest.raises(ConfigurationError, match=re.escape(f"{name}={value!r}")):
        Settings.from_env({name: value})
