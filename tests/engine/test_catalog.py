"""Catalog: bundled strategies, the user's folder, and what lies in it by mistake."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import pytest

from engine import ConfigError, Simulation
from engine.catalog import Catalog
from tests.build import random_bars

BUNDLED = ["bollinger_reversion", "buy_and_hold", "donchian_breakout", "macd_trend", "rsi_reversion", "sma_cross"]
MINE = '''"""A file."""
from typing import Annotated

from engine import Bounds, Strategy


class MyIdea(Strategy):
    """Buy the dip.

    Buys what fell.
    It never sells.
    """

    days: Annotated[int, Bounds(1, 5), "Days of falling"] = 3

    def next(self):
        if not self.position:
            self.buy()
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def catalog(folder: Path) -> Catalog:
    return Catalog(folder)


def entries(catalog: Catalog) -> dict:
    return {entry.name: entry for entry in catalog.all() if not entry.bundled}


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_bundled_strategies_are_there_without_a_folder(folder):
    for catalog in (Catalog(), Catalog(folder / "missing")):
        assert [entry.name for entry in catalog.all()] == BUNDLED
    entry = Catalog().find("sma_cross")
    assert (entry.title, entry.bundled, entry.strategy.__name__) == ("SMA cross", True, "SmaCross")
    assert [parameter.name for parameter in entry.parameters] == ["fast", "slow", "short"]
    assert "class SmaCross(Strategy)" in entry.source and len(entry.digest) == 64
    assert entry.description.startswith("Goes long when the fast moving average")


def test_a_file_of_the_users_is_found_and_runs(catalog, folder):
    path = write(folder, "my_idea.py", MINE)
    entry = catalog.find("my_idea")
    assert (entry.title, entry.description) == ("Buy the dip", "Buys what fell. It never sells.")
    assert (entry.path, entry.source, entry.error) == (path, MINE, None)
    assert [(p.name, p.default, p.low, p.high) for p in entry.parameters] == [("days", 3, 1, 5)]
    simulation = Simulation(random_bars(10), entry.strategy)
    simulation.advance(10)
    assert simulation.tape.trades()


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(catalog, folder):
    path = write(folder, "my_idea.py", MINE)
    first = catalog.find("my_idea")
    assert catalog.find("my_idea").strategy is first.strategy
    write(folder, "my_idea.py", MINE.replace("= 3", "= 4"))  # as long, and perhaps in the same tick of the clock
    second = catalog.find("my_idea")
    assert second.parameters[0].default == 4 and second.digest != first.digest
    os.utime(path, (1, 1))
    assert catalog.find("my_idea").strategy is second.strategy
    path.unlink()
    assert entries(catalog) == {}


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        pytest.param("x = (\n", "SyntaxError: '(' was never closed", 1, id="syntax"),
        pytest.param("from engine import Strategy\n\n1 / 0\n", "ZeroDivisionError: division by zero", 3, id="raises"),
        pytest.param("import sys\nsys.exit(3)\n", "ends the program when it is imported", 2, id="exits"),
        pytest.param("raise GeneratorExit", "GeneratorExit", 1, id="not even an Exception"),
        pytest.param("import no_such_thing\n", "ModuleNotFoundError: No module named 'no_such_thing'", 1, id="import"),
        pytest.param("x = 1\n", "There is no strategy inside", None, id="nothing inside"),
        pytest.param("from engine import Strategy\n", "There is no strategy inside", None, id="only the base"),
        pytest.param("x = 1\0", "null bytes", None, id="null byte"),
        pytest.param(b"x = '\xff'\n", "SyntaxError", None, id="not UTF-8"),
        pytest.param(MINE.replace("= 3", "= 9"), "Days is 9. Enter a whole number from 1 to 5.", None, id="default"),
        pytest.param("def f(): f()\nf()\n", "RecursionError", 1, id="recursion"),
    ],
)
def test_a_broken_file_is_listed_with_its_error_and_breaks_nothing_else(catalog, folder, text, words, line):
    write(folder, "broken.py", text)
    write(folder, "my_idea.py", MINE)
    entry = entries(catalog)["broken"]
    assert words in entry.error and entry.strategy is None and entry.title == "broken.py"
    if line is not None:
        assert entry.line == line
    assert catalog.find("my_idea").strategy is not None
    assert catalog.find("sma_cross").strategy is not None
    with pytest.raises(ConfigError, match=r"broken\.py") as refusal:
        catalog.find("broken")
    assert refusal.value.field == "strategy"
    write(folder, "broken.py", MINE)
    assert catalog.find("broken").error is None


def test_ctrl_c_during_an_import_is_no_broken_file(catalog, folder):
    write(folder, "slow.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        catalog.all()


def test_a_file_with_two_strategies_gives_both_by_class(catalog, folder):
    write(
        folder, "two.py", "from engine import Strategy\nclass A(Strategy): pass\nclass B(A): pass\nclass _C(A): pass\n"
    )
    assert {name: entry.strategy.__name__ for name, entry in entries(catalog).items()} == {"two.A": "A", "two.B": "B"}
    assert entries(catalog)["two.A"].title == "A (two.py)"


def test_a_file_named_like_a_bundled_one_does_not_replace_it(catalog, folder):
    write(folder, "sma_cross.py", MINE)
    assert catalog.find("sma_cross").bundled
    assert catalog.find("sma_cross.MyIdea").strategy.__name__ == "MyIdea"


def test_what_is_no_strategy_file_is_passed_over(catalog, folder):
    for name in ("_helper.py", ".hidden.py", "notes.txt"):
        write(folder, name, "1 / 0")
    (folder / "folder.py").mkdir()
    assert entries(catalog) == {}


def test_a_dot_in_a_files_name_is_told(catalog, folder):
    write(folder, "a.b.py", MINE)
    assert "Rename the file" in entries(catalog)["a.b.py"].error


def test_a_link_out_of_the_folder_is_refused(folder):
    inside = folder / "inside"
    inside.mkdir()
    write(folder, "outside.py", MINE)
    write(inside, "real.py", MINE)
    for name, target in (
        ("out", folder / "outside.py"),
        ("gone", folder / "nowhere.py"),
        ("alias", inside / "real.py"),
    ):
        try:
            (inside / f"{name}.py").symlink_to(target)
        except OSError:  # Windows, for users who may not make links: then there are none to refuse
            return
    found = entries(Catalog(inside))
    assert "leads out of the strategies folder" in found["out.py"].error
    assert "leads out of the strategies folder" in found["gone.py"].error
    assert found["alias"].strategy is not None


def test_a_file_cannot_import_its_neighbour_and_is_told_why(catalog, folder):
    write(folder, "helpers.py", "x = 1")
    write(folder, "my_idea.py", "import helpers\n" + MINE)
    assert "A strategy file stands alone: put what helpers.py holds into this file" in entries(catalog)["my_idea"].error


def test_a_file_written_for_backtesting_is_told_what_to_import(catalog, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "backtesting", None)
    write(folder, "theirs.py", "from backtesting import Strategy\n")
    assert "from engine import Strategy" in entries(catalog)["theirs"].error


def test_the_files_module_can_be_found_by_its_name_and_hides_nothing(catalog, folder):
    write(folder, "json.py", MINE.replace("class", "class Note(tuple): pass\n\nclass", 1))
    strategy = catalog.find("json").strategy
    note = sys.modules[strategy.__module__].Note([1])
    assert pickle.loads(pickle.dumps(note)) == note
    import json

    assert json.dumps(1) == "1"
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sma_crss", r"There is no strategy 'sma_crss'. Did you mean sma_cross\?"),
        ("../../etc/passwd", "There is no strategy '../../etc/passwd'. Known: bollinger_reversion, "),
        ("", "There is no strategy ''"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(catalog, name, words):
    with pytest.raises(ConfigError, match=words) as refusal:
        catalog.find(name)
    assert refusal.value.field == "strategy"


def test_a_stored_source_gives_the_strategy_it_was(catalog, folder):
    write(folder, "my_idea.py", MINE)
    stored = catalog.find("my_idea")
    write(folder, "my_idea.py", MINE.replace("= 3", "= 4"))
    entry = Catalog.from_source(stored.source, "my_idea")
    assert (entry.name, entry.digest, entry.parameters) == ("my_idea", stored.digest, stored.parameters)
    assert entry.strategy.__name__ == "MyIdea" and entry.path is None


def test_a_stored_source_of_several_gives_the_one_asked_for(catalog, folder):
    source = "from engine import Strategy\nclass A(Strategy): pass\nclass B(Strategy): pass\n"
    assert Catalog.from_source(source, "two.B").strategy.__name__ == "B"
    assert Catalog.from_source(MINE, "sma_cross.MyIdea").name == "sma_cross.MyIdea"
    bundled = catalog.find("sma_cross")
    assert Catalog.from_source(bundled.source, "sma_cross").parameters == bundled.parameters


@pytest.mark.parametrize(("source", "name"), [("1 / 0", "x"), ("x = 1", "x"), (MINE, "my_idea.Other")])
def test_a_stored_source_that_no_longer_works_is_refused(source, name):
    with pytest.raises(ConfigError) as refusal:
        Catalog.from_source(source, name)
    assert refusal.value.field == "strategy" and name in str(refusal.value)
