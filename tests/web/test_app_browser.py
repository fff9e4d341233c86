"""The page in a real browser: open a sound, listen live, reload, on a phone."""

from __future__ import annotations

import csv
import functools
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest
from app_helpers import ANSWERED, DESK, PHONE, PRESSED, SETTLED, app_of, opened, serving

from semisonic.models.model_file import load, save

pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")


@pytest.fixture
def page(app_browser, app_address) -> Iterator[Any]:
    """A page whose errors fail the test."""
    yield from opened(app_browser, app_address, DESK)


def test_a_dropped_sound_is_shown_played_and_saved(page, app_folder, tmp_path) -> None:
    page.set_input_files("input[type=file]", app_folder / "site" / "hum.wav")
    page.get_by_role("heading", name="hum.wav").wait_for()
    page.locator(".bars div").first.wait_for()
    page.locator(".threshold input").fill("0.3")
    page.locator(".events tbody tr").first.wait_for()
    drawn = page.wait_for_function(
        """() => { const canvas = document.querySelectorAll('.stage canvas')[1];
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const seen = new Set(); for (let i = 0; i < data.length; i += 404) seen.add(data[i + 1]);
        return seen.size > 20; }"""
    )
    assert drawn
    with page.expect_download() as saved:
        page.get_by_role("link", name="Raven").click()
    saved.value.save_as(tmp_path / "table.txt")
    assert "Begin Time (s)" in (tmp_path / "table.txt").read_text(encoding="utf-8")

    page.locator(".stage").focus()
    page.keyboard.press("+")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    before = page.locator(".bar .num").inner_text()
    page.wait_for_function(
        "before => document.querySelector('.bar .num').innerText !== before", arg=before
    )
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play", exact=True).first.wait_for()


DROP = """async (files) => { const data = new DataTransfer();
for (const [name, content] of files)
  data.items.add(new File([Uint8Array.from(content)], name, { type: "audio/wav" }));
document.querySelector("h1").dispatchEvent(
  new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })); }"""
HEARD = """() => document.querySelector('.events tbody, .events p, .note')
&& !document.querySelector('.drop progress:not([hidden]), .try > div > progress:not([hidden])')"""


def test_several_sounds_are_dropped_anywhere_and_gone_through_by_keys(page, app_folder) -> None:
    def with_room_for_three(route: Any) -> None:
        route.fulfill(json={**route.fetch().json(), "max_open": 3})

    page.route("**/api/state", with_room_for_three)
    page.reload()
    wave = [*(app_folder / "hiss.wav").read_bytes()]
    page.locator(".drop").wait_for()
    files = [["a.wav", wave], ["b.wav", wave], ["odd.wav", [1, 2, 3]], ["c.wav", wave]]
    page.evaluate(DROP, files)
    page.get_by_role("heading", name="a.wav").wait_for()
    page.get_by_text("1 more: only 3 sounds can be open").first.wait_for()
    page.wait_for_function(HEARD)
    page.locator(".threshold input").fill("0.3")
    page.keyboard.press("n")
    page.get_by_role("heading", name="b.wav").wait_for()
    page.wait_for_function(HEARD)
    assert page.locator(".threshold output").inner_text() == "30\u00a0%"
    page.keyboard.press("n")
    page.get_by_text("This sound cannot be used").wait_for()
    assert page.get_by_role("button", name="Next").is_disabled()
    page.keyboard.press("p")
    page.get_by_role("heading", name="b.wav").wait_for()
    page.wait_for_function(HEARD)
    page.keyboard.press("Space")  # the picture has the keys
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_role("button", name="Close this sound").click()
    page.get_by_role("heading", name="odd.wav").wait_for()

    page.get_by_role("button", name="hiss.wav").last.click()  # from here on through the folder
    page.get_by_role("heading", name="hiss.wav").wait_for()
    page.wait_for_function(HEARD)
    page.keyboard.press("n")
    page.get_by_role("heading", name="site/hum.wav").wait_for()
    page.wait_for_function(HEARD)
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Close all").click()
    page.get_by_role("heading", name="site/hum.wav").wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Close all").click()
    page.get_by_role("heading", name="What is there to hear?").wait_for()
    assert not page.get_by_role("button", name="Close all").is_visible()


def test_a_segment_is_chosen_with_the_mouse(page) -> None:
    page.get_by_role("button", name="hiss.wav").first.click()
    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 80, steps=4)
    page.mouse.up()
    assert "selected 0:00.50 – 0:01.50" in page.locator(".bar .num").inner_text()
    page.keyboard.press("Escape")
    assert "selected" not in page.locator(".bar .num").inner_text()


def test_a_row_of_the_table_shows_its_event_and_the_rows_in_view_are_marked(
    page, app_folder
) -> None:
    page.set_input_files("input[type=file]", app_folder / "site" / "hum.wav")
    page.locator(".threshold input").fill("0.3")
    row = page.locator(".events tbody tr").first
    row.get_by_role("button", name="Show").click()
    assert "selected" in page.locator(".bar .num").inner_text()
    assert not page.locator(".in-view").count()  # all of the recording is
    page.locator(".stage").focus()
    page.keyboard.press("+")
    page.locator(".events .in-view").first.wait_for()
    page.keyboard.press("0")
    page.locator(".events .in-view").first.wait_for(state="detached")


def test_a_finger_moves_and_draws_when_told_to(app_browser, app_address, app_folder) -> None:
    for page in opened(app_browser, app_address, PHONE, has_touch=True):
        page.set_input_files("input[type=file]", app_folder / "site" / "hum.wav")
        box = page.locator(".stage").bounding_box()
        touch = page.context.new_cdp_session(page)

        def drag(box: Any = box, touch: Any = touch) -> None:
            ways = [("touchStart", 0.2), ("touchMove", 0.4), ("touchMove", 0.7), ("touchEnd", None)]
            for kind, share in ways:
                x, y = box["x"] + (share or 0) * box["width"], box["y"] + 70 + 100 * (share or 0)
                points = [] if share is None else [{"x": x, "y": y}]
                asked = {"type": kind, "touchPoints": points}
                touch.send("Input.dispatchTouchEvent", asked)

        drag()
        assert "selected" not in page.locator(".bar .num").inner_text()
        page.get_by_role("button", name="Draw").click()
        page.locator(".stage").scroll_into_view_if_needed()
        drag(page.locator(".stage").bounding_box())
        assert re.search(r"selected .* Hz", page.locator(".bar .num").inner_text())


def test_an_app_that_does_not_answer_is_told_until_it_does(app_browser, app_address) -> None:
    context = app_browser.new_context()
    page = context.new_page()
    page.goto(f"{app_address}#/models")
    page.get_by_role("heading", name="Models and runs").wait_for()
    page.route("**/api/**", lambda route: route.abort())
    page.get_by_role("link", name="Label").click()
    told = page.get_by_role("alert")
    told.wait_for()
    assert "Start it again" in told.inner_text()
    page.unroute_all()
    told.wait_for(state="detached")
    page.locator(".labelling").wait_for()  # without another press
    context.close()


def test_speed_contrast_and_frequencies_are_set_and_remembered(page) -> None:
    page.get_by_role("button", name="site/hum.wav").first.click()
    page.get_by_role("button", name="Display").click()
    with page.expect_response("**/tile?*high_hz=1000*"):
        page.get_by_label("Highest frequency").fill("1")
        page.keyboard.press("Tab")
    brightness = """() => { const canvas = document.querySelectorAll('.stage canvas')[1];
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return data.reduce((sum, value) => sum + value); }"""
    page.evaluate(SETTLED)  # the narrower picture is drawn
    before = page.evaluate(brightness)
    page.get_by_label("Contrast").fill("100")
    page.wait_for_function(f"(before) => ({brightness})() < 0.9 * before", arg=before)
    assert page.get_by_label("Speed and pitch").locator("option").all_inner_texts() == [
        "2 times slower", "as recorded", "2 times faster", "5 times faster", "10 times faster",
    ]  # fmt: skip
    with page.expect_response("**/audio.wav?speed=0.5"):
        page.get_by_label("Speed and pitch").select_option("2 times slower")
    page.get_by_role("button", name="hiss.wav").first.click()  # the next sound is shown alike
    page.get_by_role("heading", name="hiss.wav").wait_for()
    assert page.get_by_label("Speed and pitch").input_value() == "0.5"
    assert page.get_by_label("Highest frequency").input_value() == "1"
    page.get_by_role("button", name="Reset").click()
    assert page.get_by_label("Highest frequency").input_value() == ""


def test_a_reload_in_the_middle_shows_the_same_sound(page) -> None:
    page.get_by_role("button", name="Footsteps").click()
    page.get_by_role("heading", name="footsteps.wav").wait_for()
    page.reload()
    page.get_by_role("heading", name="footsteps.wav").wait_for()
    page.locator(".viewer").wait_for()


def test_a_page_that_answers_late_does_not_replace_the_next_one(page) -> None:
    held: list[Any] = []
    page.route("**/api/runs*", lambda route: held.append(route))
    with page.expect_request("**/api/runs*"):
        page.get_by_role("link", name="Models", exact=True).click()
    page.get_by_role("link", name="Try it", exact=True).click()
    page.get_by_role("heading", name="What is there to hear?").wait_for()
    with page.expect_response("**/api/runs*"):
        held[0].continue_()
    page.evaluate("() => new Promise((done) => setTimeout(done))")  # what the answer started
    page.get_by_role("heading", name="What is there to hear?").wait_for()
    assert not page.get_by_role("heading", name="Models and runs").count()


def test_what_cannot_be_used_is_told(page, tmp_path) -> None:
    (tmp_path / "odd.wav").write_bytes(b"nothing to hear")
    page.set_input_files("input[type=file]", tmp_path / "odd.wav")
    assert "not audio" in page.locator(".note").inner_text()
    page.get_by_role("button", name="Close this sound").click()
    page.get_by_role("heading", name="odd.wav").wait_for(state="detached")


RECORD = """async (names) => {
const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
const recorder = new MediaRecorder(stream, { mimeType: 'audio/webm' }), parts = [];
const enough = new Promise((resolve) => { recorder.ondataavailable = ({ data }) => {
parts.push(data); if (parts.length === 4) recorder.stop(); }; recorder.onstop = resolve; });
recorder.start(100);
await enough;
for (const track of stream.getTracks()) track.stop();
const files = new DataTransfer();
for (const name of names) files.items.add(new File(parts, name));
files.items.add(new File(['no sound'], 'broken.wac'));
const input = document.querySelector('.drop input');
input.files = files.files;
input.dispatchEvent(new Event('change')); }"""


def test_what_the_server_does_not_read_is_decoded_by_the_browser(page) -> None:
    page.evaluate(RECORD, ["call.wac"])  # the browser looks at the content alone
    page.get_by_text("broken.wac: this browser cannot decode it either").first.wait_for()
    page.get_by_role("heading", name="call.wac.wav").wait_for()
    page.locator(".viewer").wait_for()


def test_what_a_browser_recorded_is_read_as_it_is(page) -> None:
    pytest.importorskip("av")
    page.evaluate(RECORD, ["call.webm"])
    page.get_by_role("heading", name="call.webm", exact=True).wait_for()
    page.locator(".viewer").wait_for()


def test_a_recording_is_made(page) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name=re.compile("Stop, 0:0[1-9]")).click()
    page.get_by_role("heading", name="Recording 2").wait_for()
    page.locator(".viewer").wait_for()


@pytest.mark.parametrize("how", ["another page", "hidden"])
def test_leaving_the_page_turns_the_microphone_off_and_keeps_the_take(
    app_browser, app_address, how
) -> None:
    for page in opened(app_browser, app_address, DESK):
        page.evaluate(
            """() => { const devices = navigator.mediaDevices;
            const open = devices.getUserMedia.bind(devices);
            devices.getUserMedia = async (wanted) => { const stream = await open(wanted);
            window.tracks = stream.getTracks(); return stream; } }"""
        )
        page.get_by_role("button", name="Record", exact=True).click()
        page.get_by_role("button", name=re.compile("Stop, 0:0[1-9]")).wait_for()
        assert page.evaluate("window.tracks.every((track) => track.readyState === 'live')")
        with page.expect_response("**/api/uploads*") as sent:
            if how == "hidden":
                page.evaluate(
                    """() => { Object.defineProperty(document, 'hidden', { get: () => true });
                    document.dispatchEvent(new Event('visibilitychange')); }"""
                )
            else:
                page.get_by_role("link", name="Models", exact=True).click()
        page.wait_for_function("window.tracks.every((track) => track.readyState === 'ended')")
        kept = sent.value.json()
        page.goto(f"{app_address}#/try/{kept['id']}")
        page.get_by_role("heading", name=kept["name"]).wait_for()
        page.locator(".viewer").wait_for()


def test_the_link_with_the_token_opens_from_another_site(app_browser, app_model, tmp_path) -> None:
    token = "sixteen letters!"
    link = tmp_path / "mail.html"
    served = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    app_state = app_of(model=app_model, runs=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), served) as mail:
        threading.Thread(target=mail.serve_forever, daemon=True).start()
        for address in serving(app_state, token):
            link.write_text(
                f'<a href="{address}?token={quote(token)}">Listen with me</a>', encoding="utf-8"
            )
            elsewhere = f"http://localhost:{mail.server_address[1]}/{link.name}"
            context = app_browser.new_context()
            page = context.new_page()
            page.goto(elsewhere)
            page.get_by_role("link", name="Listen with me").click()
            page.get_by_role("heading", name="What is there to hear?").wait_for()
            assert "token" not in page.url
            page.reload()
            page.get_by_role("heading", name="What is there to hear?").wait_for()
            context.close()
        mail.shutdown()


def test_live_shows_scores_and_events(page) -> None:
    page.get_by_role("link", name="Live").click()
    start = page.get_by_role("button", name="Start listening")
    start.wait_for()
    assert start.bounding_box()["y"] < 500  # right below the picture
    page.get_by_text("Rules").click()
    page.locator(".threshold input").fill("0.2")
    page.get_by_role("button", name="Start listening").click()
    page.locator(".bars div").first.wait_for()
    assert "Delay" in page.locator(".meters").inner_text()
    page.locator(".feed li.on").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Start listening").wait_for()
    page.wait_for_function("() => !document.querySelector('.feed li.on')")
    page.evaluate(
        """() => { const play = HTMLMediaElement.prototype.play;
        HTMLMediaElement.prototype.play = function () {
        window.played = this; return play.call(this); }; }"""
    )
    page.get_by_role("button", name=re.compile("Play .")).first.click()
    page.wait_for_function("() => window.played?.currentTime > 0 && window.played.duration > 0.2")


def test_live_events_stay_until_they_are_saved_or_cleared(page, tmp_path) -> None:
    page.get_by_role("link", name="Live").click()
    page.get_by_text("Rules").click()
    page.locator(".threshold input").fill("0.2")
    for n in (1, 2):
        page.get_by_role("button", name="Start listening").click()
        page.locator(".feed li.on").first.wait_for()
        page.get_by_role("link", name="Models", exact=True).click()  # which ends it
        page.get_by_role("heading", name="Models and runs").wait_for()
        page.get_by_role("link", name="Live").click()
        page.wait_for_function(
            f"""() => document.querySelectorAll('.feed li button').length >= {n}
            && !document.querySelector('.feed li.on')"""
        )
    n_events = page.locator(".feed li").count()
    asks = "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.evaluate(asks)
    clear = page.get_by_role("button", name="Clear", exact=True)
    page.once("dialog", lambda dialog: dialog.dismiss())
    clear.click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert re.fullmatch(r"Live [\d-]{10} [\d-]{8}\.csv", saved.value.suggested_filename)
    saved.value.save_as(tmp_path / "live.csv")
    rows = list(csv.DictReader((tmp_path / "live.csv").open()))
    assert len(rows) == n_events
    starts = [float(row["start_time"]) for row in rows]
    assert starts == sorted(starts)
    assert starts[-1] > float(rows[0]["end_time"])  # the second listening was later
    assert not page.evaluate(asks)
    clear.click()  # without a question, as they are saved
    page.get_by_text("Events will be listed here").wait_for()


def test_the_level_is_shown_before_anything_is_recorded(page) -> None:
    page.get_by_role("button", name="Check microphone").click()
    page.wait_for_function(
        "() => document.querySelector('meter').value > 0.8"
    )  # half of full scale
    page.get_by_role("combobox", name="Microphone").select_option(index=1)
    chosen = page.evaluate("localStorage.getItem('microphone')")
    assert chosen == page.get_by_role("combobox", name="Microphone").input_value()
    page.wait_for_function("() => document.querySelector('meter').value > 0.8")
    page.get_by_role("button", name="Stop checking").click()
    assert page.evaluate("document.querySelector('meter').value") == 0


def test_a_microphone_that_gives_nothing_is_told(page) -> None:
    page.add_init_script(  # as in a browser that finds no output for sound
        """const open = AudioContext.prototype.createMediaStreamSource;
        AudioContext.prototype.createMediaStreamSource = function (stream) {
        this.suspend(); return open.call(this, stream); };"""
    )
    page.reload()
    page.get_by_role("link", name="Live").click()
    page.get_by_role("button", name="Start listening").click()
    page.get_by_text("Nothing comes from the microphone").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Start listening").wait_for()


def test_a_model_is_put_to_use(page) -> None:
    page.get_by_role("link", name="Models", exact=True).click()
    page.get_by_role("button", name="Details").first.click()
    page.get_by_text("3: hiss, hum, sweep").wait_for()
    page.get_by_role("link", name="Live").click()  # it can be left
    page.get_by_role("button", name="Start listening").wait_for()


DRAWN = """() => { window.drawn = new Set();
const fill = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
window.drawn.add(text); fill.call(this, text, ...place); }; }"""
"""Keeps the texts that canvases show."""


def test_the_class_background_and_scores_are_shown_in_one_way(
    app_browser, app_model, app_folder, tmp_path
) -> None:
    model = load(app_model)
    model.classes = names = ("background", *model.classes[1:])
    (tmp_path / "quiet").mkdir()
    save(tmp_path / "quiet" / "model.zip", model)
    app_state = app_of(model=tmp_path / "quiet" / "model.zip", runs=tmp_path)
    nothing, percents = "none of the classes", re.compile(r"\d+\s%")
    for address in serving(app_state):
        for page in opened(app_browser, address, DESK):
            page.evaluate(DRAWN)
            page.set_input_files("input[type=file]", app_folder / "site" / "hum.wav")
            page.locator(".bars", has_text=nothing).wait_for()
            page.locator(".threshold input").fill("0.3")
            score = page.locator(".events tbody td.n").first
            assert percents.fullmatch(score.inner_text())
            page.wait_for_function("(name) => window.drawn.has(name)", arg=nothing)
            rows = page.evaluate("[...window.drawn]")
            assert "background" not in rows
            assert any(percents.fullmatch(text) for text in rows)
            with page.expect_download() as saved:  # as the commands call it
                page.get_by_role("link", name="Scores").click()
            saved.value.save_as(tmp_path / "scores.csv")
            head = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()[0]
            assert head.split(",")[2:] == [*names]

            page.get_by_role("link", name="Live").click()
            page.get_by_text("Rules").click()
            page.locator(".threshold input").fill("0.2")
            page.evaluate("window.drawn.clear()")
            page.get_by_role("button", name="Start listening").click()
            page.locator(".bars", has_text=nothing).wait_for()
            page.wait_for_function("(name) => window.drawn.has(name)", arg=nothing)
            page.get_by_role("button", name="Stop").click()
            page.locator(".feed li", has_text=percents).first.wait_for()
            assert "background" not in page.evaluate("[...window.drawn]")

            page.get_by_role("link", name="Models", exact=True).click()
            page.get_by_role("button", name="Details").click()
            page.get_by_text("2: hum, sweep").wait_for()
            assert "background" not in " ".join(page.locator(".facts").all_inner_texts())


def test_help_is_of_the_page_and_its_keys_do_nothing_meanwhile(page) -> None:
    page.get_by_role("link", name="Label", exact=True).click()
    page.locator(".labelling").wait_for()
    assert not page.locator(".tour").count()  # nor is a page that a program drives disturbed
    with page.expect_response("**/api/label/next*"):
        page.keyboard.press("s")
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog")
    assert "None of the classes" in help_.inner_text()
    asked = []
    page.on("request", lambda request: asked.append(request.method))
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    help_.wait_for(state="detached")
    assert "POST" not in asked
    for link in page.locator("#pages a").all():
        link.click()
        page.get_by_role("button", name="Help").click()
        assert help_.locator("h2").inner_text() == link.inner_text()
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Help").click()
    page.get_by_role("button", name="Take the tour").click()
    while page.get_by_role("button", name="Next").count():
        assert page.locator(".pointed").count() == 1
        page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Done").click()
    assert not page.locator(".tour, .pointed").count()


def test_the_tour_is_offered_once(app_browser, app_address) -> None:
    for page in opened(app_browser, app_address, PHONE):
        page.add_init_script("Object.defineProperty(navigator, 'webdriver', { get: () => false })")
        page.reload()
        page.get_by_role("button", name="Close the tour").click()
        page.reload()
        page.get_by_role("heading", name="What is there to hear?").wait_for()
        assert not page.locator(".tour").count()


def test_light_and_dark_is_kept(page) -> None:
    page.get_by_role("button", name="Dark").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Light").click()


@pytest.mark.parametrize("name", ["try", "live", "label", "models"])
def test_pages_fit_a_phone(app_browser, app_address, name) -> None:
    for page in opened(app_browser, f"{app_address}#/{name}", PHONE, has_touch=True):
        page.locator("main h1").first.wait_for(state="attached")
        if name == "try":
            page.get_by_role("button", name="Dog bark").tap()
            page.locator(".events h2, .viewer").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        bottom = "document.querySelector('.top nav').getBoundingClientRect().bottom"
        assert page.evaluate(f"document.getElementById('said').offsetTop - {bottom}") > 0


@pytest.mark.parametrize(
    ("where", "names"), [("try", ["Dark", "Footsteps", "site/hum.wav"]), ("models", ["Details"])]
)
def test_a_press_is_answered_before_anything_is_awaited(
    app_browser, app_address, where, names
) -> None:
    for name in names:
        for page in opened(app_browser, f"{app_address}#/{where}", DESK):
            button = page.locator("button:not(:disabled)", has_text=name).first
            button.wait_for()
            assert button.evaluate(PRESSED), name
            page.wait_for_function(ANSWERED)
