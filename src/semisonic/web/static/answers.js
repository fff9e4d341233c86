// The buttons and keys of an answer.

import { folded, foldedButtons, keysOf, use } from "./classes.js";
import { dot, h, percent, say } from "./dom.js";
import { giveFocus, isEnter, isWriting } from "./keys.js";
import { NOTHING, answerOf, beginningWith, chooseLabel, notText, spoken } from "./naming.js";
import { classColour } from "./palette.js";

export const COMMANDS = [..."0efklmnsuyz"];  // keys that no class can have

export function answerPanel({ answer, undo, skip, similar, keep, setSeveral, next, play }) {
  let classes = [], looks = {}, given = {}, isUnfolded = false, guesses = [], picked = new Set(), several = false, waits = true, isIssue = false, isMeasured = false, denied = "", mayBeSeveral = false, nEvents = 0, element;
  const guessed = h("div", { class: "guesses" }), buttons = h("div", { class: "answers", role: "group", "aria-label": "Labels" }), asks = h("div", {});
  const fresh = h("input", { type: "text", placeholder: "Find or add a label", "aria-label": "New label", title: "The first letters find a class; Enter chooses it", maxlength: "60", autocomplete: "off", oninput: () => draw() });
  const note = h("input", { type: "text", placeholder: "Note", "aria-label": "Note", maxlength: "500", autocomplete: "off" });
  const many = h("button", { type: "button", class: "quiet", "aria-pressed": "false", title: "Several labels for one segment; Enter saves (M)", onclick: () => toggleMany() }, "Several labels");
  const ask = h("div", { class: "note", hidden: true, role: "group", "aria-label": "Several labels" }), sure = h("span", {}), change = h("button", { type: "button", onclick: async () => { ask.hidden = true; await setSeveral(!mayBeSeveral); if (mayBeSeveral) toggleMany(); } });
  ask.append(sure, h("div", { class: "row" }, change, h("button", { type: "button", onclick: () => { ask.hidden = true; } }, "Cancel")));
  const kind = h("button", { type: "button", class: "quiet", hidden: true, title: "Whether a segment of this project can have several labels", onclick: () => askSeveral() }, "One label per segment …");
  const save = h("button", { type: "button", class: "main", hidden: true, onclick: () => give([...picked]) }, "Save");
  const hint = (key) => h("kbd", { "aria-hidden": "true" }, key.toUpperCase());
  const act = (text, key, work, title) => h("button", { type: "button", onclick: work, title, "aria-keyshortcuts": key }, text, hint(key));
  const keeps = act("Keep", "K", () => isIssue && !waits && keep());
  const onwards = act("Next segment", "Enter", next);
  const back = act("Undo", "Z", undo);  // also when nothing is asked
  const actions = h("div", { class: "row actions" }, keeps, onwards,
    act("Unsure", "U", () => give([], "uncertain"), "An answer: you listened and cannot tell. The page does not ask again, and the model learns nothing from it."),
    act("None of the classes", "0", () => give([], "negative"), "An answer: none of the classes is present. The model learns this, too."), back,
    act("Skip", "S", skip, "No answer: nothing is saved, and the page asks again at the end."), act("More like this", "F", similar));
  fresh.addEventListener("keydown", async (event) => {
    if (event.key === "Escape") { fresh.value = ""; fresh.blur(); draw(); }
    if (!isEnter(event) || !fresh.value.trim() || waits) return;
    event.preventDefault();
    fresh.blur();
    const name = await chooseLabel(fresh.value, known(), asks);
    if (!name) { giveFocus(fresh); return; }
    fresh.value = "";
    if (!classes.includes(name)) classes = [...classes, name];
    pick(name);
  });
  note.addEventListener("keydown", (event) => { if (isEnter(event) || event.key === "Escape") note.blur(); });
  const dock = h("div", { class: "dock" }, h("button", { type: "button", class: "main at-phone", "aria-label": "Play, pause", onclick: play }, "▶"), buttons, asks);  // at the thumb on a phone
  element = h("div", { class: "answering" }, guessed, h("div", { class: "row" }, fresh, note, many, save, kind), dock, ask, actions);

  const known = () => [...new Set([...classes, ...guesses.map(([name]) => name).filter((name) => name !== NOTHING)])];

  // While something is typed, the classes that it begins.
  const shown = (keys) => (fresh.value.trim() ? [beginningWith(fresh.value.trim(), known()), []] : folded(known(), keys));

  function give(labels, presence = "positive") {
    if (waits || (presence === "positive" && !labels.length)) return;
    const said = { labels, presence, note: note.value.trim() };
    if (presence === "positive") labels.forEach(use);
    note.value = "";
    answer(said);
  }

  function agree(name) {
    const { labels, presence } = answerOf([name]);
    give(labels, presence);
  }

  function pick(name) {
    if (!several) { give([name]); return; }
    if (picked.has(name)) picked.delete(name); else picked.add(name);
    draw();
  }

  const yes = () => !denied && guesses.length && agree(guesses[0][0]);

  // What it is instead says more than what it is not.
  function no() {
    if (!guesses.length || waits) return;
    if (denied === NOTHING) return;
    if (denied || isIssue) { give([guesses[0][0]], "negative"); return; }
    denied = guesses[0][0];
    draw();
    say(denied === NOTHING ? "What is it?" : `Not ${denied}: what is it instead?`);
  }

  // What it means is said before the project is changed; no answer changes it by itself.
  function askSeveral() {
    sure.textContent = mayBeSeveral
      ? "Segments of this project can have several labels. With one label per segment, the model does not learn from those that have several, and the learning curve starts again."
      : "Segments of this project have one label each. If they can have several, each label becomes a yes-or-no question about every segment, and the learning curve starts again.";
    change.textContent = mayBeSeveral ? "One label per segment" : "Allow several labels";
    ask.hidden = false;
    giveFocus(change);
  }

  function toggleMany() {
    if (!several && !mayBeSeveral) { askSeveral(); return; }
    several = !several;
    picked = new Set();
    many.setAttribute("aria-pressed", String(several));
    save.hidden = !several;
    draw();
  }

  function drawGuesses() {
    const as = ([name, score], key) => h("button", { type: "button", disabled: waits, "aria-keyshortcuts": key || undefined, onclick: () => (name === NOTHING ? agree(name) : pick(name)) }, spoken([name]), h("b", { class: "num" }, percent(score)), key ? hint(key) : null);
    const not = (words, title) => h("button", { type: "button", disabled: waits, title, "aria-keyshortcuts": "N", onclick: no }, words, hint("N"));
    const text = (words) => h("span", { class: "soft" }, words);
    if (denied === NOTHING) guessed.replaceChildren(text("What is it?"), ...guesses.slice(1).map((guess) => as(guess)));
    else if (denied) {
      guessed.replaceChildren(text(`Not ${denied}. What is it instead?`), ...guesses.slice(1).map((guess) => as(guess)),
        not(notText(denied), "An answer: this class is not present; another one may be"));
    } else if (guesses.length) guessed.replaceChildren(text("Perhaps"), ...guesses.map((guess, i) => as(guess, i ? "" : "Y")), not(notText(guesses[0][0]), "What it is instead is the next question"));
    else guessed.replaceChildren(text(isMeasured ? "What do you hear? This segment measures the accuracy, so the prediction is shown after your answer." : "What do you hear?"));
  }

  function draw() {
    drawGuesses();
    const focused = document.activeElement?.dataset?.label, byKey = keysOf(known(), given), keys = new Map([...byKey].map(([key, name]) => [name, key]));
    const places = new Map(known().map((name, i) => [name, i]));
    buttons.replaceChildren(...foldedButtons(shown(byKey), (name) => h("button", {
      type: "button", disabled: waits, "data-label": name, "aria-pressed": several ? String(picked.has(name)) : undefined,
      "aria-keyshortcuts": keys.get(name)?.toUpperCase(), onclick: () => { fresh.value = ""; pick(name); },
    }, dot(looks[name]?.colour || classColour(places.get(name))), name, keys.has(name) && !fresh.value ? hint(keys.get(name)) : ""), isUnfolded, () => { isUnfolded = !isUnfolded; draw(); }));
    if (focused) giveFocus([...buttons.children].find((one) => one.dataset.label === focused));
    keeps.hidden = !isIssue;
    onwards.hidden = !nEvents;
    [...actions.children].forEach((one) => { one.disabled = waits && one !== back; });
    element?.classList.toggle("waits", waits);
    save.disabled = waits || !picked.size;
  }

  return {
    element,
    setClasses(names, itsLooks, itsKeys) { looks = itsLooks; given = itsKeys; classes = [...new Set([...names, ...classes.filter((name) => names.includes(name))])]; draw(); },
    // Predictions; whether an answer is reviewed; whether the segment measures the accuracy.
    ask(found, looksWrong = false, measures = false) { guesses = found ?? []; isIssue = looksWrong; isMeasured = measures; denied = ""; picked = new Set(); asks.replaceChildren(); draw(); },
    setSeveral(on) {
      if (on === mayBeSeveral) return;
      mayBeSeveral = on;
      kind.hidden = !on;
      if (!on && several) toggleMany();
    },
    setEvents(n) { nEvents = n; draw(); },
    wait(on) { waits = on; draw(); },
    // Whether an answer to what is asked has been begun.
    isBegun() { return Boolean(fresh.value || note.value || picked.size || denied) || isWriting(element); },
    key(key) {
      const plain = key.length === 1 ? key.toLowerCase() : key, name = keysOf(known(), given).get(plain);
      const keys = { k: () => isIssue && !waits && keep(), y: yes, n: no, u: () => give([], "uncertain"), 0: () => give([], "negative"), z: undo, s: skip, f: similar, m: toggleMany, Enter: () => (several && picked.size ? give([...picked]) : nEvents && !waits && next()), "/": () => giveFocus(fresh), e: () => giveFocus(note) };
      const work = name && !waits ? () => pick(name) : keys[plain];
      if (!work) return false;
      work();
      return true;
    },
  };
}
