"""Files: the version in the addresses is that of the files as they are."""

from __future__ import annotations

import os

from webapp.files import Folder


def test_the_version_goes_with_the_files_also_while_the_server_runs(tmp_path):
    (tmp_path / "player.js").write_text("first")
    (tmp_path / "chart.js").write_text("chart")
    folder, first = Folder(str(tmp_path)), Folder(str(tmp_path)).version()
    assert folder.version() == first and len(first) == 12
    (tmp_path / "player.js").write_text("second")
    second = folder.version()
    (tmp_path / "more.js").write_text("more")
    assert len({first, second, folder.version()}) == 3
    (tmp_path / "more.js").unlink()
    (tmp_path / "player.js").write_text("first")
    os.utime(tmp_path / "player.js", (1, 1))
    assert folder.version() == Folder(str(tmp_path)).version() == first  # on every server the same


def test_files_that_swap_their_contents_are_another_version(tmp_path):
    (tmp_path / "a.js").write_text("one")
    (tmp_path / "b.js").write_text("two")
    before = Folder(str(tmp_path)).version()
    (tmp_path / "a.js").write_text("two")
    (tmp_path / "b.js").write_text("one")
    assert Folder(str(tmp_path)).version() != before
