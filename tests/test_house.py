"""The house's own rules: which way imports run, what is documented, what is required."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from engine import rules
from webapp import settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
WEB = {"flask", "jinja2", "werkzeug", "sqlalchemy", "simple_websocket", "lightweight_charts", "webapp"}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, inside_functions: bool) -> set[str]:
    """Return the absolute names that a file imports, leaving out what only a type checker sees."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out: set[ast.AST] = set()
    for node in ast.walk(tree):
        hidden = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not inside_functions
        if hidden or (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")):
            left_out.update(ast.walk(node))
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    names: set[str] = set()
    for node in set(ast.walk(tree)) - left_out:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def test_the_engine_is_imported_without_the_web():
    code = f"import sys, engine; print(*sorted({WEB!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_engine_module_imports_anything_of_the_web():
    found = {module_name(path): imports(path, inside_functions=True) for path in sources("engine")}
    assert [name for name, names in found.items() if {one.split(".")[0] for one in names} & WEB] == []


@pytest.mark.parametrize("folder", ["engine", "webapp"])
def test_imports_make_no_circle(folder):
    files = {module_name(path): path for path in sources(folder)}
    graph = {
        name: {found for found in imports(path, inside_functions=False) if found in files and found != name}
        for name, path in files.items()
    }
    packages = {name for name, path in files.items() if path.name == "__init__.py"}
    for (
        name,
        found,
    ) in graph.items():  # a module of a package may name its package only for what stands above the import
        graph[name] = {other for other in found if not (other in packages and name.startswith(other + "."))}
    assert list(TopologicalSorter(graph).static_order())


def test_every_module_opens_with_a_sentence():
    texts = {path: path.read_text(encoding="utf-8") for path in sources("engine", "webapp", "bench", "tests")}
    first = {path: (ast.get_docstring(ast.parse(text)) or "").split("\n")[0] for path, text in texts.items() if text}
    assert [str(path.relative_to(ROOT)) for path, line in first.items() if not line.endswith((".", ":"))] == []


def test_every_setting_is_in_the_readme_with_its_default():
    rows = dict(re.findall(r"^\| `(?:TAPEDECK_)?([A-Z_]+)` \| `?(.*?)`? \|", README, re.MULTILINE))
    gunicorn = re.findall(
        r'environ\.get\("(?:TAPEDECK_)?([A-Z_]+)"(?:, "(.*?)")?', (ROOT / "gunicorn.conf.py").read_text()
    )
    expected = dict(gunicorn) | {name: str(default) for name, default in settings.DEFAULTS.items()}
    assert set(rows) == set(expected)
    meant = dict(re.findall(r"^\| `(?:TAPEDECK_)?([A-Z_]+)` \| .*? \| (.*) \|$", README, re.MULTILINE))
    meant = {name: words.replace("`", "") for name, words in meant.items()}
    code = inspect.getsource(settings)
    comments = dict(re.findall(r'^    "([A-Z_]+)": .*?,  # (.*)$', code.partition("FIXED")[0], re.MULTILINE))
    assert {name: words for name, words in meant.items() if name in comments} == comments
    assert set(comments) == set(settings.DEFAULTS)
    for name, default in expected.items():
        assert rows[name].lower() == (default.removeprefix(str(ROOT)).lstrip("/\\").lower() or "empty"), name


def test_every_corrected_rule_is_in_the_readme():
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*) \| (.*) \| (.*) \|$", README, re.MULTILINE)
    assert rows == [(rule.name, rule.differs, rule.why, rule.example) for rule in rules.TABLE]


def test_every_setting_is_read_somewhere():
    code = "\n".join(path.read_text(encoding="utf-8") for path in [*sources("webapp"), ROOT / "gunicorn.conf.py"])
    framework = {"MAX_CONTENT_LENGTH"}  # Flask reads it
    unread = {name for name in settings.DEFAULTS if len(re.findall(rf"\b(TAPEDECK_)?{name}\b", code)) < 2}
    assert unread <= framework


def test_every_requirement_is_used():
    packages = packages_distributions()
    provided = {normal(name) for module in outside_modules("engine", "webapp") for name in packages.get(module, [])}
    indirect = {"gunicorn", "jinja2", "psycopg", "tzdata"}  # run, or read, by others than our modules
    assert required() - indirect <= provided
    assert indirect <= required()


@pytest.mark.parametrize(
    ("file", "folders"),
    [
        pytest.param("requirements.txt", ["engine", "webapp"], id="to run"),
        pytest.param("requirements-dev.txt", ["tests"], id="to test"),
        pytest.param("requirements-bench.txt", ["bench", "docs"], id="to measure"),
    ],
)
def test_what_is_imported_is_required(file, folders):
    # Flask, flask-sock, Flask-WTF and yfinance bring these, and are built on them.
    through_others = {"click", "curl-cffi", "itsdangerous", "markupsafe", "requests", "werkzeug", "wsproto", "wtforms"}
    packages = packages_distributions()
    found = {name: {normal(one) for one in packages.get(name, [name])} for name in outside_modules(*folders)}
    assert {name for name, provided in found.items() if not provided & (required(file) | through_others)} == set()


def outside_modules(*folders: str) -> set[str]:
    """Return the top-level modules that the folders' code imports and that neither Python nor we provide."""
    names = {name.split(".")[0] for path in sources(*folders) for name in imports(path, inside_functions=True)}
    return names - {"", "bench", "dev", "docs", "engine", "tests", "webapp"} - sys.stdlib_module_names


def required(file: str = "requirements.txt") -> set[str]:
    """Return the distributions that a requirements file names, and those that it includes."""
    text = (ROOT / file).read_text(encoding="utf-8")
    included = [required(name) for name in re.findall(r"^-r (\S+)", text, re.MULTILINE)]
    return {normal(name) for name in re.findall(r"^(\w[\w.-]*)", text, re.MULTILINE)}.union(*included)


def normal(distribution: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
