"""The threat tables: every test that they name exists, and every control has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8").partition("### Security\n")[2].partition("\n## ")[0]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8") + README
ROWS = [line.split(" | ") for line in re.findall(r"(?m)^\| (.*) \|$", TEXT) if not line.startswith(("threat", "---"))]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", TEXT)))


def test_every_threat_has_a_control_and_a_test():
    assert len(ROWS) > 20
    for row in ROWS:
        assert len(row) == 3, row
        assert all(row) and re.search(r"`tests/[\w/]+\.py", row[2]), row


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name):
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    assert function in tests if function else tests


def test_the_readme_leads_to_it():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(docs/security.md)" in readme and "(docs/deployment.md)" in readme
