"""Rules of the house that import-linter does not see: public names, mirrored tests, sizes."""

import ast
import importlib
import re
from inspect import ismodule
from pathlib import Path

import pytest

import sklearn_gkd

PACKAGE = Path(sklearn_gkd.__file__).parent
ROOT = PACKAGE.parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
ROOMS = ["sklearn_gkd", "sklearn_gkd.exceptions", "sklearn_gkd.losses"] + [
    ".".join(["sklearn_gkd", *path.parent.relative_to(PACKAGE).parts])
    for path in sorted(PACKAGE.glob("[a-z]*/**/__init__.py"))
]
MAX_LINES = 400


def readers():
    """Yield the name and the code of all that is written as a user would write it."""
    for folder in ("examples", "benchmarks", "docs"):
        for path in sorted(ROOT.glob(f"{folder}/**/*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text()
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
        yield path.relative_to(ROOT).as_posix(), "\n".join(blocks)


READERS = dict(readers())


def imports(code):
    """Yield (module, name) of every import; the name is None where a module itself is."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


def is_public(module, name):
    if any(part.startswith("_") for part in module.split(".")):
        return False
    return name is None or name in importlib.import_module(module).__all__


@pytest.mark.parametrize("reader", READERS)
def test_readers_import_public_names_alone(reader):
    of_package = [
        (module, name)
        for module, name in imports(READERS[reader])
        if module.partition(".")[0] == "sklearn_gkd"
    ]
    assert [found for found in of_package if not is_public(*found)] == []


def test_a_private_name_is_noticed():
    code = (
        "import sklearn_gkd._training\n"
        "from sklearn_gkd.networks import CNN, Linear\n"
        "def later():\n"
        "    from sklearn_gkd.networks._layers import Linear\n"
    )
    private = [name for module, name in imports(code) if not is_public(module, name)]
    assert private == [None, "Linear", "Linear"]
    assert "README.md" in READERS
    assert len(READERS) > 10


def test_every_module_has_its_test_module():
    def mirrored(module):
        folder, _, name = module.rpartition("/")
        return ROOT / "tests" / folder / f"test_{name.removeprefix('_')}"

    own = [module for module in MODULES if not module.endswith("__init__.py")]
    own.remove("exceptions.py")  # which does nothing
    assert {module for module in own if not mirrored(module).is_file()} == set()


def test_compat_alone_imports_private_names_of_scikit_learn():
    found = {
        module
        for module, path in MODULES.items()
        for source, name in imports(path.read_text())
        if source.partition(".")[0] == "sklearn"
        and any(part.startswith("_") for part in f"{source}.{name}".split("."))
    }
    assert found == {"_common/compat.py"}


def test_no_module_is_long():
    n_lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module for module, n in n_lines.items() if n > MAX_LINES} == set()


def test_the_reference_has_every_public_name():
    listed = set()
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        text = page.read_text()
        listed |= set(re.findall(r"py:data:: (\S+)", text))
        for block in re.findall(r"```{eval-rst}\n(\.\. currentmodule::.*?)```", text, re.DOTALL):
            module, *names = re.findall(r"^(?:\.\. currentmodule:: |   )(\w\S*)$", block, re.M)
            listed |= {f"{module}.{name}" for name in names}
    rooms = [importlib.import_module(room) for room in ROOMS]
    public = {
        f"{room.__name__}.{name}"
        for room in rooms
        for name in room.__all__
        if not ismodule(getattr(room, name))
    }
    assert listed == public


def test_pre_commit_runs_what_lint_runs():
    def pairs(pattern, file):
        return dict(re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE))

    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    commands = set(re.findall(r"\$\(BIN\)/(\S+)", lint))
    tools = {command.replace("lint-imports", "import-linter") for command in commands}
    pinned = pairs(r"^(\S+)==(\S+)$", "constraints.txt")
    hooks = pairs(
        r"repo: \S+/(?:mirrors-)?(\S+?)(?:-pre-commit)?\n +rev: v(\S+)", ".pre-commit-config.yaml"
    )
    assert hooks.keys() & pinned.keys() == tools
    assert {tool: hooks[tool] for tool in tools} == {tool: pinned[tool] for tool in tools}
