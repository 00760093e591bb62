#!/usr/bin/env python3
"""Everything a user or a developer runs: serve, test, bench, shots. Standard library only.

Each command first brings `.venv` up to date, which takes no time when nothing changed.
"""

import argparse
import contextlib
import errno
import hashlib
import http.client
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CACHE = ROOT / ".cache"
WINDOWS = os.name == "nt"
OLDEST = (3, 11)
HTMX = "htmx.org@4.0.1"
AXE = "axe-core@4.14.1"
SECOND_TRIES = 3  # tests that may be run again; more failures than that are no accident


class Problem(Exception):
    """Something that the user can put right; the message says how."""


def main(argv=None):
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="dev.py", description="Tapedeck's commands.")
    commands = parser.add_subparsers(dest="command", metavar="serve | test | bench | shots")
    commands.required = True
    command = commands.add_parser("serve", help="serve Tapedeck on this machine")
    host, port = os.environ.get("TAPEDECK_HOST", "127.0.0.1"), os.environ.get("TAPEDECK_PORT", "8000")
    command.add_argument("--host", default=host, help="address to listen on (default %(default)s)")
    command.add_argument("--port", type=int, default=port, help="port, 0 for any free one (default %(default)s)")
    command.add_argument(
        "--server",
        choices=("gunicorn", "builtin"),
        default="builtin" if WINDOWS else "gunicorn",
        help="default %(default)s",
    )
    commands.add_parser("test", help="lint, check types and run the tests; arguments go to pytest", add_help=False)
    commands.add_parser("bench", help="measure: run, engine, page, stream, load, soak", add_help=False)
    commands.add_parser("shots", help="make the README's pictures again", add_help=False)
    options, rest = parser.parse_known_args(argv)
    if rest and options.command == "serve":
        parser.error("unrecognized arguments: " + " ".join(rest))
    try:
        check_python()
        if options.command == "serve":
            return serve(options.host, options.port, options.server)
        return {"test": test, "bench": bench, "shots": shots}[options.command](rest)
    except Problem as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


# --- the commands -----------------------------------------------------------------------------------------------------


def serve(host, port, server):
    """Serve until Ctrl-C: with gunicorn, and on Windows, where that does not run, with the built-in server."""
    port = free_port(host, port)
    password = os.environ.get("TAPEDECK_PASSWORD")
    if not password and not is_loopback(host):
        raise Problem(
            f"Serving {host} lets others in, and they could run strategies: that needs a password."
            " Set TAPEDECK_PASSWORD and start again, or leave out --host to serve this machine alone."
        )
    python = environment("requirements.txt")
    if server == "gunicorn":
        words = ["gunicorn", "--config", ROOT / "gunicorn.conf.py", "--bind", f"{bracketed(host)}:{port}", "wsgi:app"]
    else:
        words = ["flask", "--app", "wsgi", "run", "--host", host, "--port", port, "--with-threads", "--no-reload"]
    environ = {**clean_environ(), "TAPEDECK_HOST": host, "TAPEDECK_PORT": str(port)}
    link = [python, "-m", "flask", "--app", "webapp", "login-link"] if password else None
    # Its own process group, where there are such: Ctrl-C then reaches us alone, and we ask it to end in good order.
    group = {} if WINDOWS else {"process_group": 0}
    try:
        with started([python, "-m", *words], environ, **group) as child:
            threading.Thread(target=announce, args=(child, host, port, link, environ), daemon=True).start()
            return child.wait()
    except KeyboardInterrupt:
        return 0


def test(args):
    """Lint, check types and run every test; with arguments only pytest runs, with those."""
    python = environment("requirements-dev.txt")
    chromium_for_tests(python)
    servers_for_tests()
    npm_package(HTMX)
    npm_package(AXE)
    checks = [
        ("ruff check", ["ruff", "check", "."]),
        ("ruff format", ["ruff", "format", "--check", "."]),
        ("mypy", ["mypy"]),
    ]
    failed = []
    for title, words in [] if args else checks:
        print(f"\n== {title}", flush=True)
        if run([python, "-m", *words]):
            failed.append(title)
    print("\n== pytest", flush=True)
    if run([python, "-m", "pytest", *args]) if args else every_test(python):
        failed.append("pytest")
    if failed:
        print("\nFailed: " + ", ".join(failed), flush=True)
    return 1 if failed else 0


def every_test(python):
    """Run every test; return pytest's exit code.

    A few that fail are run once more, and named: real browsers, servers and signals on a busy machine fail now and then
    for nobody's fault, and a fault of ours fails again.
    """
    code = run([python, "-m", "pytest", "--durations=15"])
    noted = ROOT / ".pytest_cache/v/cache/lastfailed"
    names = list(json.loads(noted.read_text(encoding="utf-8"))) if code == 1 and noted.exists() else []
    if not 0 < len(names) <= SECOND_TRIES:
        return code
    print("\n== pytest, once more what failed", flush=True)
    code = run([python, "-m", "pytest", "--last-failed"])
    if code == 0:
        print("\nUnsteady, they failed once and then passed; find out why:\n  " + "\n  ".join(names), flush=True)
    return code


def bench(args):
    """Measure what the README quotes."""
    python = environment("requirements-bench.txt")
    if not args or {"load", "page", "run"} & set(args):
        chromium_for_tests(python)
        npm_package(HTMX)
    return run([python, "-m", "bench", *args])


def shots(args):
    """Take the README's pictures from the real page."""
    python = environment("requirements-dev.txt")
    chromium_for_tests(python)
    npm_package(HTMX)
    return run([python, "-m", "docs.shots", *args])


# --- the virtual environment ------------------------------------------------------------------------------------------


def check_python():
    """Refuse a Python that is too old, naming a newer one when there is one."""
    if sys.version_info[:2] >= OLDEST:
        return
    names = ["python3.%d" % minor for minor in range(20, 10, -1)]  # noqa: UP031 - this much runs on old Pythons too
    newer = next((name for name in names if works(shutil.which(name), "")), None)
    hint = (
        f"Run it with the one you have: {newer} dev.py ..."
        if newer
        else "Get it from https://www.python.org/downloads/"
    )
    raise Problem(f"Tapedeck needs Python 3.11 or newer; this is {sys.version.split()[0]}. {hint}")


def environment(requirements):
    """Return the Python of `.venv` with `requirements` installed; do nothing when it already is."""
    with only_one_at_a_time():
        stamp, cut_short = VENV / "installed.json", VENV / "installing"
        python = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
        wanted = digests(requirements)
        if cut_short.exists() or not works(python, "import pip"):
            if VENV.exists():
                print("The virtual environment is incomplete: making it anew.", flush=True)
            make_venv(python)
        installed = json.loads(stamp.read_text()) if stamp.exists() else {}
        if wanted.items() <= installed.items():
            return python
        cut_short.touch()
        pip_install(python, requirements)
        stamp.write_text(json.dumps(installed | wanted))
        cut_short.unlink()
    return python


def digests(requirements):
    """Return the digest of a requirements file and of those that it includes, by name."""
    text = (ROOT / requirements).read_text(encoding="utf-8")
    found = {requirements: hashlib.sha256(text.encode()).hexdigest()}
    for included in re.findall(r"^-r\s+(\S+)", text, re.MULTILINE):
        found |= digests(included)
    return found


def works(python, code):
    """Say whether `python` exists, runs `code` and is new enough."""
    if not python or not Path(python).exists():
        return False
    check = f"import sys; assert sys.version_info[:2] >= {OLDEST}; {code}"
    try:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        done = subprocess.run([str(python), "-c", check], env=clean_environ(), **quiet)
        return done.returncode == 0
    except OSError:
        return False


def make_venv(python):
    """Make `.venv` from nothing."""
    shutil.rmtree(VENV, ignore_errors=True)
    print("Making a virtual environment in .venv ...", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, env=clean_environ())
    if made.returncode == 0 and python.exists():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    output = (made.stdout + made.stderr).strip()
    if "ensurepip" in output:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Problem(
            "This Python has no pip to put into a virtual environment."
            f" On Debian and Ubuntu: apt install python{version}-venv"
        )
    raise Problem(f"No virtual environment could be made in {VENV}:\n{output}")


def pip_install(python, requirements):
    """Install a requirements file, showing one line of progress; pip's own words appear only when it fails."""
    print(f"Installing {requirements} (a minute or two the first time) ...", flush=True)
    words = ["install", "--prefer-binary", "--no-input", "--progress-bar", "off", "-r", str(ROOT / requirements)]
    environ = clean_environ() | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    lines = []
    with subprocess.Popen(
        [python, "-m", "pip", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environ,
    ) as pip:
        for line in pip.stdout:
            lines.append(line.rstrip())
            if sys.stdout.isatty() and re.match(r"\s*(Collecting|Downloading|Installing|Building)", line):
                print(f"\r\033[K  {line.strip()[:76]}", end="", flush=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
    if pip.returncode == 0:
        return
    (VENV / "installing").unlink(missing_ok=True)  # pip ended by itself: nothing is half-way
    said = "\n".join(line for line in lines if "ERROR" in line or "error" in line) or "\n".join(lines[-10:])
    offline = re.search(r"resolve|Max retries|NewConnectionError|timed out|No matching distribution", "\n".join(lines))
    hint = (
        "The package index could not be reached, or lacks a package: check the network and `pip config list`."
        if offline
        else "The reason stands above; run again when it is put right."
    )
    raise Problem(f"{said}\n\n{requirements} could not be installed. {hint}")


def clean_environ():
    """Return the environment without what would lead the virtual environment's Python or pip astray."""
    astray = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"}
    return {"PYTHONUTF8": "1", **{name: value for name, value in os.environ.items() if name not in astray}}


@contextlib.contextmanager
def only_one_at_a_time():
    """Hold a lock, so that two commands started together do not install into one environment."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("a+b") as file:
        if WINDOWS:
            import msvcrt

            file.seek(0)
            while True:
                with contextlib.suppress(OSError):
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file lets go


def run(words):
    """Run a program in the project's folder; return its exit code."""
    with started(words, clean_environ()) as child:
        return child.wait()


@contextlib.contextmanager
def started(words, environ, **options):
    """Start a program in the project's folder; whatever ends us ends it first, with ten seconds for good order."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    child = subprocess.Popen([str(word) for word in words], cwd=ROOT, env=environ, **options)
    try:
        yield child
    finally:
        if child.poll() is None:
            with contextlib.suppress(OSError):  # nobody may be left to read it
                print("\nStopping ...", flush=True)
            told = isinstance(sys.exception(), KeyboardInterrupt) and "process_group" not in options
            if not told:  # Ctrl-C reaches all of a process group, and all on Windows, by itself
                child.send_signal(signal.SIGTERM if WINDOWS or "process_group" in options else signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                child.wait(10)
            child.kill()
            child.wait()


# --- the address ------------------------------------------------------------------------------------------------------


def bracketed(host):
    """Return the host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def free_port(host, port):
    """Return the port, or any free one for 0; refuse one that is taken or not ours to take."""
    if not 0 <= port <= 65535:
        raise Problem(f"There is no port {port}: choose one from 1024 to 65535, or 0 for any free one.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if not WINDOWS:  # there it would let us take a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise Problem(f"Port {port} needs an administrator's rights: choose one from 1024, with --port.") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Problem(f"{host!r} is not an address of this machine ({error.strerror}).") from error
            raise Problem(
                f"{bracketed(host)}:{port} is in use: perhaps Tapedeck runs there already."
                f" Another port: python dev.py serve --port {port + 1 if port < 65535 else 0}"
            ) from error
        return probe.getsockname()[1]


def is_loopback(host):
    """Say whether only this machine reaches `host`."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def announce(child, host, port, link=None, environ=None):
    """Print the address once it answers; with a password, what logs in at once (the program `link` prints it)."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    while child.poll() is None:
        connection = http.client.HTTPConnection(reachable, port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            connection.getresponse()
            print(f"\nTapedeck is at http://{bracketed(reachable)}:{port}  (Ctrl-C ends it)\n", flush=True)
            if link:
                made = subprocess.run([str(w) for w in link], cwd=ROOT, env=environ, capture_output=True, text=True)
                print(f"Log in here, once, within ten minutes: {made.stdout.strip()}\n", flush=True)
            return
        connection.close()
        time.sleep(0.1)


# --- what the browser tests need --------------------------------------------------------------------------------------


def find_chromium():
    """Return the path of a Chromium-based browser, or None. `CHROMIUM` in the environment comes first."""
    if os.environ.get("CHROMIUM"):
        return os.environ["CHROMIUM"]
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome"):
        if shutil.which(name):
            return shutil.which(name)
    programs = [os.environ.get(name, "") for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")]
    places = [
        *(
            f"/Applications/{name}.app/Contents/MacOS/{name}"
            for name in ("Chromium", "Google Chrome", "Microsoft Edge")
        ),
        *(f"{folder}/Google/Chrome/Application/chrome.exe" for folder in programs if folder),
        *(f"{folder}/Microsoft/Edge/Application/msedge.exe" for folder in programs if folder),
    ]
    return next((place for place in places if Path(place).exists()), None) or find_playwrights_own()


def find_playwrights_own():
    """Return the Chromium that `playwright install` put on this machine, or None."""
    caches = [Path.home() / ".cache", Path.home() / "Library/Caches", Path(os.environ.get("LOCALAPPDATA", "/nowhere"))]
    names = ("chrome-linux*/chrome", "chrome-mac*/*.app/Contents/MacOS/*", "chrome-win*/chrome.exe")
    for cache in caches:
        for name in names:
            for found in sorted(cache.glob(f"ms-playwright/chromium-*/{name}"), reverse=True):
                return str(found)
    return None


def chromium_for_tests(python):
    """Install Chromium where there is none: Debian's package, else Playwright's build."""
    if find_chromium() or (apt_install("chromium") and find_chromium()):
        return
    print("Installing Chromium through Playwright ...", flush=True)
    run([python, "-m", "playwright", "install", "chromium"])
    if not find_chromium():
        raise Problem(
            "The browser tests need Chromium, Chrome or Edge and none was found or could be installed. Install one,"
            " or name it: CHROMIUM=/path/to/chromium python dev.py test"
        )


def servers_for_tests():
    """Install PostgreSQL and nginx where they are missing and can be; without them some tests fail and say so."""
    folders = [*map(str, Path("/usr/lib/postgresql").glob("*/bin")), os.environ.get("PATH", ""), "/usr/sbin"]
    for program, package in (("initdb", "postgresql"), ("nginx", "nginx-light")):
        if not WINDOWS and not shutil.which(program, path=os.pathsep.join(folders)):
            apt_install(package)


def apt_install(package):
    """Install a Debian package when we may; say whether it worked."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not shutil.which("apt-get") or not (root or shutil.which("sudo")):
        return False
    print(f"Installing {package} with apt-get ...", flush=True)
    before = [] if root else ["sudo", "-n"]
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        done = subprocess.run([*before, "apt-get", "-qq", *words], env=environ, capture_output=True, text=True)
        if done.returncode:
            print(done.stderr.strip()[-500:], flush=True)
            return False
    return True


def npm_package(name):
    """Return the folder of an npm package ("htmx.org@4.0.1"), fetched once: the tests answer the CDN from it."""
    folder = CACHE / "npm" / name
    if not (folder / "package.json").exists():
        npm = shutil.which("npm") or (apt_install("npm") and shutil.which("npm"))
        if not npm:
            raise Problem(
                f"The browser tests take {name} from npm, which is missing: install Node.js (https://nodejs.org)."
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        packed = subprocess.run(
            [npm, "pack", "--silent", "--pack-destination", folder, name], cwd=folder, capture_output=True, text=True
        )
        archive = next(folder.glob("*.tgz"), None)
        if packed.returncode or archive is None:
            raise Problem(f"npm could not fetch {name}:\n{packed.stderr.strip()[-500:]}")
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                member.name = member.name.removeprefix("package/")
                tar.extract(member, folder, filter="data")
        archive.unlink()
    return folder


if __name__ == "__main__":
    sys.exit(main())
