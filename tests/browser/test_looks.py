"""The page can be read in daylight, at night and on a telephone."""

from __future__ import annotations

import pytest

from browser.bridge import WAITING_TOPIC, Kafka
from browser.sync_api import Page, expect
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress, Task

READABLE = 4.5
"""The contrast that WCAG 2.2 wants of text, level AA."""
NARROW = 400

CONTRASTS = """
() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  function rgba(color) {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  }
  const over = (top, back, a) => top.slice(0, 3).map((each, at) => each * a + back[at] * (1 - a));
  function backOf(element) {
    const above = [];
    for (let each = element; each; each = each.parentElement) above.unshift(each);
    return above.reduce((back, each) => {
      const color = rgba(getComputedStyle(each).backgroundColor);
      return over(color, back, color[3]);
    }, [255, 255, 255]);
  }
  function luminance(color) {
    const [r, g, b] = color.map((each) => each / 255).map((each) =>
      each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function opacityOf(element) {
    let all = 1;
    for (let each = element; each; each = each.parentElement) all *= getComputedStyle(each).opacity;
    return all;
  }
  const found = {};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.disabled) continue;
    const back = backOf(element);
    const color = rgba(getComputedStyle(element).color);
    const front = over(color, back, color[3] * opacityOf(element));
    const [dark, bright] = [luminance(front), luminance(back)].sort((one, other) => one - other);
    const ratio = (bright + 0.05) / (dark + 0.05);
    const name = `${element.className} ${texts.currentNode.data.trim().slice(0, 40)}`;
    found[name] = Math.min(found[name] ?? 99, ratio);
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def views(jobs: Kafka) -> list[str]:
    """Give the addresses of views in which everything occurs that has a colour."""
    task = Task("p", "a_dag_with_a_rather_long_name", "scheduled__2026-03-01T00:00:00", "a_task")
    progress = Progress(40, 60, "images")
    shown = [jobs.submit("images.thumbnail", task=task, topic=WAITING_TOPIC) for _ in range(6)]
    for job, state in zip(shown, list(JobState)[:6], strict=False):
        jobs.report(job, JobState.ACCEPTED, worker_id=f"a-worker-{'x' * 60}")
        error = JobFailure("disk_full", "No space left", retryable=True, details="Traceback: …")
        jobs.report(
            job,
            state,
            sequence=1,
            progress=progress,
            message="reading",
            error=error if state is JobState.FAILED else None,
        )
        jobs.report(job, JobState.RUNNING, sequence=2, message="x" * 300)
    jobs.bury("unreadable")
    lists = ["queues", "jobs&q=images", "workers", "dead-letters", "jobs&q=nothing"]
    return [*(f"?view={each}" for each in lists), *(f"?job={each}" for each in shown)]


def show(page: Page, address: str) -> None:
    """Open a view and wait until it is there."""
    page.goto(address)
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator("main :is(.row, dl, .hint:visible)").first).to_be_visible()
    expect(page.get_by_text("Loading …")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast(
    page: Page, address: str, views: list[str], scheme: str
) -> None:
    """In both colour schemes, for every text of every view."""
    page.emulate_media(color_scheme=scheme)
    for view in views:
        show(page, address + view)
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 5
        assert {name: each for name, each in contrasts.items() if each < READABLE} == {}, view


def test_system_chooses_light_or_dark(page: Page, address: str) -> None:
    """The page follows the setting of the visitor's system."""
    page.goto(address)
    brightness = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0]"
    page.emulate_media(color_scheme="light")
    assert int(page.evaluate(brightness)) > 200
    page.emulate_media(color_scheme="dark")
    assert int(page.evaluate(brightness)) < 60


def test_narrow_screen_needs_no_horizontal_scrolling(
    page: Page, address: str, views: list[str]
) -> None:
    """Neither the page nor a list is wider than the screen."""
    page.set_viewport_size({"width": NARROW, "height": 800})
    for view in views:
        show(page, address + view)
        too_wide = page.evaluate(
            "() => [document.documentElement, ...document.querySelectorAll('main, .rows')]"
            ".filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.tagName)"
        )
        assert too_wide == [], view
