"""The house keeps its rules: who imports whom, how long things get, and what the documents say."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine import __version__
from engine.presets import PRESETS
from engine.remedies import REMEDIES

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
README = (ROOT / "README.md").read_text()
MODULES = sorted(
    path.relative_to(ROOT)
    for path in [
        ROOT / "app.py",
        *(p for d in ("engine", "ui", "pages") for p in (ROOT / d).rglob("*.py")),
    ]
    if path.name != "__init__.py"
)
MODULE_LINES, FUNCTION_LINES = 350, 45


def name_of(path):
    return ".".join(path.with_suffix("").parts)


def imports_of(path):
    """Every module a file imports, anywhere in it, dotted."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def never_imports():
    """(part, never imported) pairs of the table in ARCHITECTURE.md."""
    section = ARCHITECTURE.split("## Who never imports whom")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| ")][1:]
    return [
        (part.strip(), other.strip())
        for parts, others in rows
        for part in parts.split(",")
        for other in others.split(",")
    ]


def is_within(name, package):
    return name == package or name.startswith(package + ".")


def test_nobody_imports_what_it_never_imports():
    pairs = never_imports()
    assert len(pairs) > 60, "the table was not read"
    broken = [
        f"{path} imports {found}, which {part} never does"
        for part, other in pairs
        for path in MODULES
        if is_within(name_of(path), part)
        for found in imports_of(path)
        if is_within(found, other)
    ]
    assert not broken


def test_every_part_named_in_the_table_exists():
    parts = {part for part, _ in never_imports()}
    names = {name_of(path) for path in MODULES}
    assert all(any(is_within(name, part) for name in names) for part in parts)


def test_the_list_of_modules_is_the_modules_there_are():
    section = ARCHITECTURE.split("## The house")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([\w/]+\.py)`", section, re.M)) == {str(path) for path in MODULES}
    assert set(re.findall(r"`(\w+\.js)`", section)) == {
        p.name for p in (ROOT / "assets").glob("*.js")
    }


def test_the_server_s_imports_bring_no_torch():
    """By running it: what a module imports by way of others counts too."""
    code = "import app, sys; print([m for m in ('torch', 'sklearn', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_and_functions_stay_short(path):
    text = (ROOT / path).read_text()
    assert len(text.splitlines()) <= MODULE_LINES, "divide the module by what it is about"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            lines = node.end_lineno - node.lineno + 1 - len(docstring.splitlines())
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines: divide it"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_and_public_function_says_what_it_is(path):
    tree = ast.parse((ROOT / path).read_text())
    assert ast.get_docstring(tree), "a module says in one line what it is"
    for node in tree.body:
        public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if public and name_of(path).startswith("engine") and len(node.body) > 2:
            assert ast.get_docstring(node), f"{node.name} says what it returns"


def test_no_machine_and_no_package_index_is_named():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    words = re.compile(r"(?<![\w.])/(home|root|work)/|index-" + r"url|pypi" + r"\.org")
    for name in listed.stdout.split():
        file = ROOT / name
        if file.suffix in {".py", ".js", ".md", ".toml", ".txt", ".css", ""} and file.is_file():
            assert not words.search(file.read_text()), name


def test_nothing_is_fetched_from_elsewhere():
    for file in (ROOT / "assets").glob("*.*s"):
        outside = re.findall(r"https?://[^\s\"'`)]+", file.read_text())
        assert not outside, f"{file.name} names {outside}"


def test_the_readme_gives_the_commands_and_a_picture_that_is_there():
    for command in (
        "make run",
        "make test",
        "pip install -r requirements.txt",
        "streamlit run app.py",
    ):
        assert command in README
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    assert all((ROOT / picture).exists() for picture in pictures)


def test_the_changelog_has_this_version():
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_source_stands_beside_its_remedy_and_every_preset_has_a_note():
    assert all(remedy.source and remedy.idea.endswith(".") for remedy in REMEDIES.values())
    assert all(preset.note.endswith(".") for preset in PRESETS.values())
