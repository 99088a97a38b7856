"""The pages in a real browser: Chromium, headless. Skipped only where no Chromium can be had."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.plan.selection import known_k8s
from conformance.plan.sidecars import REGISTRY
from conformance.report.page import html
from tests.forge.bundle import World, token
from tests.report.made import report
from tests.worlds import lifecycle as worlds

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome")
                 if (found := shutil.which(name))), "")  # fmt: skip
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed (apt: chromium)")
ALL = "start.order stop.order stop.no-plaintext stop.app-egress inbound.bypass start.no-plaintext"
CELL = "1.33-envoy-native-init-rules-lifecycle"
Sized = tuple[str, int, int]
SIZES: list[Sized] = [("light", 1280, 900), ("dark", 1280, 900), ("light", 390, 844)]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a run with a leak in its native cell."""
    results = tmp_path_factory.mktemp("run")
    world: World = worlds.lifecycle("native")
    world.leak(12.0, token("drain", 999))
    made = report(results, (world, "native", ALL), (worlds.lifecycle("classic"), "classic", ALL))
    # Of a run of many sidecars: the command that runs it again is wider than any screen.
    made["run"]["options"] = {"k8s": list(known_k8s()), "sidecars": list(REGISTRY)}
    html.write(results, made)
    return results


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # Root, as in a CI container, has no sandbox; the pages are our own.
        one = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture(params=SIZES, ids=lambda one: f"{one[0]}-{one[1]}")
def page(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    """A page of each kind of screen; whatever its console says against it fails the test."""
    scheme, width, height = request.param
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": height}, has_touch=width < 600
    )
    one = context.new_page()
    errors: list[str] = []
    one.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    one.on("pageerror", lambda error: errors.append(str(error)))
    yield one
    context.close()
    assert not errors


def opened(page: Any, file: Path, fragment: str = "") -> None:
    page.goto(f"{file.as_uri()}{'#' * bool(fragment)}{fragment}")
    if file.parent.name == "cells":
        page.wait_for_selector("#chart[data-ready=yes]")


def view(page: Any) -> tuple[int, int]:
    begin, end = page.get_attribute("#chart", "data-view").split()
    return int(begin), int(end)


def settled(page: Any) -> tuple[int, int]:
    """The view, when it has been drawn."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    return view(page)


def test_a_failures_link_opens_its_trace_at_the_failure(page: Any, pages: Path) -> None:
    opened(page, pages / "report.html")
    assert page.inner_text("#decision .word").startswith("Not safe: ")
    page.click(f'article a[href="cells/{CELL}.html#stop.no-plaintext"] >> nth=0')
    page.wait_for_selector("#chart[data-ready=yes]")
    assert page.url.endswith(f"cells/{CELL}.html#stop.no-plaintext")
    assert "stop.no-plaintext" in page.inner_text("li.v.chosen")
    assert "drain.subject" in page.inner_text("#detail pre.frame")
    assert "tshark -r evidence/" in page.inner_text("#detail .command")
    assert len(page.inner_text("#detail pre.log").splitlines()) == 20
    assert page.locator("#chart g.fail .bracket").count() == 2


def test_nothing_is_wider_than_the_screen(page: Any, pages: Path) -> None:
    for name in ("report.html", "article.html", f"cells/{CELL}.html"):
        opened(page, pages / name)
        wide, screen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= screen, name


def test_text_can_be_read_on_its_ground(page: Any, pages: Path) -> None:
    """WCAG 2, 1.4.3: a contrast of 4.5 for text; letters in squares are bold, and meant by it."""
    measure = """() => {
      const shade = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(c => {
        c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; });
        return .2126 * r + .7152 * g + .0722 * b; };
      const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (!/^rgba.*, 0\\)$/.test(c)) return c; } return getComputedStyle(document.body).backgroundColor; };
      const bad = [];
      for (const e of document.querySelectorAll("p, td, th, a, li, h1, h2, h3, .sq, summary, button")) {
        if (!e.textContent.trim() || !e.getClientRects().length) continue;
        const [a, b] = [shade(getComputedStyle(e).color), shade(ground(e))].sort((x, y) => y - x);
        const seen = (a + .05) / (b + .05);
        if (seen < (e.classList.contains("sq") ? 3 : 4.5)) bad.push(e.className + " " + e.textContent.slice(0, 30) + " " + seen.toFixed(1));
      }
      return bad; }"""  # noqa: E501
    for name in ("report.html", f"cells/{CELL}.html"):
        opened(page, pages / name)
        assert page.evaluate(measure) == [], name


def test_wheel_keys_buttons_and_drag_move_the_view(page: Any, pages: Path) -> None:
    opened(page, pages / f"cells/{CELL}.html")
    whole = settled(page)
    span = whole[1] - whole[0]
    chart = page.locator("#chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60)
    page.mouse.wheel(0, -300)
    closer = settled(page)
    assert closer[1] - closer[0] < span
    chart.focus()
    page.keyboard.press("+")
    closest = settled(page)
    assert closest[1] - closest[0] < closer[1] - closer[0]
    page.keyboard.press("ArrowRight")
    assert settled(page)[0] > closest[0]
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 60, steps=4)
    page.mouse.up()
    assert settled(page)[0] > closest[0]
    page.click("#out")
    page.click("#fit")
    assert settled(page) == whole
    chart.focus()
    page.keyboard.press("n")
    page.wait_for_function("location.hash.length > 1")
    page.keyboard.press("Enter")
    assert page.inner_text("#detail h3 >> nth=0")


def test_two_fingers_zoom(page: Any, pages: Path) -> None:
    opened(page, pages / f"cells/{CELL}.html")
    before = settled(page)
    page.evaluate("""() => {
      const chart = document.getElementById("chart"), box = chart.getBoundingClientRect();
      const say = (type, id, x) => chart.dispatchEvent(new PointerEvent(type, {pointerId: id,
        clientX: box.left + x, clientY: box.top + 50, bubbles: true, pointerType: "touch"}));
      chart.setPointerCapture = () => {};
      say("pointerdown", 1, 150); say("pointerdown", 2, 200);
      for (const x of [220, 250, 280]) say("pointermove", 2, x);
      say("pointerup", 1, 150); say("pointerup", 2, 280); }""")
    after = settled(page)
    assert after[1] - after[0] < before[1] - before[0]


def test_a_request_is_followed_through_its_lanes(page: Any, pages: Path) -> None:
    opened(page, pages / f"cells/{CELL}.html")
    at = page.evaluate("""() => {
      const chart = document.getElementById("chart");
      const i = chart.marks.findIndex(run => run[0].lane.name === "app sends" && run.length === 1);
      return i; }""")
    if at < 0:  # on a small screen they all stand too close: closer, as a user would
        for _ in range(12):
            page.click("#in")
        settled(page)
        at = page.evaluate(
            """() => document.getElementById("chart").marks.findIndex(
              run => run[0].token && run.length === 1 && !run[0].tick)"""
        )
    page.dispatch_event(f'#chart rect[data-i="{at}"]', "click")
    way = page.inner_text("#detail")
    assert "The request's way: cny." in way and "app sends" in way and "proxy out" in way
    settled(page)  # the chart is drawn in the next frame
    assert page.locator("#chart rect.joined").count() >= 1


def test_what_a_page_says_without_scripts_is_enough_to_go_on(browser: Any, pages: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((pages / f"cells/{CELL}.html").as_uri())
    text = page.inner_text("main")
    assert "sidecar-conformance judge evidence/" in text and "tshark -r" in text
    assert "ui.perfetto.dev" in text
    context.close()
