"""Writes docs/reference/{settings.md,cli.md,openapi.json} from the code they describe.

`make reference` runs it; a test fails when a page is behind.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import typer.main
from pydantic.fields import FieldInfo
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from app.cli import application
from app.core.config import Settings
from app.main import api_alone

PAGES = Path(__file__).resolve().parents[1] / "docs" / "reference"

SETTINGS_HEAD = """# Settings

Environment variables, read once at the start of each process; a file `.env` in the working
directory is read too. The defaults suit one machine. Options of `kizu` win over variables.

| variable | default | meaning |
|---|---|---|
"""

SETTINGS_TAIL = """
## Of installation and tests

| variable | meaning |
|---|---|
| `$PYTHON` | the Python that `make install` uses |
| `$KIZU_CHROMIUM` | the browser of the page tests |
| `$CI` | when set, a missing browser fails the page tests instead of skipping them |
| `$TMPDIR` | where sockets of the embedded servers lie; keep it short (paths end at 100 bytes) |
| `$PIP_INDEX_URL`, `$PIP_FIND_LINKS` | where pip finds packages, as always |
"""

CLI_HEAD = """# Commands

Every command explains itself with `--help`. Expected failures end as one line on standard error
and exit code 2. Commands that need the database use the one that is set
([settings](settings.md)), else that of a running `kizu up` on the same data directory, else they
start their own for a moment.
"""


def settings_page() -> str:
    rows = [_setting_row(name, field) for name, field in Settings.model_fields.items()]
    return SETTINGS_HEAD + "\n".join(rows) + "\n" + SETTINGS_TAIL


def _setting_row(name: str, field: FieldInfo) -> str:
    default = "–" if field.default is None else f"`{field.default!s}`"
    return f"| `KIZU_{name.upper()}` | {default} | {field.description} |"


def cli_page() -> str:
    return CLI_HEAD + "".join(_command_section(path, command) for path, command in commands())


def commands() -> Iterator[tuple[str, TyperCommand]]:
    """Every command with its full path, such as `kizu user add`."""
    root = typer.main.get_command(application)
    assert isinstance(root, TyperGroup)
    return _walk(root)


def _walk(group: TyperGroup, prefix: str = "kizu") -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        if isinstance(command, TyperGroup):
            yield from _walk(command, path)
        else:
            assert isinstance(command, TyperCommand)
            yield path, command


def _command_section(path: str, command: TyperCommand) -> str:
    arguments = [_argument(p) for p in command.params if isinstance(p, TyperArgument)]
    usage = " ".join([path, *arguments])
    options = [_option_row(p) for p in command.params if isinstance(p, TyperOption)]
    table = "\n| option | meaning |\n|---|---|\n" + "".join(options) if options else ""
    return f"\n## `{usage}`\n\n{command.help}\n{table}"


def _argument(argument: TyperArgument) -> str:
    name = (argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def _option_row(option: TyperOption) -> str:
    names = " / ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    needed = " Required." if option.required else ""
    shown = option.default not in (None, "", False) and not callable(option.default)
    default = f" Default: `{option.default}`." if shown and not option.required else ""
    return f"| {names} | {option.help or ''}{needed}{default} |\n"


def openapi_document() -> str:
    """The API as a machine reads it; its differences show what a change does to callers."""
    return json.dumps(api_alone().openapi(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    (PAGES / "settings.md").write_text(settings_page())
    (PAGES / "cli.md").write_text(cli_page())
    (PAGES / "openapi.json").write_text(openapi_document())


if __name__ == "__main__":
    main()
