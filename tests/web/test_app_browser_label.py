"""Labelling in a real browser, with keys."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from app_helpers import ANSWERED, DESK, PHONE, PRESSED, SETTLED, app_of, asked, opened, serving

from semisonic.labeling.project import Project
from waiting import LONG, until

pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")

N_LISTED = "(n) => document.querySelectorAll('.wrong .list button').length === n"
IS_ASKED = """(file) => document.querySelector('.labelling h2').textContent === file
&& !document.querySelector('.actions [aria-keyshortcuts=K]').disabled"""
COVERED = """() => [...document.querySelectorAll('.answering button')].filter((one) => {
one.scrollIntoView({ block: 'center' });
const { left, top, width, height } = one.getBoundingClientRect();
const [x, y] = [left + width / 2, top + height / 2];
return width && y < innerHeight && !one.contains(document.elementFromPoint(x, y)); })
.map((one) => one.textContent)"""
"""Buttons of an answer that something else lies on."""

LIES_ON = """() => { const said = document.querySelector('.said').getBoundingClientRect();
return [...document.querySelectorAll('button, a, input, select')].filter((one) => {
const { left, right, top, bottom, width } = one.getBoundingClientRect();
return width && left < said.right && right > said.left && top < said.bottom && bottom > said.top; })
.map((one) => one.textContent) }"""
"""What can be pressed and lies below the message."""


@pytest.fixture
def page(app_browser, app_address) -> Iterator[Any]:
    yield from opened(app_browser, f"{app_address}#/label", DESK)


def answers(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}api/label", timeout=LONG) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def answers_reach(address: str, n: int) -> dict[str, Any]:
    """What the server holds once it has n answers: the page moves on before they are kept."""
    return until(lambda: found if (found := answers(address))["answers"] == n else {})


def draw(page: Any, start: float, end: float, height: float = 0) -> None:
    """Mark a part of the sound, so many pixels high; again where the page still moved."""
    for _ in range(50):
        page.locator(".stage canvas").first.wait_for()
        box = page.locator(".stage").bounding_box()
        page.mouse.move(box["x"] + box["width"] * start, box["y"] + 80)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * end, box["y"] + 80 + height, steps=4)
        page.mouse.up()
        page.evaluate(SETTLED)
        if (
            page.locator(".stage .chosen").is_visible()
            and page.locator(".stage").bounding_box() == box
        ):
            return
    pytest.fail("no part could be drawn")


def test_answers_with_keys_undo_and_reload(page, app_address) -> None:
    page.get_by_label("Your name").fill("ann")
    page.keyboard.press("Tab")
    first = asked(page)
    page.keyboard.press("/")
    page.keyboard.type("first")
    page.keyboard.press("Enter")
    second = asked(page, first)
    page.keyboard.press("1")  # the same label by its key
    third = asked(page, second)
    assert answers_reach(app_address, 2)["classes"] == ["first"]

    page.reload()  # in the middle: the same question
    assert asked(page) == third
    assert page.get_by_label("Your name").input_value() == "ann"
    page.keyboard.press("z")
    assert asked(page, third) == second
    answers_reach(app_address, 1)

    page.keyboard.press("m")  # several labels, which the project has to allow first
    page.get_by_text("Segments of this project have one label each").wait_for()
    assert answers(app_address)["several_labels"] is False
    page.get_by_role("button", name="Allow several labels").click()
    page.locator("button[aria-pressed=true]", has_text="Several labels").wait_for()
    assert answers(app_address)["several_labels"] is True
    page.keyboard.press("1")
    page.keyboard.press("/")
    page.keyboard.type("other")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save").click()
    fourth = asked(page, second)
    assert set(answers_reach(app_address, 2)["classes"]) == {"first", "other"}

    page.keyboard.press("m")
    page.keyboard.press("u")
    fifth = asked(page, fourth)
    page.keyboard.press("0")
    asked(page, fifth)
    answers_reach(app_address, 4)


def test_two_browsers_without_a_name_are_two_people(app_browser, project) -> None:
    log = Project.open(project).log
    for address in serving(app_of(project=project)):
        for one in opened(app_browser, f"{address}#/label", DESK):
            for other in opened(app_browser, f"{address}#/label", DESK):
                names = [asked(place) for place in (one, other)]
                assert names[0] != names[1]  # nobody is asked what the other one is asked
                for place, label, before in zip((one, other), ("hum", "hiss"), names, strict=True):
                    place.keyboard.press("/")
                    place.keyboard.type(label)
                    place.keyboard.press("Enter")
                    asked(place, before)
                said = {entry.file: entry for entry in log.answers()}
                assert set(said) == set(names)
                guests = [said[name].annotator for name in names]
                assert guests[0] != guests[1]
                shown = [place.get_by_label("Your name") for place in (one, other)]
                for field, guest in zip(shown, guests, strict=True):
                    assert guest in field.get_attribute("placeholder")
                now = asked(other)
                other.keyboard.press("z")
                assert asked(other, now) == names[1]
                assert [entry.file for entry in log.answers()] == [names[0]]
                one.reload()
                asked(one)
                assert guests[0] in one.get_by_label("Your name").get_attribute("placeholder")


def test_what_was_answered_in_another_tab_is_not_asked(app_browser, project) -> None:
    for address in serving(app_of(project=project)):
        for page in opened(app_browser, f"{address}#/label", DESK):
            other = page.context.new_page()
            other.goto(f"{address}#/label")
            first = asked(page)
            assert asked(other) == first  # both are of one person
            page.keyboard.press("u")
            second = asked(page, first)
            assert asked(other, first) == second
            other.keyboard.press("u")
            asked(page, second)

            for place in (page, other):
                place.goto(f"{address}#/label/groups")
                place.locator(".group h2").wait_for()
            before = page.locator(".group h2").inner_text()
            other.keyboard.press("0")
            changed = "(before) => document.querySelector('.group h2')?.textContent !== before"
            page.wait_for_function(changed, arg=before)


def test_what_is_asked_while_it_learns_gets_its_new_guesses(doubting) -> None:
    before, viewer = asked(doubting), doubting.locator(".stage").element_handle()
    doubting.route("**/api/label/next*", lambda route: same_clip(route, before))
    doubting.get_by_role("button", name="Learn from the answers").click()
    doubting.get_by_role("button", name="none of the classes 90 %").wait_for()
    assert asked(doubting) == before
    assert viewer.is_visible()  # what was chosen in it stays


def same_clip(route: Any, file: str) -> None:
    """Ask about the same clip with other guesses."""
    found = route.fetch().json()
    place = {"file": file, "start_time": 0.0, "end_time": 0.5, "why": "typical"}
    guesses = [["background", 0.9], ["hum", 0.1]]
    found["item"] |= {**place, "predictions": guesses, "hides_guess": False}
    route.fulfill(json=found)


@pytest.mark.parametrize("height", [760, 820, 900])
def test_a_message_lies_on_no_button(app_browser, doubtful, height) -> None:
    for address in serving(app_of(project=doubtful.folder)):
        for page in opened(app_browser, f"{address}#/label", {**DESK, "height": height}):
            before = asked(page)
            page.keyboard.press("s")
            page.locator(".said.shown").wait_for()
            asked(page, before)
            assert page.evaluate(LIES_ON) == []


def test_skipping_is_no_answer(doubting, doubtful) -> None:
    first = asked(doubting)
    doubting.keyboard.press("s")
    second = asked(doubting, first)
    doubting.keyboard.press("z")
    assert asked(doubting, second) == first
    doubting.keyboard.press("s")
    asked(doubting, first)
    assert len(doubtful.log.answers()) == 21


def test_what_is_said_beside_the_accuracy_is_shown_with_it(doubting) -> None:
    side = doubting.locator(".labelling > section").nth(1)
    side.get_by_text("no segment drawn at random is answered yet").wait_for()
    assert not re.search(r"\d+ of 21", side.inner_text()), "a share of what was chosen, alone"


def test_a_question_that_was_overtaken_is_not_opened_for_an_answer(page) -> None:
    asked(page)
    sounds: list[Any] = []
    questions: list[Any] = []
    page.route("**/api/sounds/*", lambda route: sounds.append(route))
    page.keyboard.press("u")  # the next question, whose sound is on its way ...
    while not sounds:
        page.evaluate(SETTLED)
    page.route("**/api/label/next*", lambda route: questions.append(route))
    order = page.get_by_label("What is asked first")
    order.select_option("random")  # ... when another one is asked for
    while not questions:
        page.evaluate(SETTLED)
    for sound in sounds:
        with page.expect_response("**/api/sounds/*"):
            sound.continue_()
    page.unroute("**/api/sounds/*")
    page.evaluate(SETTLED)
    assert page.locator(".actions [aria-keyshortcuts=U]").is_disabled()
    for question in questions:
        question.continue_()
    page.unroute("**/api/label/next*")
    assert asked(page)


def test_a_part_is_drawn_and_it_learns(page, app_address) -> None:
    page.get_by_label("Your name").fill("bob")
    page.keyboard.press("Tab")
    before = asked(page)
    draw(page, 0.2, 0.6)
    with page.expect_request("**/api/label/answers") as sent:
        page.keyboard.press("/")
        page.keyboard.type("other")
        page.keyboard.press("Enter")
    said = sent.value.post_data_json
    assert (said["start_time"], said["end_time"]) == (
        pytest.approx(0.1, abs=0.01),
        pytest.approx(0.3, abs=0.01),
    )
    event = page.locator(".marks button", has_text="other 0:00.10 – 0:00.30")
    event.wait_for()  # the clip stays, for more of them
    draw(page, 0.7, 0.9, height=80)
    with page.expect_request("**/api/label/answers") as sent:
        page.locator(".answers button", has_text="other").click()
    assert 0 < sent.value.post_data_json["fmin_hz"] < sent.value.post_data_json["fmax_hz"]
    page.locator(".marks button", has_text="other 0:00.35 – 0:00.45").wait_for()
    page.keyboard.press("Enter")
    for label in ("hiss", "hum", "sweep", "hiss", "hum", "sweep"):
        before = asked(page, before)
        assert event.count() == 0
        page.keyboard.press("/")
        page.keyboard.type(label)
        page.keyboard.press("Enter")
    asked(page, before)
    page.get_by_role("button", name="Learn from the answers").click()
    page.get_by_text("no segment drawn at random is answered yet").wait_for()
    assert page.locator(".curve").is_hidden()  # there is no point to draw
    page.get_by_role("button", name="Wrong predictions").click()
    page.get_by_text("Every prediction since").wait_for()
    page.keyboard.press("f")
    page.get_by_text("come next").wait_for()
    page.keyboard.press("1")
    page.get_by_text("Sounds like the one you chose").wait_for()


@pytest.fixture
def doubtful(project) -> Project:
    """A project in which bob answered about nearly all, twice wrongly."""
    made = Project.open(project)
    for number in range(7):
        for kind in ("hum", "hiss", "sweep"):
            said = "hiss" if (kind, number) in {("hum", 1), ("sweep", 5)} else kind
            made.log.append(f"{kind}-{number}.wav", 0.0, 0.5, said, annotator="bob")
    made.learn()
    return made


@pytest.fixture
def doubting(app_browser, doubtful) -> Iterator[Any]:
    for address in serving(app_of(project=doubtful.folder)):
        yield from opened(app_browser, f"{address}#/label", DESK)


def test_labels_are_at_hand_on_a_phone_and_nothing_lies_on_them(app_browser, doubtful) -> None:
    for address in serving(app_of(project=doubtful.folder)):
        for page in opened(app_browser, f"{address}#/label", PHONE, has_touch=True):
            before = asked(page)
            label = page.locator(".answers button").first
            box = label.bounding_box()
            assert box["y"] + box["height"] <= PHONE["height"]  # without scrolling
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            assert label.bounding_box() == box  # nor after it
            page.get_by_role("button", name="Play, pause").tap()
            label.tap()
            page.locator(".said.shown").wait_for()
            asked(page, before)
            assert page.evaluate(COVERED) == []
            page.get_by_label("New label").fill("x" * 60)
            page.keyboard.press("Enter")
            page.locator(".answers button", has_text="x" * 60).wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_letters_find_a_class_and_no_asks_what_it_is(doubting, doubtful) -> None:
    page, log = doubting, doubtful.log
    page.get_by_label("What is asked first").select_option("uncertain")
    page.get_by_text("Perhaps").wait_for()
    first = asked(page)
    guess = page.locator(".guesses [aria-keyshortcuts=Y]").inner_text().split()[0]
    page.keyboard.press("n")
    page.get_by_text(f"Not {guess}. What is it instead?").wait_for()
    assert len(log.answers()) == 21
    page.keyboard.press("/")
    page.keyboard.type("H")
    assert page.locator(".answers button").all_inner_texts() == ["hum", "hiss"]
    page.keyboard.type("UM")
    page.keyboard.press("Enter")
    page.get_by_text("differs from “hum” only in case or spaces").wait_for()
    assert len(log.answers()) == 21  # asked, not changed in silence
    page.keyboard.press("Enter")  # what is there
    second = asked(page, first)
    assert until(lambda: len(log.answers()) == 22 and log.answers()[-1].labels) == ("hum",)
    page.locator(".guesses [aria-keyshortcuts=Y]").click()
    asked(page, second)
    until(lambda: len(log.answers()) == 23)
    assert log.current().classes == ("hiss", "hum", "sweep")


def test_answers_are_found_changed_and_classes_merged(doubting, doubtful) -> None:
    page, log = doubting, doubtful.log
    log.append("hum-0.wav", 0.0, 0.5, "sweep", annotator="eve")
    page.reload()
    page.get_by_role("link", name="1 segment on which people disagree").click()
    rows = page.locator(".said-list li")
    rows.nth(1).wait_for()
    assert rows.count() == 2
    rows.filter(has_text="bob").get_by_role("button", name="Use this answer").click()
    until(lambda: not log.current().disagreements)
    page.get_by_label("only where people disagree").uncheck()
    page.get_by_label("Find in names").fill("hiss-3")
    page.get_by_text("1 of 21 answers").wait_for()
    rows.get_by_role("button", name="Change").click()
    page.get_by_label("Label; separate several").fill("sweep")
    page.keyboard.press("Enter")
    until(lambda: [one.labels for one in log.answers() if one.file == "hiss-3.wav"] == [("sweep",)])
    page.locator(".said.shown", has_text="Changed").wait_for()
    page.get_by_label("Rename sweep").click()
    page.get_by_label("New name of sweep").fill("HUM")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Use hum").click()
    page.get_by_role("button", name=re.compile(r"Merge \d+ answers")).click()
    until(lambda: log.current().classes == ("hiss", "hum"))
    page.get_by_role("button", name="Undo").click()
    until(lambda: log.current().classes == ("hiss", "hum", "sweep"))


def until_anns(project: Project, n: int) -> dict[str, Any]:
    """What ann said of what became of doubts, once there are n answers of hers."""

    def hers() -> dict[str, Any]:
        return {one.file: one for one in project.log.answers() if one.annotator == "ann"}

    until(lambda: len(hers()) == n)
    return {file: one.more["review"] for file, one in hers().items()}


def test_suspicious_labels_are_kept_or_changed(doubting, doubtful) -> None:
    page, found = doubting, [one.file for one in doubtful.label_issues()]
    assert len(found) >= 2
    page.get_by_label("Your name").fill("ann")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Suspicious labels").click()
    page.locator(".wrong .list button").first.click()
    page.wait_for_function(IS_ASKED, arg=found[0])
    page.keyboard.press("y")  # what the others say
    page.wait_for_function(IS_ASKED, arg=found[1])
    page.keyboard.press("k")
    assert until_anns(doubtful, 2) == {found[0]: "changed", found[1]: "kept"}
    of_bob = [one.file for one in doubtful.log.answers() if one.annotator == "bob"]
    assert found[0] not in of_bob
    assert found[1] in of_bob
    page.keyboard.press("z")
    assert until_anns(doubtful, 1) == {found[0]: "changed"}
    page.keyboard.press("z")
    until_anns(doubtful, 0)
    page.wait_for_function(N_LISTED, arg=len(found))
    assert len(doubtful.log.answers()) == 21


def test_none_of_the_classes_is_an_answer_and_no_class(doubting, doubtful) -> None:
    """Whether the model guesses it, or the answer was it."""
    page, nothing = doubting, "none of the classes"
    page.route("**/api/label/next*", lambda route: guessing(route, "background"))
    page.reload()
    page.get_by_role("button", name=f"{nothing} 90 %").wait_for()
    assert page.locator(".answers", has_text="background").count() == 0
    first = asked(page)
    page.keyboard.press("n")
    page.get_by_text("What is it?", exact=True).first.wait_for()
    page.get_by_role("button", name="hum 10 %").wait_for()
    page.get_by_role("button", name="Skip").click()
    second = asked(page, first)
    page.keyboard.press("y")
    asked(page, second)
    said = doubtful.log.answers()[-1]
    assert (said.file, said.labels, said.presence) == (second, (), "negative")

    doubt = {"file": "hum-0.wav", "start_time": 0.0, "end_time": 0.5, "labels": ["background"]}
    doubt |= {"score": 0.1, "suggested": ["hum"], "suggested_score": 0.9}
    page.route("**/api/label/issues", lambda route: route.fulfill(json={"rows": [doubt]}))
    page.get_by_role("button", name="Suspicious labels").click()
    page.locator(".wrong .list button", has_text=nothing).click()
    page.get_by_text(f"Labelled {nothing}").wait_for()
    asked(page)
    page.keyboard.press("k")
    page.get_by_text(f"Kept: {nothing}").wait_for()
    said = doubtful.log.answers()[-1]
    assert (said.file, said.labels, said.presence) == ("hum-0.wav", (), "negative")
    page.get_by_role("button", name="Undo").click()
    page.get_by_text(f"Undone: {nothing}").wait_for()


def guessing(route: Any, name: str) -> None:
    """Give the next question as it would come from a model that guesses this."""
    found = route.fetch().json()
    if found["item"]:
        found["item"] |= {"predictions": [[name, 0.9], ["hum", 0.1]], "hides_guess": False}
    route.fulfill(json=found)


def test_the_end_is_told_and_the_last_answer_can_be_taken_back(doubting) -> None:
    page, before = doubting, ""
    for _ in range(3):
        before = asked(page, before)
        page.keyboard.press("1")
    page.get_by_role("heading", name="Everything is answered").wait_for()
    assert page.get_by_role("button", name="Unsure").is_disabled()
    page.get_by_role("button", name="Undo").click()
    assert asked(page, "Everything is answered") == before


def test_what_needs_a_classifier_is_offered_once_there_is_one(
    app_browser, app_project, doubting, tmp_path
) -> None:
    shutil.copytree(app_project.parent, tmp_path / "new")
    app_state = app_of(project=tmp_path / "new" / app_project.name)
    for address in serving(app_state):
        for new in opened(app_browser, f"{address}#/label", DESK):
            for place, is_off in ((new, True), (doubting, False)):
                asked(place)
                one = place.locator("option", has_text="Least certain first").element_handle()
                place.wait_for_function("([one, off]) => one.disabled === off", arg=[one, is_off])


def test_a_press_is_answered_before_anything_is_awaited(doubting) -> None:
    names = (
        "More like this",
        "Several labels",
        "Unsure",
        "Undo",
        "Suspicious labels",
        "Learn from the answers",
    )
    for name in names:
        asked(doubting)
        button = doubting.locator("button:not(:disabled)", has_text=name).first
        button.wait_for()
        assert button.evaluate(PRESSED), name
        doubting.wait_for_function(ANSWERED)
    doubting.get_by_role("button", name="Learn from the answers").wait_for()


@pytest.mark.parametrize(
    ("where", "shown"), [("label", ".stage canvas"), ("label/groups", ".thumb:enabled")]
)
def test_a_folder_that_is_unplugged_is_told_and_the_page_goes_on_by_itself(
    app_browser, project, where, shown
) -> None:
    folder = project.parent / "recordings"
    away = folder.rename(folder.with_name("away"))
    for address in serving(app_of(project=project)):
        for page in opened(app_browser, f"{address}#/{where}", DESK):
            page.get_by_text("its folder is not there any more").first.wait_for()
            assert not page.locator(shown).count()
            if where == "label":
                page.get_by_text("Is its disk connected?").wait_for()
                assert page.locator(".actions [aria-keyshortcuts=U]").is_disabled()
            away.rename(folder)
            page.locator(shown).first.wait_for()
            page.get_by_text("its folder is not there any more").first.wait_for(state="hidden")
            if where == "label":
                page.get_by_label("New label").fill(asked(page).partition("-")[0])
                page.keyboard.press("Enter")
                answers_reach(address, 1)
