"""Hostile text: what a name, a tag, a file or an address may hold, and that it stays text and stays in its place."""

from __future__ import annotations

import csv
import io
import re
import textwrap

import pytest
from bs4 import BeautifulSoup

from tests.webapp.pages import send, start

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{7*7}}</textarea>"

HOSTILE = textwrap.dedent(
    f'''
    """Hostile text everywhere that a strategy can put some."""
    from typing import Annotated
    from engine import Bounds, Strategy

    class Hostile(Strategy):
        """{SCRIPT.replace('"', "'")}

        {SCRIPT.replace('"', "'")}
        """
        n: Annotated[int, Bounds(1, 9), {SCRIPT!r}] = 3
        word = {SCRIPT!r}

        def init(self):
            self.I(lambda: self.data.Close, name={SCRIPT!r})

        def next(self):
            bar = len(self.data)
            if bar == 5:
                self.buy(size=1, tag="=HYPERLINK(1)" + {SCRIPT!r})
            if bar == 10:
                self.position.close()
            if bar == 20:
                raise ValueError({SCRIPT!r})
    '''
)
BROKEN = f"raise RuntimeError({SCRIPT!r})\n"


@pytest.fixture
def hostile(folders):
    """The hostile strategy, another that does not import, and a file of bars with text in it."""
    (folders["strategies"] / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    (folders["strategies"] / "broken.py").write_text(BROKEN, encoding="utf-8")
    rows = ["Date,Open,High,Low,Close,Volume", f"2020-01-01,1,2,1,{SCRIPT.replace(',', ' ').replace(chr(34), '')},1"]
    (folders["data"] / "EVIL-1d.csv").write_text("\n".join(rows), encoding="utf-8")


def harmless(html: str) -> bool:
    """Say whether what was put in as text is still text: no element, no attribute, no template of it."""
    soup = BeautifulSoup(html, "html.parser")
    inline = [one for one in soup.select("script") if not one.get("src")]
    handlers = [one for one in soup.select("*") if any(name.startswith("on") for name in one.attrs)]
    return not inline and not handlers and not soup.select("img") and "49</textarea>" not in html


def test_text_of_strategies_and_files_is_escaped_on_every_page(hostile, client, ws_connect):
    run = start(client, {"strategy": "hostile", "params.n": "3", "params.word": "x"})
    wire = ws_connect({"action": "start_backtest", "run": run, "frames": True, "speed": "instant"})
    messages = wire.until("error")
    wire.close()
    html = [text for message in messages for text in message.get("html", {}).values()]
    assert any("alert(1)" in text for text in html)
    refused = send(client, {"symbol": "EVIL", "period": "max", "strategy": "hostile"})
    addresses = (
        *("/?strategy=hostile", "/strategies", "/runs", f"/runs/{run}", "/fragments/parameters?strategy=hostile"),
        *(f"/runs/{run}/trades?bar=15", f"/runs/{run}/stats?bar=15", f"/runs/{SCRIPT}", f"/{SCRIPT}"),
        *(f"/?symbol={SCRIPT}&strategy={SCRIPT}", f"/fragments/periods?interval={SCRIPT}"),
        f"/fragments/estimate?symbol={SCRIPT}",
    )
    shown = [client.get(address).text for address in addresses]
    assert sum("alert(1)" in page for page in shown) >= 4  # it does get there, as text
    for page in [*html, *shown, refused.text]:
        assert harmless(page), page[:3000]


def test_half_a_character_from_a_strategy_harms_no_page(folders, client, ws_connect, services):
    text = HOSTILE.replace('tag="=HYPERLINK(1)" + ', 'tag="\\ud800" + ').replace("name=", 'name="\\ud800" + ')
    (folders["strategies"] / "hostile.py").write_text(text, encoding="utf-8")
    run = start(client, {"strategy": "hostile"})
    for extra in ({"frames": True}, {}):
        wire = ws_connect({"action": "start_backtest", "run": run, "speed": "instant", **extra})
        assert wire.until("error")[-1]["code"] == "strategy_error"
        wire.close()
    services.store.save_playhead(run, 15)
    for part in ("", "/trades", "/trades.csv", "/run.json"):
        assert client.get(f"/runs/{run}{part}").status_code == 200, part


def test_an_exported_cell_is_no_formula(hostile, client, services):
    run = start(client, {"strategy": "hostile"})
    services.store.save_playhead(run, 15)
    text = client.get(f"/runs/{run}/trades.csv").text
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["entry_tag"].startswith("'=HYPERLINK(1)")
    for cell in row.values():
        assert not cell or cell[0] not in "=+-@\t\r\n" or re.fullmatch(r"-[\d.e-]+", cell)


@pytest.mark.parametrize("tag", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x"])
def test_every_beginning_that_a_spreadsheet_runs_is_defused(tag):
    from webapp.views.exports import _cell

    assert _cell(tag) == f"'{tag}"
    assert (_cell(-1.5), _cell("a=1"), _cell(None), _cell(float("nan"))) == (-1.5, "a=1", "", "")


OUTSIDE = [
    *("../../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x"),
    *("os", "subprocess", "__init__", "sma_cross.py", "engine.strategies.sma_cross", "../strategies/sma_cross"),
    *("sma_cross\x00", "a" * 500, ".", "..", "con", "%2e%2e%2f", "SMA_CROSS"),
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_cannot_leave_their_folders(client, services, folders, name):
    (folders["data"].parent / "secret.csv").write_text("Date,Open,High,Low,Close\n2020-01-01,1,1,1,1\n")
    for field in ("symbol", "strategy", "interval"):
        answer = send(client, {field: name})
        assert answer.status_code == 422, field
        assert "root:" not in answer.text and str(folders["data"].parent) not in answer.text
    assert services.store.runs() == []
    assert client.get(f"/runs/{name}").status_code in (404, 308)
    assert client.get(f"/runs/{name}/trades.csv").status_code in (404, 308)


@pytest.mark.parametrize(
    "path",
    ["../security.py", "..%2fsecurity.py", "%2e%2e/security.py", "....//security.py", "/etc/passwd", "..\\security.py",
     "x/../../security.py", "%00", "~root"],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["/static/", "/charts/"])
def test_files_outside_the_static_folder_are_not_served(client, folder, path):
    with client.get(folder + path) as answer:
        assert answer.status_code in (404, 308)
        assert "import" not in answer.text and "root:" not in answer.text


def test_a_link_out_of_the_strategies_folder_is_not_followed(services, folders, tmp_path):
    (tmp_path / "outside.py").write_text(
        "from engine import Strategy\nclass Out(Strategy):\n    def next(self): pass\n"
    )
    try:
        (folders["strategies"] / "inside.py").symlink_to(tmp_path / "outside.py")
    except OSError:  # Windows without the right to make links
        return
    assert not any(entry.name == "inside" and entry.error is None for entry in services.catalog.all())
