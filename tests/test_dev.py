"""dev.py: its environment, its address, and what it says when something is wrong."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import dev

# Serves the tree with the Python that runs the tests, so that no test installs anything. A shell without job control
# starts what is behind an & deaf to Ctrl-C, and what tests below it start would be as well.
SERVE = f"""
import dev, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
dev.environment = lambda _: {sys.executable!r}
sys.exit(dev.main(sys.argv[1:]))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of dev.py in a folder with a space in its name, with nothing to install."""
    folder = tmp_path / "my project"
    folder.mkdir()
    shutil.copy(dev.__file__, folder)
    (folder / "requirements.txt").write_text("")
    (folder / "requirements-dev.txt").write_text("-r requirements.txt\n")
    for name, value in {"ROOT": folder, "VENV": folder / ".venv", "CACHE": folder / ".cache"}.items():
        monkeypatch.setattr(dev, name, value)
    return folder


def write_tests(project: Path, failing: int, tries: int) -> None:
    """Write tests of which `failing` fail that many times."""
    (project / "pytest.ini").touch()
    (project / "test_some.py").write_text(f"""
import pathlib, pytest

@pytest.mark.parametrize("n", range(9))
def test_one(n):
    tried = pathlib.Path(f"tried{{n}}")
    before = tried.read_text() if tried.exists() else ""
    tried.write_text(before + "x")
    assert n >= {failing} or len(before) >= {tries}
""")


@pytest.mark.parametrize(
    ("failing", "tries", "code", "runs"), [(0, 0, 0, 1), (2, 1, 0, 2), (2, 2, 1, 2), (4, 1, 1, 1), (9, 9, 1, 1)]
)
def test_a_few_tests_that_fail_get_one_more_try_and_are_named(project, capfd, failing, tries, code, runs):
    write_tests(project, failing, tries)
    assert dev.every_test(sys.executable) == code
    assert len((project / "tried0").read_text()) == runs
    assert len((project / "tried8").read_text()) == 1
    assert ("Unsteady" in capfd.readouterr().out) == (code == 0 and runs == 2)


@pytest.mark.parametrize(
    ("server", "end", "code"),
    [
        pytest.param("gunicorn", signal.SIGINT, 0, id="gunicorn, Ctrl-C"),
        pytest.param("gunicorn", signal.SIGTERM, 128 + signal.SIGTERM, id="gunicorn, SIGTERM"),
        pytest.param("builtin", signal.SIGINT, 0, id="built-in, Ctrl-C"),
    ],
)
def test_serve_prints_an_address_that_answers_and_leaves_nothing_behind(
    server, end, code, folders, monkeypatch, tmp_path
):
    monkeypatch.setenv("TAPEDECK_HOME", str(folders["home"]))
    monkeypatch.setenv("PYTHONPATH", str(dev.ROOT))
    words = [sys.executable, "-c", SERVE, "serve", "--port", "0", "--server", server]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = ""
        while not (found := re.search(r"Tapedeck is at http://127\.0\.0\.1:(\d+)", said)):
            said += (line := process.stdout.readline())
            assert line, f"it ended: {said}"
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(end)
        process.stdout.read()
    assert process.returncode == code
    with pytest.raises(ConnectionRefusedError):
        connection.connect()


def test_a_taken_port_is_said_with_the_way_out(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert dev.main(["serve", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert f"127.0.0.1:{port} is in use" in said
    assert f"--port {port + 1}" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["--port", "70000"], "There is no port 70000", id="port out of range"),
        pytest.param(["--host", "192.0.2.1"], "'192.0.2.1' is not an address of this machine", id="foreign address"),
    ],
)
def test_an_impossible_address_is_refused(words, told, capsys):
    assert dev.main(["serve", *words]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_another_address_needs_a_password(host, monkeypatch, capsys):
    monkeypatch.delenv("TAPEDECK_PASSWORD", raising=False)
    assert dev.main(["serve", "--host", host, "--port", "0"]) == 1
    assert "that needs a password. Set TAPEDECK_PASSWORD" in capsys.readouterr().err


def test_with_a_password_a_link_is_printed_that_logs_in_once(folders, monkeypatch, tmp_path):
    monkeypatch.setenv("TAPEDECK_HOME", str(folders["home"]))
    monkeypatch.setenv("TAPEDECK_PASSWORD", "open sesame")
    monkeypatch.setenv("PYTHONPATH", str(dev.ROOT))
    words = [sys.executable, "-c", SERVE, "serve", "--port", "0"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = ""
        while not (found := re.search(r"Log in here.*http://127\.0\.0\.1:(\d+)(/login\?key=\S+)", said)):
            said += (line := process.stdout.readline())
            assert line, f"it ended: {said}"
        for status in (303, 403):
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)
            connection.request("GET", found[2])
            assert connection.getresponse().status == status
            connection.close()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 0


def test_an_old_python_is_told_which_one_to_use(monkeypatch, capsys):
    monkeypatch.setattr(dev.sys, "version_info", (3, 10, 2))
    assert dev.main(["serve"]) == 1
    assert "needs Python 3.11 or newer" in capsys.readouterr().err


def test_a_second_start_installs_nothing(project, capsys):
    python = dev.environment("requirements-dev.txt")
    assert python.exists()
    capsys.readouterr()
    assert dev.environment("requirements-dev.txt") == python
    assert dev.environment("requirements.txt") == python  # the other file included it
    assert capsys.readouterr().out == ""


def test_a_changed_requirement_is_installed(project, capsys):
    dev.environment("requirements.txt")
    capsys.readouterr()
    (project / "requirements.txt").write_text("# something else\n")
    dev.environment("requirements.txt")
    assert "Installing requirements.txt" in capsys.readouterr().out


def test_an_installation_that_was_cut_short_is_made_anew(project, capsys):
    dev.environment("requirements.txt")
    (project / ".venv/installing").touch()
    capsys.readouterr()
    dev.environment("requirements.txt")
    assert "making it anew" in capsys.readouterr().out
    assert json.loads((project / ".venv/installed.json").read_text()) == dev.digests("requirements.txt")


def test_a_package_that_cannot_be_had_is_named_without_pips_noise(project, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    (project / "requirements.txt").write_text("no-such-package-of-tapedeck\n")
    with pytest.raises(dev.Problem, match=r"no-such-package-of-tapedeck(?s:.*)check the network"):
        dev.environment("requirements.txt")
    assert not (project / ".venv/installing").exists()
