"""Rules without a tool are wishes: each one here reads every source file and is shown a file that breaks it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "simpletuner"
TESTS = ROOT / "tests"
FILES = sorted(SOURCE.rglob("*.py"))

# The one place that may catch everything: a listener that fails must not stop the run, and it is logged.
BROAD_EXCEPT_ALLOWED = {"observe/fan_out.py"}
# What may import later than at its top: a sub-command's module when it is chosen, a package that few need.
LATE_IMPORT_ALLOWED = {"cli/main.py", "core/optional.py"}
# Folders of tests that mirror no room.
TESTS_WITHOUT_SOURCE = {"docs", "house", "runs"}

_PICKLE_CALLS = {
    "torch.load", "torch.save", "pickle.load", "pickle.loads", "pickle.dump", "pickle.dumps", "accelerator.save_state",
    "accelerator.load_state", "dill.load", "joblib.load", "shelve.open",
}  # fmt: skip
_PICKLE_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "cloudpickle", "marshal"}
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

Found = Iterator[tuple[int, str]]
Rule = Callable[[ast.Module, str, str], Found]


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Every call with its function as written."""
    return ((node, ast.unparse(node.func)) for node in ast.walk(tree) if isinstance(node, ast.Call))


def imported_modules(node: ast.AST) -> list[str]:
    """The modules that an import statement names; none for any other node."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def getattr_with_default(tree: ast.Module, _source: str, _name: str) -> Found:
    """A default lives in the schema and nowhere else."""
    for node, called in calls(tree):
        if called == "getattr" and len(node.args) + len(node.keywords) > 2:
            yield node.lineno, "getattr with a default"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    caught = ast.unparse(handler.type) if handler.type else "BaseException"
    return bool(re.search(r"\b(Base)?Exception\b", caught))


def broad_except(tree: ast.Module, _source: str, name: str) -> Found:
    """Catch only what you can name; what any error asks for on its way out is done with `core.endings.OnError`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and name not in BROAD_EXCEPT_ALLOWED:
            yield node.lineno, "broad except"


def printing(tree: ast.Module, _source: str, _name: str) -> Found:
    """The console is rich's or click's; diagnostics are logged."""
    yield from (
        (node.lineno, "print") for node, called in calls(tree) if called in {"print", "pprint", "pprint.pprint"}
    )


def unpickling(tree: ast.Module, _source: str, _name: str) -> Found:
    """State is safetensors and JSON: a file of ours never runs code when it is read."""
    for node, called in calls(tree):
        allowed = {keyword.arg for keyword in node.keywords if ast.unparse(keyword.value) != "False"}
        if called in _PICKLE_CALLS or "allow_pickle" in allowed or called.endswith("_object_list"):
            yield node.lineno, f"{called} pickles"
    for node in ast.walk(tree):
        if any(module.split(".")[0] in _PICKLE_MODULES for module in imported_modules(node)):
            yield node.lineno, "a module that pickles"


def remote_code(tree: ast.Module, _source: str, _name: str) -> Found:
    """No code comes with weights: whoever is asked whether it may is told no."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code" and ast.unparse(node.value) != "False":
            yield node.value.lineno, "trust_remote_code"


def unfinished(_tree: ast.Module, source: str, _name: str) -> Found:
    """What is left to do is an issue, not a comment."""
    for number, line in enumerate(source.splitlines(), 1):
        if _UNFINISHED.search(line):
            yield number, "left undone"


def relative_import(tree: ast.Module, _source: str, _name: str) -> Found:
    """An import says the whole way."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "relative import"


def late_import(tree: ast.Module, _source: str, name: str) -> Found:
    """A hidden import is a cycle or a surprise; `import_module` is one too."""
    if name in LATE_IMPORT_ALLOWED:
        return
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield node.lineno, "import inside a function"
    for node, called in calls(tree):
        if called in {"__import__", "import_module", "importlib.import_module"}:
            yield node.lineno, "import by name"


def _undocumented(node: ast.AST, prefix: str) -> Found:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or child.name.startswith("_"):
            continue
        # An overload or a property's setter is described where the first of them stands.
        decorators = {ast.unparse(decorator) for decorator in child.decorator_list}
        if not ast.get_docstring(child) and not decorators & {"overload", "override", f"{child.name}.setter"}:
            yield child.lineno, f"{prefix}{child.name} has no docstring"
        if isinstance(child, ast.ClassDef):
            yield from _undocumented(child, f"{child.name}.")


def missing_docstring(tree: ast.Module, _source: str, _name: str) -> Found:
    """Whatever another file may use says what it is."""
    if not ast.get_docstring(tree):
        yield 1, "the module has no docstring"
    yield from _undocumented(tree, "")


def tensorboard_door(tree: ast.Module, _source: str, name: str) -> Found:
    """import-linter sees only `torch` in `torch.utils.tensorboard`."""
    for node in ast.walk(tree):
        is_import = isinstance(node, (ast.Import, ast.ImportFrom)) and name != "observe/tensorboard.py"
        if is_import and "torch.utils.tensorboard" in imported_modules(node):
            yield node.lineno, "tensorboard's door is observe/tensorboard.py"


# Each rule beside a snippet that breaks it.
RULES: dict[Rule, str] = {
    getattr_with_default: "x = getattr(args, 'shift', 3.0)",
    broad_except: "try:\n    f()\nexcept (OSError, Exception) as error:\n    log(error)",
    printing: "print('hello')",
    unpickling: "x = np.load(path, allow_pickle=True)",
    remote_code: "m = load(name, trust_remote_code=trusted)",
    unfinished: "x = 1  # TODO: two",
    relative_import: "from .errors import ConfigError",
    late_import: "def f():\n    import torch",
    missing_docstring: "class Public:\n    '''Said.'''\n    def method(self): ...",
    tensorboard_door: "from torch.utils.tensorboard import SummaryWriter",
}
MORE_BREACHES = [
    (broad_except, "try:\n    f()\nexcept:\n    pass"),
    (broad_except, "try:\n    f()\nexcept BaseException:\n    clean()\n    raise"),
    (unpickling, "x = torch.load(path, weights_only=True)"),
    (unpickling, "from pickle import loads"),
    (unpickling, "dist.broadcast_object_list(x)"),
    (late_import, "m = importlib.import_module('torch')"),
    (missing_docstring, "'''A module.'''\ndef public(): ..."),
]
HARMLESS = [
    (getattr_with_default, "x = getattr(module, name)"),
    (broad_except, "try:\n    f()\nexcept OSError:\n    pass"),
    (unpickling, "x = np.load(path, allow_pickle=False)"),
    (remote_code, "m = load(name, trust_remote_code=False)"),
    (missing_docstring, "'''A module.'''\ndef _private(): ..."),
]


def breaches(rule: Rule, source: str, name: str) -> list[str]:
    """Where `source` breaks `rule`, one line each."""
    return [f"{name}:{line}: {what}" for line, what in rule(ast.parse(source), source, name)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds_in_every_file(rule: Rule) -> None:
    names = {path: path.relative_to(SOURCE).as_posix() for path in FILES}
    assert [found for path in FILES for found in breaches(rule, path.read_text(encoding="utf-8"), names[path])] == []


@pytest.mark.parametrize(("rule", "snippet"), [*RULES.items(), *MORE_BREACHES])
def test_rule_sees_a_breach(rule: Rule, snippet: str) -> None:
    assert breaches(rule, snippet, "bad.py")


@pytest.mark.parametrize(("rule", "snippet"), HARMLESS)
def test_rule_lets_the_rest_be(rule: Rule, snippet: str) -> None:
    assert not breaches(rule, snippet, "good.py")


def test_exceptions_to_rules_are_still_needed() -> None:
    # Deleting the file or its broad except must delete the exception too.
    assert [name for name in BROAD_EXCEPT_ALLOWED | LATE_IMPORT_ALLOWED if not (SOURCE / name).is_file()] == []


def sourceless(tests: list[Path], sources: set[Path]) -> list[str]:
    """Test files whose source file does not exist: tests/<room>/test_<file>.py mirrors <room>/<file>.py."""
    mirrored = {path: path.with_name(path.name.removeprefix("test_")) for path in tests}
    return [str(path) for path, source in mirrored.items() if source not in sources]


def test_every_test_file_mirrors_a_source_file() -> None:
    tests = [path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py"))]
    tests = [path for path in tests if path.parts[0] not in TESTS_WITHOUT_SOURCE]
    sources = {path.relative_to(SOURCE) for path in FILES} | {
        path.relative_to(ROOT) for folder in ("scripts", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    }
    assert sourceless(tests, sources) == []


def test_a_stray_test_file_is_seen() -> None:
    assert sourceless([Path("data/test_gone.py")], {Path("data/plan.py")}) == ["data/test_gone.py"]
