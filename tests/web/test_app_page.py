"""The page's files: small, from here alone, and readable in light and dark."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from app_helpers import wait_for

from semisonic.web.application import NAME, theme

STATIC = files("semisonic.web") / "static"
NAMES = sorted([*(file.name for file in STATIC.iterdir()), NAME])
TEXTS = {name: (STATIC / name).read_text(encoding="utf-8") for name in NAMES if name != NAME}
TEXTS[NAME] = theme()
MOST_BYTES = 300_000
FURTHEST = re.compile(r"https?://(?!www\.w3\.org)")


def test_the_page_is_light() -> None:
    assert sum(len(text.encode()) for text in TEXTS.values()) < MOST_BYTES


def test_nothing_comes_from_elsewhere() -> None:
    assert not [name for name, text in TEXTS.items() if FURTHEST.search(text)]


def test_every_file_is_used_and_every_used_file_is_there() -> None:
    used = {"index.html"}
    for text in TEXTS.values():
        used |= set(re.findall(r"""(?:from "\./|href="|src="|addModule\(")([\w.-]+)\"""", text))
    assert used == set(NAMES)


def test_all_scripts_are_asked_for_at_once() -> None:
    imported = {one for text in TEXTS.values() for one in re.findall(r'from "\./([\w.-]+)"', text)}
    preloaded = re.findall(r'rel="modulepreload" href="([\w.-]+)"', TEXTS["index.html"])
    assert sorted(preloaded) == sorted(imported)


def test_scripts_come_zipped_and_recordings_as_they_are(client) -> None:
    zipped = client.get("/app.js", headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.text == TEXTS["app.js"]
    answer = client.post("/api/folders/open", json={"folder": 0, "name": "hiss.wav"})
    identity = answer.json()["id"]
    wait_for(client, identity, "ready")
    part = client.get(f"/api/sounds/{identity}/audio.wav", headers={"Range": "bytes=0-1999"})
    assert part.status_code == 206
    assert "content-encoding" not in part.headers


def test_there_is_no_inline_script_or_style() -> None:
    class Strict(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names = dict(attrs)
            assert not [name for name in names if name == "style" or name.startswith("on")]
            assert tag != "style"
            assert tag != "script" or "src" in names

    Strict().feed(TEXTS["index.html"])
    for name, text in TEXTS.items():
        assert "innerHTML" not in text, name
        assert "eval(" not in text, name


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]{3,6})", block))


def _themes() -> dict[str, dict[str, str]]:
    """The colours of the page in light and dark: what dark does not change is as in light."""
    found: dict[str, dict[str, str]] = {"light": {}, "dark": {}}
    for name in (NAME, "app.css"):
        for selector, block in re.findall(r"(:root[^{]*)\{([^}]*)\}", TEXTS[name]):
            found["dark" if "dark" in selector else "light"] |= _colours(block)
    return {"light": found["light"], "dark": found["light"] | found["dark"]}


def test_colours_are_those_of_the_reports() -> None:
    report = files("semisonic.evaluation.report") / "colours.css"
    light, dark = report.read_text(encoding="utf-8").split("@media (prefers-color-scheme:dark)")
    themes = _themes()
    assert _colours(light).items() <= themes["light"].items()
    assert _colours(dark).items() <= themes["dark"].items()
    assert len(_colours(dark)) > 8


def _luminance(colour: str) -> float:
    text = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = [int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        *(
            (ink, paper)
            for ink in ("--ink", "--soft", "--accent")
            for paper in ("--bg", "--card", "--tint")
        ),
        ("--on-accent", "--accent"),
        ("--bg", "--ink"),
        ("--ink", "--warn"),
        ("--control", "--card"),
    ],
)
def test_texts_can_be_read(theme, ink, paper) -> None:
    colours = _themes()[theme]
    high, low = sorted((_luminance(colours[ink]), _luminance(colours[paper])), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_one_file_gives_the_focus_and_takes_keys() -> None:
    scripts = {name: text for name, text in TEXTS.items() if name.endswith(".js")}
    giving = {name for name, text in scripts.items() if re.search(r"\.focus\(", text)}
    taking = {
        name
        for name, text in scripts.items()
        if re.search(r"(document|window|at|stage)\.addEventListener\(\s*\"key", text)
    }
    assert giving == taking == {"keys.js"}
