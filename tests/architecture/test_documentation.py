"""What people can set, run and read is written down, and stays so."""

import re
import tomllib

from typer.core import TyperOption

from app.core.config import Settings
from scripts import reference


def test_the_reference_pages_are_up_to_date(repository):
    """Run `make reference` when this fails."""
    pages = repository / "docs" / "reference"
    assert (pages / "settings.md").read_text() == reference.settings_page()
    assert (pages / "cli.md").read_text() == reference.cli_page()
    assert (pages / "openapi.json").read_text() == reference.openapi_document()


def test_every_setting_explains_itself():
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == []


def test_every_command_and_option_explains_itself():
    silent = [
        f"{path} {parameter.name}"
        for path, command in reference.commands()
        for parameter in command.params
        if isinstance(parameter, TyperOption) and not parameter.help
    ]
    assert silent == []
    assert [path for path, command in reference.commands() if not command.help] == []


def test_the_version_has_its_section_in_the_changelog(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    changelog = (repository / "CHANGELOG.md").read_text()
    assert f"## [{project['version']}]" in changelog


def test_links_between_pages_lead_somewhere(repository):
    broken = [
        f"{page.relative_to(repository)} → {target}"
        for page in [*repository.glob("*.md"), *(repository / "docs").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#\s]+?)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not target.startswith("mailto:")
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_lock_names_no_index(repository):
    lock = (repository / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index" not in lock
