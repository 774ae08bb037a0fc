"""Limits that keep files readable in one sitting, and words that do not belong in them."""

import ast
import re
from pathlib import Path

LONGEST_FILE = 450
LONGEST_FUNCTION = 60
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".sh", ".html", ".js", ".css", ".txt"}
VAGUE_NAMES = {"utils.py", "helpers.py", "helper.py", "manager.py", "common.py", "misc.py"}
PATHS_OF_SOMEBODYS_MACHINE = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w")
UNFINISHED = re.compile(r"\b(?:T[O]DO|FIX[M]E|X[X]X|HA[C]K)\b")


def test_no_file_is_longer_than_a_sitting(repository, sources):
    lengths = {
        name: len((repository / name).read_text().splitlines())
        for name in sources
        if not name.startswith("migrations/versions")
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen(sources):
    long_ones = [
        f"{name}:{node.lineno} {node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for name, tree in sources.items()
        if not name.startswith("migrations/")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long_ones == []


def test_every_module_says_what_belongs_in_it(sources):
    silent = [
        name
        for name, tree in sources.items()
        if tree.body and not name.startswith("migrations/versions") and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_no_module_is_named_for_nothing_in_particular(sources):
    assert [name for name in sources if Path(name).name in VAGUE_NAMES] == []


def test_no_work_is_left_marked_as_undone(tracked_files):
    assert _files_with(UNFINISHED, tracked_files) == []


def test_no_file_knows_the_machine_it_was_written_on(tracked_files):
    assert _files_with(PATHS_OF_SOMEBODYS_MACHINE, tracked_files) == []


def _files_with(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.name}: {found.group()}"
        for path in paths
        if path.suffix in TEXT_SUFFIXES and path.exists() and "static/vendor" not in str(path)
        for found in [pattern.search(path.read_text(errors="replace"))]
        if found
    ]
