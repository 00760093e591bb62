"""Strategy files from hell: what they do when they are imported ends neither the list of strategies nor the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.catalog import Catalog
from engine.errors import ConfigError
from engine.remote import Limits, Pool
from tests.conftest import make_app
from tests.webapp.pages import Page, get, send

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="children have no keeper on Windows")

HEAD = "import ctypes, os, sys, threading, time\nfrom engine import Bounds, ConfigError, Strategy\n"
GOOD = '''
from typing import Annotated, Literal

class Good(Strategy):
    """Good idea

    Told by another process.
    """

    days: Annotated[int, Bounds(1, 5), "Days of falling"] = 3
    share: Annotated[float, Bounds(low=0)] = 0.5
    side: Literal["long", "short"] = "long"
    quiet = True
    stop: float | None = None

    @classmethod
    def check(cls, params):
        CHECK

    def next(self):
        if not self.position:
            self.buy()
'''
HANGS = [
    pytest.param("while True: pass", "did not finish its import within 1 s", 3, id="loops for ever"),
    pytest.param("time.sleep(1e6)", "did not finish its import within 1 s", 3, id="sleeps"),
    pytest.param("threading.Event().wait()", "did not finish its import within 1 s", 3, id="waits for ever"),
    pytest.param("10 ** 10 ** 9", "did not finish its import within 1 s", 3, id="computes without letting go"),
]
ENDS = [
    pytest.param("os._exit(4)", "ended its process (exit code 4) while it was imported", None, id="os._exit"),
    pytest.param("os._exit(0)", "ended its process (exit code 0) while it was imported", None, id="os._exit 0"),
    pytest.param("sys.exit(3)", "ends the program when it is imported (SystemExit: 3)", 3, id="sys.exit"),
    pytest.param("bytearray(4 << 30)", "needs more memory", 3, id="memory"),
    pytest.param("x = []\nwhile True: x.append(bytearray(1 << 24))", "needs more memory", 4, id="memory in pieces"),
    pytest.param("ctypes.string_at(0)", "ended its process (SIGSEGV) while it was imported (line 3)", 3, id="segfault"),
    pytest.param("os.abort()", "ended its process (SIGABRT)", 3, id="abort"),
    pytest.param(
        "os.kill(os.getppid(), 9); time.sleep(1e6)", "ended its process (killed)", None, id="kills its parent"
    ),
    pytest.param("def f(): f()\nf()", "RecursionError", 3, id="recurses"),
    pytest.param("raise BaseException('base')", "BaseException: base", 3, id="BaseException"),
    pytest.param("raise ValueError('x' * 10**8)", "ValueError: xxx", 3, id="an endless text"),
    pytest.param("1 / 0", "ZeroDivisionError: division by zero", 3, id="raises"),
    pytest.param("def", "SyntaxError", 3, id="no Python"),
    pytest.param("x = 1", "There is no strategy inside", None, id="nothing inside"),
    pytest.param(
        "[os.write(f, b'x' * 99) for f in range(3, 99) if _sock(f)]", "cannot be read", None, id="writes to the server"
    ),
    pytest.param("os.closerange(0, 256); time.sleep(1e6)", "ended its process", None, id="closes everything"),
]
CASES = [*HANGS, *ENDS[:3]]
SOCKETS = """
def _sock(fd):
    import stat
    try: return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError: return False
"""
MOST = 256 * 1024**2


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(limits=Limits(seconds_per_bar=60.0, memory=MOST)) as pool:
        yield pool


@pytest.fixture(scope="module")
def strict() -> Iterator[Pool]:
    """A pool that waits for a second only."""
    with Pool(limits=Limits(seconds_per_bar=1.0, memory=MOST)) as pool:
        yield pool


def good(check: str = "pass") -> str:
    return HEAD + GOOD.replace("CHECK", check)


@pytest.mark.parametrize(("top", "words", "line"), HANGS)
def test_a_file_that_hangs_is_ended_and_listed_with_its_error(strict, tmp_path, top, words, line):
    assert_listed(strict, tmp_path, top, words, line)


@pytest.mark.parametrize(("top", "words", "line"), ENDS)
def test_a_file_from_hell_is_listed_with_its_error_and_breaks_nothing_else(pool, tmp_path, top, words, line):
    assert_listed(pool, tmp_path, top, words, line)


def assert_listed(pool, tmp_path, top, words, line) -> None:
    (tmp_path / "hell.py").write_text(f"{HEAD}{top}\n{SOCKETS}" if "_sock" not in top else f"{HEAD}{SOCKETS}{top}\n")
    (tmp_path / "good.py").write_text(good())
    catalog = Catalog(tmp_path, pool.describe)
    with pytest.raises(ConfigError) as refused:
        catalog.find("hell")
    assert refused.value.field == "strategy" and "hell.py" in refused.value.message
    entries = {entry.name: entry for entry in catalog.all()}
    hell = entries["hell"]
    assert words in hell.error and len(hell.error) < 2_100
    assert (hell.title, hell.line, hell.strategy) == ("hell.py", line, None)
    assert entries["good"].error is None and entries["sma_cross"].strategy is not None


@pytest.mark.parametrize(
    "top",
    [
        pytest.param("print('x' * 10**7)", id="prints megabytes"),
        pytest.param("os.write(1, b'x' * 10**7); os.write(2, b'x' * 10**7)", id="writes megabytes"),
        pytest.param("sys.stdout.close(); sys.stderr.close()", id="closes its output"),
        pytest.param("os.fork()", id="forks"),
        pytest.param("threading.Thread(target=time.sleep, args=(1e6,)).start()", id="leaves a thread"),
        pytest.param("import json; json.JSONEncoder.encode = json.dumps = None", id="breaks json"),
        pytest.param("sys.modules.clear()", id="forgets all modules"),
        pytest.param("os.environ.clear(); os.chdir('/')", id="clears the environment"),
    ],
)
def test_mischief_that_harms_nobody_lets_the_file_be_used(pool, tmp_path, top):
    (tmp_path / "odd.py").write_text(f"{good()}\n{top}\n")
    assert Catalog(tmp_path, pool.describe).find("odd").title == "Good idea"


def test_what_another_process_says_of_a_file_is_what_this_one_would(pool, tmp_path):
    (tmp_path / "good.py").write_text(good())
    (tmp_path / "two.py").write_text(HEAD + "class A(Strategy): pass\nclass B(A): pass\n")
    (tmp_path / "sma_cross.py").write_text(good())
    here, there = Catalog(tmp_path).all(), Catalog(tmp_path, pool.describe).all()
    names = ("name", "title", "description", "source", "digest", "path", "error", "bundled", "class_name", "checks")
    for one, other in zip(here, there, strict=True):
        assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
        assert one.parameters == other.parameters
    assert [entry.name for entry in there[6:]] == ["good", "sma_cross.Good", "two.A", "two.B"]
    assert all(entry.strategy is None for entry in there[6:])


def test_an_unchanged_file_is_imported_once_and_a_changed_one_again(pool, tmp_path):
    mark = tmp_path / "imports"
    (tmp_path / "good.py").write_text(good() + f"\nopen({str(mark)!r}, 'a').write('x')\n")
    catalog = Catalog(tmp_path, pool.describe)
    for _ in range(3):
        catalog.all()
        catalog.find("good")
    assert mark.read_text() == "x"
    (tmp_path / "good.py").write_text(good().replace("= 3", "= 4"))
    assert catalog.find("good").parameters[0].default == 4


def test_a_file_that_hangs_holds_up_no_other_strategy(pool, tmp_path):
    (tmp_path / "hell.py").write_text(HEAD + "while True: pass")
    (tmp_path / "good.py").write_text(good())
    described = []

    def describe(source, stem, path):
        described.append(stem)
        return pool.describe(source, stem, path)

    catalog = Catalog(tmp_path, describe)
    assert catalog.find("good").error is None and catalog.find("sma_cross").error is None
    assert catalog.unread("hell").source.endswith("pass")
    assert described == ["good"]


@pytest.mark.parametrize(
    ("check", "words", "field"),
    [
        ("raise ConfigError('Days and share do not go together.', field='params.days')", "Days and", "params.days"),
        ("raise ValueError('unknown')", "Good idea could not check its parameters: ValueError: unknown", "strategy"),
        ("while True: pass", "Good did not finish its check within 1 s: it hung in check() (line", "strategy"),
        ("os._exit(4)", "Good ended its process (exit code 4) in check()", "strategy"),
        ("sys.exit(4)", "could not check its parameters: SystemExit: 4", "strategy"),
    ],
)
def test_parameters_are_checked_together_where_users_code_runs(pool, strict, tmp_path, check, words, field):
    (tmp_path / "good.py").write_text(good(check))
    entry = Catalog(tmp_path, pool.describe).find("good")
    pool = strict if "while" in check else pool
    for _ in range(2):  # the second time what was found before
        with pytest.raises(ConfigError) as refused:
            pool.check(entry, {"days": 3})
        assert words in refused.value.message and refused.value.field == field


def test_parameters_that_go_together_are_taken(pool, tmp_path):
    (tmp_path / "good.py").write_text(good("assert params == {'days': 3}"))
    pool.check(Catalog(tmp_path, pool.describe).find("good"), {"days": 3})


@pytest.fixture
def client(folders):
    """A visitor of a server with short limits."""
    app = make_app(folders, SECONDS_PER_BAR=1.0, STRATEGY_MEMORY=256)
    yield app.test_client()
    app.extensions["tapedeck"].store.database.close()


def test_the_pages_stay_whole_beside_files_from_hell(folders, client):
    for case in CASES:
        top = case.values[0]
        name = "".join(c if c.isalnum() else "_" for c in case.id)
        (folders["strategies"] / f"{name}.py").write_text(f"{HEAD}{top}\n")
    (folders["strategies"] / "good.py").write_text(good())
    page = get(client, "/strategies")
    while "still being imported" in page.text("main"):
        page = get(client, "/strategies")
    assert len(page.all(".broken li")) == len(CASES)
    for case in CASES:
        assert case.values[1] in page.text(".broken")
    assert "Told by another process." in page.text("main")
    assert get(client, "/?strategy=good").sent()["params.days"] == "3"


def test_a_refusal_of_the_users_check_stands_beside_its_field(folders, client):
    refuse = "raise ConfigError('Days and share do not go together.', field='params.days')"
    (folders["strategies"] / "good.py").write_text(good(refuse))
    form = get(client, "/?strategy=good").sent()
    response = client.post("/runs", data=form)
    assert response.status_code == 422
    assert Page(response).errors() == {"params.days": "Days and share do not go together."}
    assert send(client).status_code == 303


def test_without_isolation_files_are_imported_here(folders):
    (folders["strategies"] / "good.py").write_text(good())
    app = make_app(folders, ISOLATION="none")
    services = app.extensions["tapedeck"]
    assert services.catalog.find("good").strategy is not None
    services.store.database.close()


def test_the_server_survives_what_ends_the_process_that_imports(tmp_path):
    """A process that lists a folder of files that exit is there afterwards; its own import would not be."""
    (tmp_path / "exits.py").write_text(HEAD + "os._exit(7)\n")
    code = (
        "from engine.catalog import Catalog\nfrom engine.remote import Pool\n"
        f"with Pool() as pool: print([e.name for e in Catalog({str(tmp_path)!r}, pool.describe).all()][-1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "exits"
