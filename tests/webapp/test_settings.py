"""Settings from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from webapp import settings


def test_the_environment_overrides_the_defaults_and_tests_override_both(monkeypatch, tmp_path):
    from webapp import create_app

    monkeypatch.setenv("TAPEDECK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TAPEDECK_RUNS_PER_PAGE", "3")
    monkeypatch.setenv("TAPEDECK_YAHOO", "false")
    app = create_app({"RUNS_PER_PAGE": 7})
    assert (app.config["RUNS_PER_PAGE"], app.config["YAHOO"]) == (7, False)
    assert (tmp_path / "home" / "tapedeck.sqlite3").is_file()
    app.extensions["tapedeck"].store.database.close()


def test_a_relative_folder_starts_at_the_current_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    home, data, _ = settings.folders(settings.DEFAULTS | {"HOME": "here", "DATA_DIR": "~/bars"})
    assert home == tmp_path / "here"
    assert data == Path.home() / "bars"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@host/db", "postgresql+psycopg://u:p@host/db"),
        ("postgres://host/db", "postgresql+psycopg://host/db"),
        ("postgresql+psycopg://host/db", "postgresql+psycopg://host/db"),
        ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
    ],
)
def test_a_database_url_gets_the_driver_that_is_installed(given, used):
    assert settings.database_url(settings.DEFAULTS | {"DATABASE_URL": given}) == used


def test_without_a_url_the_database_is_a_file_in_home(tmp_path):
    assert settings.database_url(settings.DEFAULTS | {"HOME": str(tmp_path)}).endswith("/tapedeck.sqlite3")


@pytest.mark.parametrize(
    ("written", "on"),
    [(True, True), (False, False), (1, True), (0, False), ("yes", True), ("no", False), ("False", False)],
)
def test_a_switch_is_read_as_people_write_it(written, on):
    assert settings.is_on(written) == on


def test_listening_everywhere_is_not_a_name_to_be_called_by():
    assert settings.host_names(settings.DEFAULTS | {"HOST": "0.0.0.0"}) == {"localhost", "127.0.0.1", "::1"}
