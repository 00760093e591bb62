"""The list of strategies."""

from __future__ import annotations

from tests.webapp.pages import get

OWN = '''
from engine import Strategy

class Mine(Strategy):
    """My <i>idea</i>"""

    def init(self): pass
    def next(self): pass
'''


def test_every_bundled_strategy_has_a_test_link_that_fills_in_the_form(client):
    cards = get(client, "/strategies").all(".strategy")
    assert len(cards) >= 6
    for card in cards:
        link = card.select_one("a.button")
        assert link.get_text() == "Test"
        sent = get(client, link["href"]).sent()
        assert (sent["symbol"], sent["period"], sent["interval"], sent["initial_balance"]) == (
            *("AAPL", "6mo", "1d", "10000"),
        )
        assert sent["strategy"] == card.select_one("code").get_text()


def test_a_test_link_wins_over_the_remembered_setup(client):
    form = get(client, "/").sent()
    client.post("/runs", data=form | {"symbol": "GOOG"})
    assert get(client, "/?strategy=rsi_reversion").sent()["symbol"] == "AAPL"


def test_a_new_file_is_found_without_a_restart(folders, client):
    assert "mine" not in get(client, "/strategies").text("main")
    (folders["strategies"] / "mine.py").write_text(OWN)
    page = get(client, "/strategies")
    assert "yours" in page.text("main")
    assert not page.all("i")  # its docstring is text


def test_a_broken_file_shows_its_error_and_line_and_breaks_nothing_else(folders, client):
    (folders["strategies"] / "broken.py").write_text("import engine\nimport nothing_of_that_name\n")
    (folders["strategies"] / "worse.py").write_text("def f(:\n")
    page = get(client, "/strategies")
    broken = page.text(".broken")
    assert "broken.py, line 2" in broken and "nothing_of_that_name" in broken
    assert "worse.py, line 1" in broken and "SyntaxError" in broken
    assert len(page.all(".strategy")) >= 6
    assert "broken" not in [option["value"] for option in get(client, "/").all("[name=strategy] option")]
