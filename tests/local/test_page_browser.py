"""The page in a real browser: what a person sees, hears and can do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Locator, expect

from pipecat_roark.local.export import export
from support import pages
from support.pages import TALK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, ViewportSize

    from pipecat_roark.local import ThreadedRoark

pytestmark = pytest.mark.process

CALL = "SmallWebRTC#0"
AXE = (Path(__file__).parent / "vendor" / "axe.js").read_text()
INK = """
() => {
  const root = document.querySelector(".canvas > div").shadowRoot;
  return [...root.querySelectorAll(".canvases > div")].map((lane) => {
    const columns = [];
    for (const canvas of lane.querySelectorAll("canvas")) {
      const { width, height } = canvas;
      const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
      for (let x = 0; x < width; x++) {
        let ink = 0;
        for (let y = 0; y < height; y++) ink += data[4 * (y * width + x) + 3] > 0;
        columns.push(ink / height);
      }
    }
    return columns;
  });
}
"""
"""For each lane, how much of each column of pixels is drawn on."""
SOUGHT = """
window.sought = [];
const { get, set } = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "currentTime");
const note = function (seconds) { window.sought.push(seconds); set.call(this, seconds); };
Object.defineProperty(HTMLMediaElement.prototype, "currentTime", { get, set: note });
"""
"""Notes to which places the audio jumps, in seconds."""


@pytest.fixture
def http(roark: ThreadedRoark) -> Iterator[httpx.Client]:
    """Send requests as a bot does."""
    with httpx.Client(base_url=roark.url) as http:
        yield http


def place(roark: ThreadedRoark, name: str = quote(CALL, safe="")) -> str:
    """Return the address of a call's page."""
    return f"{roark.url}/#/call/{quote(name, safe='')}"


def show(page: Page, roark: ThreadedRoark) -> None:
    """Open the call's page, and wait until the waveforms are drawn."""
    page.goto(place(roark))
    drawn(page)


def drawn(page: Page) -> None:
    """Wait until each turn is a span in the waveforms."""
    expect(page.locator(".canvas [part~=region]")).to_have_count(len(TALK))
    expect(page.locator(".canvas [part~=marker]")).to_have_count(2)  # a tool, an interruption


def shown_secs(page: Page) -> float:
    """Return the place at which the recording is, as the page shows it, in seconds."""
    minutes, seconds = page.inner_text(".time").partition(" / ")[0].split(":")
    return 60 * int(minutes) + float(seconds)


def test_waveforms_have_ink_where_somebody_speaks(
    page: Page, roark: ThreadedRoark, http: httpx.Client
) -> None:
    """The user's lane is inked where the user speaks, the agent's where the agent does."""
    pages.send_call(http, CALL)
    show(page, roark)
    lanes = page.evaluate(INK)
    assert len(lanes) == 2
    for role, begin, end, _ in TALK:
        own, other = lanes if role == "user" else reversed(lanes)
        first, last = (round(edge / 25 * len(own)) for edge in (begin + 0.2, end - 0.2))
        assert max(own[first:last]) > 0.5, (role, begin)
        if begin not in {14.0, 19.2}:  # these two overlap
            assert max(other[first:last]) < 0.1, (role, begin)


def test_click_on_a_line_plays_from_there(
    page: Page, roark: ThreadedRoark, http: httpx.Client
) -> None:
    """The audio runs from the turn's begin, and the spoken line is lit."""
    pages.send_call(http, CALL)
    show(page, roark)
    page.get_by_text("Great, tell me the history of the city.").click()
    lit = page.locator(".turn.lit")
    expect(lit).to_have_text(re.compile("Great, tell me"))
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    begun = shown_secs(page)
    assert 10.9 <= begun < 13.2
    expect(page.locator(".time")).to_have_text(re.compile(r"0:11\.[5-9]|0:1[23]"))
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_click_on_a_word_plays_it(page: Page, roark: ThreadedRoark, http: httpx.Client) -> None:
    """The audio runs from the word on, or from a little before it if its place is estimated."""
    page.add_init_script(SOUGHT)
    pages.send_call(http, CALL)
    content, begins = TALK[4][3], range(14_000, 19_500, 500)
    words = [
        [word, begin, begin + 500, error]
        for word, begin, error in zip(content.split(), begins, [50] * 6 + [900] * 5, strict=True)
    ]
    known = {"role": "assistant", "content": content, "start_ms": 14_000, "words": words}
    known["interrupted"] = True
    (roark.calls[CALL].folder / "report.json").write_text(json.dumps({"turns": [known]}))
    show(page, roark)
    line = page.locator(".turn", has_text="London was founded")
    expect(line.locator(".words")).to_have_text(content)
    for text, begin in [("Romans", 16.45), ("thousand", 17.5)]:
        line.get_by_text(text, exact=True).click()
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        assert page.evaluate("window.sought.at(-1)") == begin


def test_keys_move_through_a_call(page: Page, roark: ThreadedRoark, http: httpx.Client) -> None:
    """Letters go from turn to turn, arrows by five seconds, and space plays."""
    pages.send_call(http, CALL)
    show(page, roark)
    time = page.locator(".time")
    for key, shown in [("j", "0:00.6"), ("j", "0:04.2"), ("j", "0:07.5"), ("k", "0:04.2")]:
        page.keyboard.press(key)
        expect(time).to_have_text(f"{shown} / 0:25.0")
    expect(page.locator(".line:focus")).to_have_text(re.compile("Hello, what is"))
    for key, shown in [("ArrowRight", "0:09.2"), ("ArrowLeft", "0:04.2"), ("ArrowLeft", "0:00.0")]:
        page.keyboard.press(key)
        expect(time).to_have_text(f"{shown} / 0:25.0")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_transcript_tells_what_happened(
    page: Page, roark: ThreadedRoark, http: httpx.Client
) -> None:
    """Response times, interruptions, unheard words and tool calls stand where they happened."""
    pages.send_call(http, CALL)
    unheard = {"role": "assistant", "content": TALK[4][3], "start_ms": 14_000}
    stage = {"owner": "model", "kind": "service", "end_ms": 14_000}
    latency = [
        {**stage, "key": "endpointing_wait", "start_ms": 13_200, "end_ms": 13_500},
        {**stage, "key": "llm_inference", "start_ms": 13_500},
    ]
    told = {**unheard, "interrupted": True, "unheard": "It had a bridge.", "latency": latency}
    report = {"turns": [told]}
    (roark.calls[CALL].folder / "report.json").write_text(json.dumps(report))
    show(page, roark)
    lines = page.locator(".transcript > li")
    expect(lines).to_have_count(8)
    expect(lines.nth(3).locator(".chip")).to_have_text("1.20 s")
    cut = lines.nth(5)
    expect(cut.locator(".chip.bad")).to_have_text("cut off")
    expect(cut.locator("del")).to_have_text("It had a bridge.")
    why = cut.get_by_role("img", include_hidden=True)
    expect(why).to_have_attribute(
        "aria-label",
        "The answer took 0.30 s endpointing wait (model), 0.50 s llm inference (model)",
    )
    parts = why.locator(".stage")
    expect(parts).to_have_count(2)
    widths = [box["width"] for box in map(Locator.bounding_box, parts.all()) if box]
    assert widths[1] / widths[0] == pytest.approx(5 / 3, rel=0.1)
    expect(page.locator(".kind")).to_have_text(["service", "setting", "bot", "pipeline"])
    expect(lines.nth(3).locator(".stages")).to_have_count(0)
    tool = lines.nth(2)
    expect(tool.locator("pre").first).to_be_hidden()
    tool.locator("summary").click()
    expect(tool.locator("pre").first).to_have_text('{\n  "city": "London"\n}')
    expect(page.locator(".figures")).to_have_text(re.compile(r"Median\s*0\.90 s\s*Worst\s*1\.20 s"))
    expect(page.locator(".findings .good")).to_have_count(5)


def test_wiring_and_problems_are_told(page: Page, roark: ThreadedRoark, http: httpx.Client) -> None:
    """What is wrong stands beside the call: problems of requests, and of the bot's wiring."""
    bad = {**pages.started(CALL), "mood": "good"}
    http.post(pages.EVENTS, json=bad, headers=pages.KEYS)
    pages.send_call(http, CALL, callStartedAt=pages.at(3))
    show(page, roark)
    expect(page.locator(".head .chip")).to_have_text("1 problem")
    expect(page.locator(".findings .bad")).to_have_text(re.compile("'mood': unknown field"))
    expect(page.locator(".findings .slow")).to_have_text(re.compile("speaking to nobody for 3.0 s"))


def test_exact_requests_are_there(page: Page, roark: ThreadedRoark, http: httpx.Client) -> None:
    """Each request of the call is listed with its body, and none with its key."""
    pages.send_call(http, CALL)
    show(page, roark)
    page.get_by_text("The exact requests").click()
    rows = page.locator(".request")
    expect(rows).to_have_count(2 + 2 * len([*pages.chunks(pages.recording())]))
    rows.first.locator("summary").click()
    expect(rows.first.locator("pre")).to_have_text(re.compile('"agentName": "City guide"'))
    assert "Bearer" not in page.content()


def test_a_running_call_grows(page: Page, roark: ThreadedRoark, http: httpx.Client) -> None:
    """Audio appears as it comes, can be heard, and the words follow with the end."""
    parts = [*pages.chunks(pages.recording())]
    pages.send_event(http, pages.started(CALL))
    page.goto(roark.url)
    page.locator("a.row", has_text="Live").click()
    expect(page.get_by_text("There is no audio yet.")).to_be_visible()
    slider = page.get_by_role("slider", name="Place in the recording")
    lengths = [0.0]
    for index in range(3):
        pages.send_chunk(http, CALL, index, parts[index])
        expect(slider).not_to_have_attribute("aria-valuemax", f"{lengths[-1]:.0f}")
        lengths.append(float(slider.get_attribute("aria-valuemax") or 0))
    assert lengths == sorted(lengths)
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    for index in range(3, len(parts)):
        pages.send_chunk(http, CALL, index, parts[index])
    pages.send_event(http, pages.ended(CALL))
    expect(page.locator(".head .chip")).to_have_text("Whole")
    expect(page.locator(".turn")).to_have_count(len(TALK))
    drawn(page)
    assert float(slider.get_attribute("aria-valuemax") or 0) == 25


def test_the_list_has_running_calls_first(
    page: Page, roark: ThreadedRoark, http: httpx.Client
) -> None:
    """Calls appear in the list as they begin and end, and keys open one."""
    page.goto(roark.url)
    expect(page.get_by_text("No calls yet")).to_be_visible()
    pages.send_call(http, CALL)
    rows = page.locator("a.row")
    expect(rows).to_have_text([re.compile("Whole")])
    pages.send_event(http, pages.started("call-2"))
    expect(rows).to_have_text([re.compile("call-2.*Live", re.DOTALL), re.compile("Whole")])
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="City guide")).to_be_visible()
    assert page.url == place(roark)


EVIL = '<script>window.harm = 1</script><img src=x onerror="window.harm = 1">'


def test_markup_in_a_call_stays_text(page: Page, roark: ThreadedRoark, http: httpx.Client) -> None:
    """Whatever a caller says, a model makes up or an id holds is shown as it is."""
    talk = [(role, begin, end, EVIL) for role, begin, end, _ in TALK]
    tool = next(pages.tool_records([(EVIL, EVIL, EVIL, 1, 2)]))
    pages.send_event(http, pages.started(EVIL, agentName=EVIL, agentPrompt=EVIL))
    pages.send_chunk(http, EVIL, 0, pages.recording())
    pages.send_event(http, pages.ended(EVIL, talk, toolCalls=[tool], callEndedReason=EVIL))
    page.goto(roark.url)
    page.locator("a.row", has_text=EVIL).click()
    drawn(page)
    expect(page.locator(".words", has_text=EVIL)).to_have_count(8)
    page.locator(".tool summary").click()
    page.get_by_text("The exact requests").click()
    expect(page.locator(".request")).to_have_count(4)
    assert page.evaluate("window.harm") is None
    assert page.locator("main script, main img").count() == 0


@pytest.mark.parametrize("with_audio", [True, False])
def test_saved_call_needs_no_server(
    page: Page, roark: ThreadedRoark, http: httpx.Client, tmp_path: Path, *, with_audio: bool
) -> None:
    """A call as one file shows and plays the same, loads nothing, and its text stays text."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    if with_audio:
        pages.send_call(http, EVIL, [*pages.TALK[:6], ("assistant", 22.3, 24.1, EVIL)])
    else:
        pages.send_event(http, pages.started(EVIL))
        pages.send_event(http, pages.ended(EVIL, [("user", 1, 2, EVIL)]))
        (roark.calls[EVIL].folder / "requests.jsonl").unlink()
    file = tmp_path / "call.html"
    export(roark.calls[EVIL], file)
    page.goto(file.as_uri())
    expect(page.locator(".words", has_text=EVIL)).to_have_count(1)
    page.get_by_text("The exact requests").click()
    if with_audio:
        drawn(page)
        page.locator(".turn", has_text="Great, tell me the history of the city.").click()
        expect(page.locator(".turn.lit")).to_have_text(re.compile("Great, tell me"))
        expect(page.locator(".request")).to_have_count(22)
    else:
        expect(page.get_by_text("They were not kept.")).to_be_visible()
    assert page.evaluate("window.harm") is None
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]


def test_no_request_leaves_the_machine(
    page: Page, roark: ThreadedRoark, http: httpx.Client
) -> None:
    """Everything that the page loads comes from its own server."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    pages.send_call(http, CALL)
    page.goto(roark.url)
    page.locator("a.row").click()
    drawn(page)
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert any("/audio" in url for url in asked)
    assert not [url for url in asked if not url.startswith(f"{roark.url}/")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_everybody_can_use_it(
    browser: Browser, roark: ThreadedRoark, http: httpx.Client, width: int, scheme: Any
) -> None:
    """No serious fault for screen readers or weak eyes, and nothing is wider than the screen."""
    pages.send_call(http, CALL)
    pages.send_event(http, pages.started("call-2"))
    size: ViewportSize = {"width": width, "height": 800}
    # The checker brings a style of its own, which the page's policy would block.
    page = browser.new_page(viewport=size, color_scheme=scheme, bypass_csp=True)
    for address, awaited in [(roark.url, "a.row >> nth=1"), (place(roark), ".turn >> nth=6")]:
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_selector(awaited)
        for summary in page.locator("summary").all():
            summary.click()
        page.evaluate(AXE)
        faults = page.evaluate("axe.run()")["violations"]
        found = {fault["id"]: [node["html"] for node in fault["nodes"]] for fault in faults}
        serious = [fault["id"] for fault in faults if fault["impact"] in {"serious", "critical"}]
        assert not serious, found
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
