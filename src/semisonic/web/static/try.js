// Try it: open a sound, look at it, hear what the model hears.

import { address, get, post, remove, upload } from "./api.js";
import { clock, fill, h, noModel, readable, percent, say, waited } from "./dom.js";
import { intro } from "./intro.js";
import { giveFocus, isWriting, onKeys } from "./keys.js";
import { microphoneBar } from "./microphone.js";
import { named, spoken } from "./naming.js";
import { forServer, record } from "./recorder.js";
import { rulesForm, thresholdNote } from "./rules.js";
import { Viewer } from "./viewer.js";

const FIRST_PAUSE = 120, LONGEST_PAUSE = 900, MOST_ROWS = 300;

// What stays from sound to sound: the lists with the uploads, the rules, and the class whose events are shown.
let side = null, values = {}, shownClass = "", isByKey = false;

export async function tryPage(main, id) {
  const appState = await get("state");
  if (!main.isConnected) return () => {};
  side ??= makeSide(appState);
  const work = h("div", {}), recording = recordButton(), here = new AbortController();
  main.replaceChildren(h("h1", { class: "only-heard" }, "Try it"), h("div", { class: id ? "try" : "try empty" }, side.element, work));
  side.show(appState, id, recording.element);
  side.listen(here.signal);
  let leave = () => {};
  const classes = named(appState.model?.classes ?? []);
  if (id) leave = showSound(work, id, appState);
  else {
    work.append(h("h1", {}, appState.model ? "What is there to hear?" : "Look at a sound"),
      appState.model ? h("p", { class: "soft" }, `Open a sound: the model says which of its ${classes.length} classes it hears, and when.`)
        : h("div", {}, noModel("No model is open, so sounds are shown but not named."), intro()));
    if (appState.model) work.append(h("ul", { class: "plain known", "aria-label": "Classes" }, classes.map((name) => h("li", {}, name))));
  }
  return () => { here.abort(); recording.leave(); leave(); };
}

// Sounds of which one is open, and the one before or behind it.
class SoundList {
  constructor() { this.items = []; this.element = h("div", { class: "list" }, h("span", { class: "soft small" }, "…")); }

  fill(items, current) {
    Object.assign(this, { items, current });
    fill(this.element, items.slice(0, MOST_ROWS).map(({ key, name, state, choose }) => h("button", {
      type: "button", "aria-current": key === current ? "true" : undefined, onclick: ({ target }) => {
        for (const one of this.element.children) one.removeAttribute("aria-current");
        target.setAttribute("aria-current", "true");  // at once: what is chosen may take a while
        choose();
      },
    }, state === "failed" ? `${name} (cannot be used)` : name)));
    if (items.length > MOST_ROWS) this.element.append(h("span", { class: "soft small" }, `and ${items.length - MOST_ROWS} more`));
    const button = this.element.querySelector("[aria-current]");
    if (button) this.element.scrollTop += button.getBoundingClientRect().top - this.element.getBoundingClientRect().top - this.element.clientHeight / 2;
  }

  beside(step) { return this.items[this.items.findIndex(({ key }) => key === this.current) + step]; }
}

function makeSide({ examples, folders }) {
  let appState, id, origin = null;  // the folder and the name of the sound that is shown, if it was opened from one
  let waiting = Promise.resolve();

  const open = async (work, from = null) => {
    try {
      const sound = await work();
      origin = { ...from, id: sound.id };
      location.hash = `#/try/${sound.id}`;
    } catch (error) { say(error.message); draw(false); }
  };

  // One file after the other; the first is shown, the others wait among the open sounds.
  const bar = h("progress", { max: "1", value: "0", hidden: true, "aria-label": "Upload" });
  const told = h("span", { class: "soft small", role: "status" });
  const refused = h("ul", { class: "plain small refused", "aria-label": "Not opened" });
  const send = (files) => {
    const rest = files.splice(appState.max_open).length;
    waiting = waiting.then(async () => {
      const left = rest ? [h("li", {}, `${rest} more: only ${appState.max_open} sounds can be open`)] : [];
      let isFirst = true;
      bar.hidden = false;
      for (const [number, file] of files.entries()) {
        told.textContent = files.length > 1 ? `Opening ${number + 1} of ${files.length}` : "";
        try {
          if (file.size > appState.max_bytes) throw new Error(`larger than ${appState.max_bytes / 1e6} MB`);
          const heard = await forServer(file, appState.unread_suffixes);
          const sound = await upload(heard, heard.name, (share) => { bar.value = (number + share) / files.length; });
          if (isFirst && element.isConnected && !isWriting()) await open(() => sound); else await refresh();
          isFirst = false;
        } catch (error) { left.push(h("li", {}, `${file.name}: ${error.message}`)); }
      }
      bar.hidden = true;
      told.textContent = "";
      fill(refused, left);
      if (left.length) say(left.length > 1 ? `${left.length} files could not be opened` : left[0].textContent);
    });
  };
  const input = h("input", { type: "file", multiple: true, class: "only-heard", accept: "audio/*,.flac,.aiff,.aif,.w64,.caf,.opus,.m4a,.webm,.amr,.wma", onchange: () => {
    send([...input.files]);
    input.value = "";  // the same file may be chosen again
  } });
  const drop = h("label", { class: "drop" }, h("b", {}, "Drop sounds here"), h("span", { class: "soft small" }, "or choose files"), input, bar, told);

  const list = new SoundList(), openSounds = h("section", {}, h("div", { class: "row spread" }, h("h2", {}, "Open sounds"),
    h("button", { type: "button", class: "quiet", onclick: closeAll }, "Close all")), list.element);
  const refresh = async () => { appState = await get("state"); showOpen(); };
  function showOpen() {
    openSounds.hidden = !appState.open.length;
    list.fill(appState.open.map((sound) => ({ ...sound, key: sound.id, choose: () => { origin = null; location.hash = `#/try/${sound.id}`; } })), id);
    const all = chosenFrom();
    previous.hidden = next.hidden = all.items.length < 2;
    previous.disabled = !all.beside(-1);
    next.disabled = !all.beside(1);
  }

  async function closeAll() {
    const n = appState.open.length;
    if (!confirm(`Close ${n === 1 ? "this sound" : `all ${n} sounds`}? Recordings made on this page are deleted.`)) return;
    try {
      await remove("sounds");
      if (location.hash === "#/try") await refresh(); else location.hash = "#/try";
    } catch (error) { say(error.message); }
  }

  const shelves = folders.map((name, number) => folderSection(name, number, open));
  const place = h("div", {});
  const element = h("div", { class: "side" }, h("div", {}, drop, refused, place),
    h("section", {}, h("h2", {}, "Examples"), h("div", { class: "chips" }, examples.map((one) =>
      h("button", { type: "button", onclick: () => open(() => post(`examples/${one.name}`)) }, one.title)))),
    openSounds, shelves.map((shelf) => shelf.element));

  const chosenFrom = () => shelves[origin?.folder]?.list ?? list;
  const step = (by) => {
    const found = chosenFrom().beside(by);
    if (found) found.choose(); else say(by > 0 ? "This is the last sound." : "This is the first sound.");
  };

  async function close() {
    const beside = list.beside(1) ?? list.beside(-1);
    try { await remove(`sounds/${id}`); if (beside) beside.choose(); else location.hash = "#/try"; } catch (error) { say(error.message); }
  }

  function draw(isAnew) {
    shelves.forEach((shelf, number) => shelf.show(origin?.folder === number ? origin.name : null, isAnew));
    showOpen();
  }

  const move = (text, title, onclick) => h("button", { type: "button", class: "quiet", title, onclick }, text);
  const previous = move("Previous", "P", () => step(-1)), next = move("Next", "N", () => step(1));

  return {
    element, moves: h("div", { class: "row" }, previous, next, move("Close this sound", null, close)),

    show(state, shown, recording) {
      appState = state;
      id = shown;
      if (origin?.id !== id) origin = null;
      place.replaceChildren(recording);
      draw(!id);
    },

    // Files may be dropped anywhere on the page, and two keys go from sound to sound.
    listen(signal) {
      const on = (name, work) => document.addEventListener(name, work, { signal });
      const over = (isOver) => drop.classList.toggle("over", isOver);
      on("dragover", ({ dataTransfer }) => over(dataTransfer.types.includes("Files")));
      on("dragleave", ({ relatedTarget }) => relatedTarget || over(false));
      on("drop", ({ dataTransfer }) => {
        over(false);
        if ([...dataTransfer.items].some((item) => item.webkitGetAsEntry?.()?.isDirectory)) say("You cannot drop a folder. Open it and drop its files.");
        else if (dataTransfer.files.length) send([...dataTransfer.files]);
      });
      const endKeys = onKeys((event) => {
        const by = { n: 1, p: -1 }[event.key.toLowerCase()];
        if (!by || !id) return;
        isByKey = true;
        step(by);
      });
      signal.addEventListener("abort", endKeys);
    },
  };
}

// Whoever leaves the page or hides it has stopped: the microphone goes off, and the take is kept.
function recordButton() {
  let running = null, hasLeft = false;
  const microphone = microphoneBar();
  const button = h("button", { type: "button", onclick: () => (running ? stop() : start()) }, "Record");

  async function start() {
    button.disabled = true;
    microphone.busy(true);
    try {
      const take = await record((seconds, piece) => { button.textContent = `Stop, ${clock(seconds)}`; if (piece) microphone.hear(piece); });
      if (hasLeft) { await take.stop(); return; }  // left while the browser asked for the microphone
      running = take;
      document.addEventListener("visibilitychange", hidden);
      addEventListener("beforeunload", ask);
    } catch (error) { say(`No microphone: ${error.message}`); microphone.busy(false); }
    button.disabled = false;
  }

  async function stop() {
    const take = running;
    if (!take) return;
    running = null;
    document.removeEventListener("visibilitychange", hidden);
    button.textContent = "Record";
    microphone.busy(false);
    try {
      const file = await take.stop();
      const { id } = await upload(file, file.name, () => {});
      if (hasLeft) say(`The recording was saved under Try it: ${file.name}`); else location.hash = `#/try/${id}`;
    } catch (error) { say(`The recording could not be saved: ${error.message}`); }
    removeEventListener("beforeunload", ask);
  }

  const hidden = () => { if (document.hidden) stop(); };
  const ask = (event) => event.preventDefault();  // closing now would lose it: the browser asks
  return { element: h("div", { class: "row", id: "recording" }, button, microphone.element), leave() { hasLeft = true; microphone.stop(); stop(); } };
}

// A folder of the computer: its recordings are opened where they are.
function folderSection(name, number, open) {
  const list = new SoundList(), head = h("h2", {}, name);  // with the number of recordings, once it is known
  const filter = h("input", { type: "search", placeholder: "Find", "aria-label": `Find in ${name}`, hidden: true, oninput: () => draw() });
  let files = null, current = null;
  const draw = () => {
    const found = files.filter((file) => file.toLowerCase().includes(filter.value.toLowerCase()));
    list.fill(found.map((file) => ({ key: file, name: file, choose: () => open(() => post("folders/open", { folder: number, name: file }), { folder: number, name: file }) })), current);
  };
  async function load() {
    try {
      const found = await get(`folders/${number}`);
      files = found.files;
      head.textContent = `${name} (${found.n_files})`;
      filter.hidden = files.length <= 12;
      if (files.length) draw(); else fill(list.element, h("span", { class: "soft small" }, "No recordings in this folder."));
    } catch (error) { fill(list.element, error.message); }
  }
  return {
    list, element: h("section", {}, head, filter, list.element),
    show(shown, isAnew) {
      current = shown;
      if (!files || isAnew) load(); else if (files.length) draw();
    },
  };
}

function showSound(work, id, appState) {
  let stopped = false, viewer = null, timer, pause = FIRST_PAUSE;
  const title = h("h1", {}, "…"), about = h("p", { class: "soft small num" }, " ");
  const bar = h("progress", { max: "1", value: "0", "aria-label": "Listening" });
  const place = h("div", {}), found = h("div", { class: "found" });
  work.replaceChildren(title, about, bar, place, found);
  const top = h("section", { hidden: true }), events = h("section", { hidden: true });
  found.append(top, events);

  const askEvents = waited(async () => {
    try { showEvents(await get(`sounds/${id}/events`, { ...values, label: shownClass })); } catch (error) { say(error.message); }
  }, 60);
  const list = h("div", { class: "events", tabindex: "0", role: "region", "aria-label": "Events" }), count = h("h2", {}, "Events");
  const links = h("div", { class: "row save" });
  const form = rulesForm(appState.rules, (given) => { values = { ...given }; askEvents(); }, values);
  const classes = h("select", { "aria-label": "Class", onchange: () => { shownClass = classes.value; askEvents(); } });
  const others = Object.keys(values).some((name) => name !== "threshold");
  events.append(h("div", { class: "row spread" }, count, classes), h("div", { class: "rules" }, form.first), list,
    h("details", { open: others }, h("summary", {}, "Rules"), h("div", { class: "rules" }, form.rest, thresholdNote(appState.model) ?? "")), links);

  let counted = "", shown = [];
  function showClasses(counts) {
    classes.hidden = counts.length < 2 && !shownClass;
    if (counted === JSON.stringify(counts)) return;  // an open list stays open
    counted = JSON.stringify(counts);
    const n = counts.reduce((sum, [, one]) => sum + one, 0);
    if (shownClass && !counts.some(([label]) => label === shownClass)) counts = [...counts, [shownClass, 0]];
    fill(classes, h("option", { value: "" }, `All classes (${n})`), counts.map(([label, one]) => h("option", { value: label }, `${label} (${one})`)));
    classes.value = shownClass;
  }

  function showEvents({ n_events, events: rows, classes: counts }) {
    showClasses(counts);
    count.textContent = n_events === 1 ? "1 event" : `${n_events} events`;
    viewer?.setEvents(rows);
    list.replaceChildren(rows.length ? h("table", {}, h("thead", {}, h("tr", {}, ["From", "To", "Class", "Score", ""].map((text, i) =>
      h("th", { class: i === 3 ? "n" : undefined, scope: "col" }, text || h("span", { class: "only-heard" }, "Play"))))),
    h("tbody", {}, rows.slice(0, MOST_ROWS).map(([start, end, label, score]) => h("tr", {
      onclick: ({ target }) => { if (!target.closest("button.play-event")) viewer.showEvent(start, end); },
    }, h("td", {}, h("button", { type: "button", class: "quiet", "aria-label": `Show ${label} at ${clock(start, 2)}` }, clock(start, 2))), h("td", {}, clock(end, 2)), h("td", {}, label), h("td", { class: "n" }, percent(score)),
      h("td", { class: "n" }, h("button", { type: "button", class: "play-event", "aria-label": `Play ${label} at ${clock(start, 2)}`, onclick: () => viewer.playEvent(start, end) }, "Play"))))))
      : h("p", { class: "soft" }, "No event reaches the threshold."));
    shown = rows.slice(0, MOST_ROWS);
    markRows();
    if (n_events > MOST_ROWS) list.append(h("p", { class: "soft small" }, `The first ${MOST_ROWS} are shown; the tables have all.`));
    const kinds = [["csv", "CSV"], ["raven", "Raven"], ["audacity", "Audacity"], ["scores", "Scores"]];
    links.replaceChildren(h("span", { class: "soft small" }, "Save as"), ...kinds.filter(([kind]) => n_events || kind === "scores").map(([kind, text]) =>
      h("a", { class: "button", href: address(`sounds/${id}/tables/${kind}`, kind === "scores" ? {} : { ...values, label: shownClass }), download: "" }, text)));
  }

  // The rows of events in the picture, as long as that is not all of the recording.
  function markRows() {
    if (!viewer) return;
    const [from, to] = viewer.view, isPart = to - from < viewer.duration - 0.01;
    list.querySelectorAll("tbody tr").forEach((row, i) => row.classList.toggle("in-view", isPart && shown[i][0] < to && shown[i][1] > from));
    const first = list.querySelector(".in-view");
    if (first && (first.offsetTop < list.scrollTop || first.offsetTop + first.offsetHeight > list.scrollTop + list.clientHeight)) list.scrollTop = first.offsetTop - list.clientHeight / 3;
  }

  function showTop(rows) {
    top.hidden = false;
    if (!rows.length) return top.replaceChildren(h("h2", {}, "Whole recording"), h("p", { class: "soft" }, "Silence or steady noise: there is nothing to name."));
    top.replaceChildren(h("h2", {}, "Whole recording"), h("div", { class: "bars" }, rows.map(([label, score]) => {
      const share = h("i", {});
      share.style.setProperty("--share", `${100 * score}%`);
      return h("div", {}, h("span", {}, spoken([label])), h("span", { class: "num" }, percent(score)), share);
    })));
  }

  async function look() {
    let sound;
    try { sound = await get(`sounds/${id}`); } catch (error) {
      title.textContent = "Not open any more";
      about.textContent = error.message;
      bar.hidden = true;
      return;
    }
    if (stopped) return;
    title.textContent = readable(sound.name);
    if (sound.state === "failed") {
      bar.hidden = true;
      about.textContent = "";
      place.replaceChildren(h("p", { class: "note" }, `This sound cannot be used: ${sound.reason}`), side.moves);
      return;
    }
    if (sound.state === "ready" && sound.picture) ready(sound);
    else about.textContent = "Checking the file …";
    const done = sound.picture?.progress === 1 && (!sound.heard || sound.heard.is_done);
    bar.hidden = done;
    if (done) return;
    timer = setTimeout(look, pause);
    pause = Math.min(LONGEST_PAUSE, pause * 1.3);
  }

  function ready(sound) {
    const { heard } = sound;
    bar.value = heard ? heard.progress : sound.picture.progress;
    const state = heard && !heard.is_done ? ` · listening, ${percent(heard.progress)}` : "";
    about.textContent = `${clock(sound.duration, sound.duration < 60 ? 1 : 0)} · ${sound.sample_rate / 1000} kHz${state}`;
    if (!viewer) {
      viewer = new Viewer(sound, { withScores: Boolean(appState.model) });
      viewer.onview = waited(markRows, 60);
      place.replaceChildren(viewer.element, side.moves);
      if (isByKey) giveFocus(viewer.stage, { preventScroll: true });  // so that Space plays
      isByKey = false;
      if (heard?.reason || sound.damage) place.prepend(h("p", { class: "note" }, heard?.reason || sound.damage));
    }
    viewer.update(sound);
    if (!heard) return;
    if ((heard.top.length || heard.is_silent) && top.hidden) showTop(heard.top);
    if (heard.progress > 0 && heard.progress !== ready.heard) {
      ready.heard = heard.progress;
      events.hidden = false;
      askEvents();
    }
    if (heard.is_done && heard.reason && !place.querySelector(".note")) place.prepend(h("p", { class: "note" }, heard.reason));
  }

  look();
  return () => { stopped = true; clearTimeout(timer); viewer?.close(); };
}
