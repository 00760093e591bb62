"""Requirements: what a server installs is pinned, and is what requirements.txt asks for."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "deploy" / "requirements.lock").read_text(encoding="utf-8")
PINS = re.findall(r"(?m)^(\S.*==[^ ]+)((?: ;.*?)?) \\\n((?:    --hash=\S+(?: \\)?\n)+)", LOCK)


def wanted():
    lines = (
        line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    )
    return [Requirement(line) for line in lines if line]


def test_each_package_is_pinned_by_its_hashes():
    lines = [line for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(lines) == len(PINS) > 40
    for pin, _, hashes in PINS:
        assert re.fullmatch(r"[\w.\[\]-]+==[\w.!+]+", pin)
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes.replace("\\", "").split())


def test_what_is_pinned_is_what_is_asked_for():
    versions = {canonicalize_name(Requirement(pin).name): pin.partition("==")[2] for pin, _, _ in PINS}
    for requirement in wanted():
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_the_container_installs_what_is_pinned():
    assert "--require-hashes -r requirements.lock" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
