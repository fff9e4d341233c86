"""Typing into the page in a real browser: a field keeps the focus, and keys in it mean text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from app_helpers import DESK, SETTLED, app_of, asked, opened, serving

from semisonic.labeling.project import Project

pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")

ALL_KEYS = "mouse_click0123456789bdfghjnpqrtvwxyz?+-"
EDITORS = """() => { const text = document.createElement('textarea');
const rich = document.createElement('div'); rich.contentEditable = 'true';
for (const [name, one] of [['Text', text], ['Rich text', rich]])
  { one.setAttribute('aria-label', name); document.querySelector('.labelling').append(one); } }"""
"""Fields of kinds that the page may have one day."""


@pytest.fixture
def page(app_browser, project) -> Iterator[Any]:
    """The page on which sounds are asked about."""
    for address in serving(app_of(project=project)):
        for found in opened(app_browser, f"{address}#/label", DESK):
            found.log = Project.open(project).log
            yield found


def held(page: Any, pattern: str) -> list[Any]:
    """Requests from now on, each of which waits until it is let go on."""
    waiting: list[Any] = []
    page.route(pattern, lambda route: waiting.append(route))
    return waiting


def let_go(page: Any, pattern: str, waiting: list[Any]) -> None:
    while not waiting:
        page.evaluate(SETTLED)
    for one in waiting:
        one.continue_()
    page.unroute(pattern)


def test_a_sound_that_opens_does_not_end_what_is_typed(page) -> None:
    first = asked(page)
    sounds = held(page, "**/api/sounds/*")
    page.keyboard.press("u")
    while not sounds:
        page.evaluate(SETTLED)
    page.keyboard.press("/")
    page.keyboard.type("mou")
    let_go(page, "**/api/sounds/*", sounds)
    asked(page, first)
    page.locator(".stage canvas").first.wait_for()
    page.evaluate(SETTLED)
    page.keyboard.type("se_click")
    field = page.get_by_label("New label")
    assert field.input_value() == "mouse_click"
    assert page.get_by_label("Note").input_value() == ""
    assert len(page.log.current()) == 1
    page.keyboard.press("Enter")
    page.locator(".answers button", has_text="mouse_click").wait_for()
    page.locator(".said.shown", has_text="mouse_click").wait_for()
    assert [one.labels for one in page.log.standing() if one.labels] == [("mouse_click",)]


@pytest.mark.parametrize(
    "name", ["Your name", "What is asked first", "New label", "Note", "Text", "Rich text"]
)
def test_keys_that_are_typed_into_a_field_do_nothing_else(page, name) -> None:
    before = asked(page)
    page.evaluate(EDITORS)
    changes: list[str] = []
    page.on("request", lambda one: one.method == "POST" and changes.append(one.url))
    field = page.get_by_label(name, exact=True)
    field.focus()
    page.keyboard.type(ALL_KEYS)
    page.evaluate(SETTLED)
    assert changes == []
    assert page.locator("dialog").count() == 0
    assert page.locator(".labelling h2").first.inner_text() == before
    assert field.evaluate("(one) => one === document.activeElement")


def test_a_choice_keeps_the_focus_while_a_sound_opens(page) -> None:
    before = asked(page)
    sounds = held(page, "**/api/sounds/*")
    page.keyboard.press("u")
    order = page.get_by_label("What is asked first")
    order.focus()
    let_go(page, "**/api/sounds/*", sounds)
    asked(page, before)
    page.locator(".stage canvas").first.wait_for()
    page.evaluate(SETTLED)
    assert order.evaluate("(one) => one === document.activeElement")


@pytest.mark.parametrize(
    ("part", "field", "title"),
    [("label", "New label", ".labelling h2"), ("label/groups", "Name of the group", ".group h2")],
)
def test_an_answer_of_another_tab_does_not_move_what_is_being_named(
    page, part, field, title
) -> None:
    other = page.context.new_page()
    for place in (page, other):
        place.goto(page.url.split("#")[0] + f"#/{part}")
        place.reload()
        place.locator(title).first.wait_for()
    if part == "label":
        assert asked(page) == asked(other)
    before = page.locator(title).first.inner_text()
    page.get_by_label(field, exact=True).focus()
    page.keyboard.type("mou")
    other.keyboard.press("0")
    other.wait_for_function(
        "([title, before]) => document.querySelector(title)?.textContent !== before",
        arg=[title, before],
    )
    page.evaluate(SETTLED)
    page.keyboard.type("se")
    assert page.get_by_label(field, exact=True).input_value() == "mouse"
    assert page.locator(title).first.inner_text() == before


def test_a_place_keeps_the_focus_while_the_search_in_it_goes_on(
    app_browser, app_model, project, tmp_path
) -> None:
    runs = {"state": "runs", "name": "sounds", "steps": [], "at": {"n": 1, "total": 9}}
    seen: list[str] = []

    def searching(route: Any) -> None:
        found = route.fetch().json()
        seen.append(route.request.url)
        route.fulfill(body=json.dumps(found | {"work": runs}), content_type="application/json")

    for address in serving(app_of(model=app_model, project=project, runs=tmp_path)):
        for page in opened(app_browser, f"{address}#/models", DESK):
            page.route(re.compile(r"/api/find(\?|$)"), searching)
            page.goto(f"{address}#/find")
            page.get_by_role("progressbar", name="Finding").wait_for()
            where = page.get_by_label("Where")
            where.focus()
            n = len(seen)
            while len(seen) < n + 2:
                page.evaluate(SETTLED)
            page.evaluate(SETTLED)
            assert where.evaluate("(one) => one === document.activeElement")
            page.unroute_all(behavior="wait")
