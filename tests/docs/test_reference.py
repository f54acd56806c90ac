"""The README's tables, commands and links: they say what the code says."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from pipecat_roark import RoarkObserver, cli, settings
from pipecat_roark.conversation import latency
from pipecat_roark.local import FinishedCall, ThreadedRoark, Waveform
from pipecat_roark.receipt import Reason

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / ".github").glob("*.md"))]
FENCED = re.compile(r"^```\w*\n.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
PROSE = FENCED.sub("", README)


def section(heading: str) -> str:
    """Return what stands below a heading, up to the next one, without blocks of code."""
    _, found, text = PROSE.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str, first: str) -> list[list[str]]:
    """Return the cells of the table of which this begins the head."""
    lines = text[text.index(f"| {first}") :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def code(text: str) -> list[str]:
    """Return what a text marks as code."""
    return CODE.findall(text)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the repository, or to a heading."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        if path.startswith("https://"):
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_option_is_in_the_table() -> None:
    """With the types and the default of the observer's signature."""
    parameters = inspect.signature(RoarkObserver).parameters
    variables = {
        settings.API_KEY_VARIABLE: "none",
        settings.BASE_URL_VARIABLE: f"`{settings.BASE_URL}`",
        settings.SPOOL_DIR_VARIABLE: "none",
    }
    named = []
    for names, types, default, meaning in table(section("## Configuration"), "parameter"):
        assert meaning
        for name in code(names):
            named.append(name)
            if name in variables:
                assert (types, default) == ("variable", variables[name])
                continue
            parameter = parameters[name]
            assert all(part in parameter.annotation for part in code(types)), name
            if default == "required":
                assert parameter.default is parameter.empty
            elif default == "all":
                assert parameter.default == settings.CAPTURE
            elif default.strip("`") in variables:
                assert parameter.default is None
            else:
                assert parameter.default == ast.literal_eval(default.strip("`")), name
    assert sorted(named) == sorted([*parameters, *variables])


def test_every_reason_is_named() -> None:
    """But the one that the library never gives."""
    named = {*code(section("## Receipt, report and events"))}
    assert {*get_args(Reason)} - named == {"unknown"}


def test_stages_have_their_names() -> None:
    """They are those that a report has."""
    text = section("## Receipt, report and events")
    keys = code(text[text.index("such as") : text.index("The `kind`")])
    assert len(keys) > 3
    assert {*keys} <= {what.key for what in latency._BETWEEN.values()}  # noqa: SLF001


def texts() -> list[str]:
    """Return every text of the library, those with values in pieces."""
    sources = (ROOT / "src" / "pipecat_roark").rglob("*.py")
    nodes = (node for path in sources for node in ast.walk(ast.parse(path.read_bytes())))
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_symptoms_are_what_the_library_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for a line of the log in the table finds it."""
    known = texts()
    rows = table(section("## When something goes wrong"), "you see")
    symptoms = [symptom for row in rows for symptom in code(row[0])]
    assert len(symptoms) > 10
    error, *lines = symptoms
    assert not [line for line in lines if not any(line in text for text in known)]
    monkeypatch.delenv(settings.API_KEY_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=error.removeprefix("ValueError: ")):
        RoarkObserver(agent_id="front-desk")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which commands would run."""
    names: list[str] = []

    def run(name: str) -> int:
        names.append(name)
        return 0

    for name in ("local", "show", "doctor", "deliver"):
        monkeypatch.setattr(cli, f"_run_{name}", lambda _, name=name: run(name))
    return names


def test_commands_are_understood(ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each command that is named, and each option of a table."""
    commands = [found for found in code(PROSE) if found.startswith("pipecat-roark ")]
    for command in commands:
        assert cli.main(shlex.split(command.replace("[DIR …]", "DIR"))[1:]) == 0
    assert {*ran} == {"local", "show", "doctor", "deliver"}
    fleet = section("### The spools of a fleet")
    for option, *_ in table(fleet, "option"):
        assert cli.main(["deliver", *shlex.split(option.strip("`")), "DIR"]) == 0
    with pytest.raises(SystemExit):
        cli.main(["deliver", "--help"])
    options = {*re.findall(r"--[a-z-]+", capsys.readouterr().out)} - {"--help"}
    assert not [option for option in options if f"`{option}" not in fleet]


def test_what_a_test_asks_is_there() -> None:
    """The attributes of the fixture and of its call."""
    named = re.findall(r"`\.(\w+)", section("### Test your bot"))
    shown = {name for one in (ThreadedRoark, FinishedCall, Waveform) for name in dir(one)}
    annotated = {*FinishedCall.__annotations__, *Waveform.__annotations__}
    assert len(named) > 8
    assert {*named} <= shown | annotated


def commands() -> list[list[str]]:
    """Return the words of each line that a shell gets, but those of a fleet's recipe."""
    before, _, rest = README.partition("\n### The spools of a fleet\n")
    text = before + rest.partition("\n## ")[2]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


def value(path: str, name: str) -> str:
    """Return a text that a TOML file gives a name."""
    (found,) = re.findall(rf'^{name} = "(.+)"$', (ROOT / path).read_text(), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_lines_for_a_shell_fit_what_is_here(words: list[str]) -> None:
    """Files and extras exist, and names are those of the files that they lead to."""
    if words[:3] == ["pip", "install", "uv"]:
        assert words.pop(3) == "&&"
        words = words[3:]
    match words:
        case ["uv", "run", "--all-extras", "pytest"]:
            assert shlex.join(words) in (ROOT / ".ci" / "run").read_text()
        case ["uv", "run", "--extra", extra, script, *options]:
            assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
            source = (ROOT / script).read_text()
            assert not options or f'"{options.pop()}": lambda' in source
            assert options in ([], ["--transport"])
        case ["pip", "install", package]:
            assert package == value("pyproject.toml", "name")
        case ["export", variable]:
            assert variable.partition("=")[0] == settings.API_KEY_VARIABLE
        case ["cp", sample, ".env"]:
            assert (ROOT / sample).exists()
        case ["pipecat", "cloud", "secrets", "set", name, "--file", ".env"]:
            assert name == value("examples/pcc-deploy.toml", "secret_set")
        case ["pipecat", "cloud", "agent", "delete", name]:
            assert name == value("examples/pcc-deploy.toml", "agent_name")
        case _:
            assert words == ["pipecat", "cloud", "deploy"]


def test_two_commands_need_nothing_but_pip() -> None:
    """The demo and the tests."""
    assert [words[-1] for words in commands() if words[:3] == ["pip", "install", "uv"]] == [
        "examples/demo.py",
        "pytest",
    ]


def test_old_lines_are_those_that_are_tested() -> None:
    """Each line of an old program that the README names is in a program that runs unchanged."""
    programs = (Path(__file__).parent / "test_migration.py").read_text()
    rows = table(section("## Coming from 0.1.x or 0.2.x"), "your line")
    old = [code(row[0])[0].replace("=PipelineParams(", "=params(") for row in rows]
    assert old
    assert not [line for line in old if line not in programs]
