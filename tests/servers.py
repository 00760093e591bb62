"""Servers: the real PostgreSQL, nginx and gunicorn that tests start on free ports, and end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60  # seconds


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name: str, *places: str) -> str:
    """Return the path of a program.

    Raises:
        AssertionError: it is not there; `python dev.py test` installs it on Debian and Ubuntu.
    """
    folders = [str(found) for place in places for found in sorted(Path("/").glob(place.lstrip("/")), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin"]))
    assert found, f"{name} is needed by this test. Install it: on Debian and Ubuntu `python dev.py test` does."
    return found


class Postgres:
    """A PostgreSQL of our own, in a folder of its own, for as long as the tests run."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tapedeck-postgres-"))
        self.port = free_port()
        self._numbers = count(1)
        self._as: list[str] = []
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # which initdb refuses
            shutil.chown(self.folder, "postgres")
            self._as = [program("runuser"), "-u", "postgres", "--"]
        self._run("initdb", "-D", "data", "-U", "tapedeck", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start it; it answers when this returns."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -F -c max_connections=200"
        self._run("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self) -> None:
        """End it at once, as a power cut does."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")

    def make_database(self) -> str:
        """Return the URL of a new, empty database."""
        import psycopg

        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://tapedeck@127.0.0.1:{self.port}/{name}"

    def remove(self) -> None:
        """End it and leave nothing."""
        with suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, name: str, *words: str) -> None:
        words = (program(name, "/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin"), *words)
        environ = {**os.environ, "LC_ALL": "C"}
        log = self.folder / "said"
        with log.open("ab") as said:  # no pipe: the server would hold its other end open
            try:
                subprocess.run([*self._as, *words], cwd=self.folder, env=environ, stdout=said, stderr=said, check=True)
            except subprocess.CalledProcessError as error:
                error.add_note(log.read_text(errors="replace")[-2000:])
                raise


class Gunicorn:
    """The shipped gunicorn on a free port, with a process group of its own; `log` holds its lines."""

    def __init__(self, *options: str, workers: int = 1, port: int = 0, **settings: str):
        environ = os.environ | {"TAPEDECK_YAHOO": "false", "PYTHONUNBUFFERED": "1"} | settings
        words = ["gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{port}", "--workers", str(workers), *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.log: list[str] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            assert self._listening.wait(PATIENCE), self.log
            found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", "\n".join(self.log))
            assert found, self.log
            self.port = int(found[1])
            self.url = f"http://127.0.0.1:{self.port}"
            fetch(f"{self.url}/healthz")
        except BaseException:
            self.kill()
            raise

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            if "Listening at" in line:
                self._listening.set()
        self._listening.set()

    def kill(self) -> None:
        """End it as a power cut does: master, workers and their simulations, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._finish()

    def stop(self) -> int:
        """End it by SIGTERM; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._finish()

    def _finish(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stderr
        self.process.stderr.close()
        return code


@contextmanager
def nginx(folder: Path, ports: list[int]) -> Iterator[str]:
    """Run nginx with the shipped deploy/nginx.conf in front of gunicorns on `ports`; give its address."""
    port = free_port()
    site = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    servers = "".join(f"    server 127.0.0.1:{one} max_fails=1 fail_timeout=2s;\n" for one in ports)
    site, replaced = re.subn(r"(?m)^    server 127\.0\.0\.1:8000.*\n", servers, site)
    assert replaced == 1
    site, replaced = re.subn(r"listen 80;", f"listen 127.0.0.1:{port};", site)
    assert replaced == 1
    (folder / "site.conf").write_text(site, encoding="utf-8")
    temporary = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nworker_processes 1;\n"
        + ("user root;\n" if hasattr(os, "geteuid") and os.geteuid() == 0 else "")
        + f"events {{}}\nhttp {{\naccess_log {folder}/access.log;\n{temporary}include {folder}/site.conf;\n}}\n",
        encoding="utf-8",
    )
    words = [program("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            fetch(f"{url}/healthz")
            yield url
        finally:
            process.terminate()
            said = process.communicate(timeout=PATIENCE)[1]
            assert not said, said


def fetch(url: str, **headers: str) -> str:
    """Return what is at `url` once the server there answers."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(Request(url, headers=headers), timeout=PATIENCE) as answer:
                return answer.read().decode()
        except OSError as error:  # an answer that is an error comes as one, too
            away = isinstance(getattr(error, "reason", error), ConnectionError)
            if not away or time.monotonic() > give_up:
                raise
            threading.Event().wait(0.05)
