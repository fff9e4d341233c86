// Find: the model over a whole folder, what it found as a list to hear and correct, and downloads.

import { annotator } from "./annotator.js";
import { address, get, post, takeNames } from "./api.js";
import { clock, fill, h, noModel, percent, readable, say, waited } from "./dom.js";
import { giveFocus, isEnter, onKeys } from "./keys.js";
import { inWords } from "./labels.js";
import { NOTHING, answerOf, chooseLabel, namesOfModel, notText, spoken, stored, suggestions } from "./naming.js";
import { classColour } from "./palette.js";
import { Thumb, thumbSpeed } from "./thumb.js";
import { workInWords } from "./working.js";

const PAGE = 24, POLL = 500, GONE_POLL = 2000, PAUSE = 200;
const STEPS = { events: "Finding events", predictions: "Predicting the class of each recording" };
const count = (n, one, many = `${one}s`) => `${n.toLocaleString()} ${n === 1 ? one : many}`;
const SAVES = { csv: "Events, CSV", raven: "Events, Raven", audacity: "Events, Audacity", predictions: "One row per recording, CSV" };

// Numbers of events by class, with the best score of each.
const eventsInWords = (events) => (events.length ? `${count(events.reduce((sum, [, n]) => sum + n, 0), "event")}: ${events.map(([label, n, best]) => `${n} ${spoken([label])} (best ${percent(best)})`).join(", ")}` : "no events");

export async function findPage(main) {
  const appState = await get("state");
  const page = new Find(main, appState);
  page.begin();
  return () => page.close();
}

class Find {
  constructor(main, appState) {
    this.appState = appState;
    this.kind = "events";
    this.thumbs = [];
    this.names = [];
    const places = appState.folders.map((name, i) => h("option", { value: String(i) }, `Folder ${name}`));
    if (appState.has_project) places.unshift(h("option", { value: "" }, "Recordings of the project"));
    this.where = h("select", { "aria-label": "Where", onchange: () => { this.text.value = ""; this.look(); } }, places);
    const select = (label, ...options) => h("select", { "aria-label": label, onchange: () => this.list() }, options);
    this.label = select("Class", h("option", { value: "" }, "All classes"));
    this.order = select("Order", ...[["surest", "Highest score first"], ["least sure", "Lowest score first"], ["file", "By recording"]].map(([value, text]) => h("option", { value }, text)));
    this.share = h("output", {}, "0 %");
    this.least = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: "0", "aria-label": "Lowest score", oninput: () => { this.share.textContent = percent(this.least.valueAsNumber); this.listSoon(); } });
    this.text = h("input", { type: "search", placeholder: "Recording", "aria-label": "Find in names of recordings", oninput: () => this.listSoon() });
    this.listSoon = waited(() => this.list(), PAUSE);
    this.kinds = Object.entries({ events: "Events", predictions: "Recordings" }).map(([kind, text]) => h("button", { type: "button", "data-kind": kind, onclick: () => { this.kind = kind; this.list(); } }, text));
    this.begins = h("span", { class: "row" });
    this.told = h("div", {});
    this.status = h("section", { class: "card finding" }, h("div", { class: "row" }, this.where, this.begins), this.told);
    this.known = suggestions([]);
    this.count = h("span", { class: "soft small num", role: "status" });
    this.rows = h("ul", { class: "plain finds" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.list(true) }, "Show more");
    this.results = h("section", { hidden: true }, h("div", { class: "row toolbar" }, h("span", { class: "row", role: "group", "aria-label": "What is listed" }, this.kinds), this.label, this.order,
      h("label", { class: "small soft" }, "Score at least ", this.least, " ", this.share), this.text, thumbSpeed(() => this.thumbs), this.count), this.rows, this.more);
    main.append(h("h1", {}, "Find in all recordings"), this.status, this.known, this.results);
    this.seen = new IntersectionObserver((entries) => { for (const { target, isIntersecting } of entries) if (isIntersecting) target.hear?.(); }, { rootMargin: "200px" });
  }

  async begin() {
    this.endKeys = onKeys((event) => this.key(event), { repeats: (key) => ["j", "k", "ArrowDown", "ArrowUp"].includes(key) });
    if (!this.appState.model) {
      fill(this.status, noModel("There is no model yet."));
      return;
    }
    if (!this.where.options.length) {
      fill(this.status, h("p", {}, "No folder is open. Start the app with ", h("code", {}, "--folder path/to/recordings"), ", or open a project under ", h("a", { href: "#/label/projects" }, "Label"), "."));
      return;
    }
    if (this.appState.has_project) {
      try {
        const found = await get("label/classes");
        takeNames(found);
        this.names = found.classes.map(({ name }) => name);
        this.known.replaceWith(this.known = suggestions(this.names));
      } catch (error) { say(error.message); }
    }
    this.look();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.endKeys();
    this.seen.disconnect();
    for (const thumb of this.thumbs) thumb.close();
  }

  async look() {
    clearTimeout(this.timer);
    try {
      const state = await get("find", { where: this.where.value });
      if (this.closed) return;
      const runs = state.work?.state === "runs";
      this.tell(state, runs);
      if (runs) this.timer = setTimeout(() => this.look(), POLL);
      if (!runs && state.there) {
        this.results.hidden = false;
        if (this.made !== `${this.where.value} ${state.made}`) await this.list();
        this.made = `${this.where.value} ${state.made}`;
      }
      if (!state.there) { this.results.hidden = true; this.made = ""; }
    } catch (error) {
      if (this.closed) return;
      fill(this.begins);
      fill(this.told, h("p", { class: "note" }, `${error.message} This page continues by itself.`));
      this.timer = setTimeout(() => this.look(), GONE_POLL);
    }
  }

  tell(state, runs) {
    const { work } = state, model = this.appState.model.path.replace(/\/model\.zip$/, "").split("/").pop();
    const start = h("button", { type: "button", class: state.there && !state.is_old ? "" : "main", onclick: async () => {
      start.disabled = true;
      try { await post("find", { where: this.where.value }); } catch (error) { say(error.message); }
      this.look();
    } }, state.there ? "Find again" : "Find");
    const parts = [];
    fill(this.begins, runs ? null : start, h("span", { class: "soft small" }, `with the model ${model}`));
    if (runs) {
      const { at } = work, bar = h("progress", { max: "1", "aria-label": "Finding" });
      if (at.total) bar.value = Math.min(1, at.n / at.total);
      parts.push(bar, h("div", { class: "row" }, h("button", { type: "button", onclick: () => post("find/cancel").then(() => this.look(), (error) => say(error.message)) }, "Stop"),
        h("span", { class: "soft small num", role: "status" }, `${STEPS[work.steps.at(-1)] ?? "Starting"} in ${work.name}: ${workInWords(work)}. You may leave this page; the search goes on.`)));
    } else {
      if (work?.state === "failed") parts.push(h("p", { class: "note" }, work.reason));
      if (work?.state === "stopped") parts.push(h("p", { class: "soft small" }, "Stopped. Finished work is kept: Find continues from there."));
      const failures = work?.found.failures ?? [];
      if (failures.length) parts.push(h("details", {}, h("summary", {}, `${count(failures.length, "recording")} could not be read, or only in part`), h("ul", { class: "plain small failures" }, failures.map(([file, why]) => h("li", {}, h("b", {}, file.split("/").pop()), ` ${why}`)))));
      if (state.there) parts.push(h("p", {}, `${count(state.n_events, "event")} in ${count(state.n_recordings, "recording")}, found ${new Date(state.made).toLocaleString()}.`, state.is_old ? " The model has learned since then: press Find again to use the new model." : ""),
        h("details", { class: "menu" }, h("summary", { class: "button" }, "Save …"), h("div", { class: "card" }, Object.entries(SAVES).map(([kind, text]) => h("a", { class: "button", href: address(`find/tables/${kind}`, { where: this.where.value }), download: "" }, text)),
          this.appState.has_project ? h("a", { class: "button", href: address("label/tables/csv"), download: "" }, "Labels, CSV") : null, h("a", { class: "button", href: address("model/file"), download: "" }, "Model"))),
        this.appState.has_project && !this.canAnswer ? h("p", { class: "soft small" }, "You can mark only recordings of the project: choose them above.") : null);
    }
    fill(this.told, parts);
  }

  async list(more = false) {
    const first = more ? this.rows.childElementCount : 0, turn = this.turn = (this.turn ?? 0) + 1;
    try {
      const { rows, n, labels } = await get("find/rows", { kind: this.kind, where: this.where.value, label: this.label.value, least: this.least.value, text: this.text.value.trim(), order: this.order.value, first, n: PAGE });
      if (turn !== this.turn || this.closed) return;
      const chosen = this.label.value;
      this.rows.classList.toggle("whole", this.kind !== "events");
      fill(this.label, h("option", { value: "" }, "All classes"), ...labels.map(([name, k]) => h("option", { value: name }, `${spoken([name])} (${k})`)));
      this.label.value = labels.some(([name]) => name === chosen) ? chosen : "";
      for (const button of this.kinds) button.setAttribute("aria-pressed", String(button.dataset.kind === this.kind));
      if (more) this.rows.append(...rows.map((row) => this.row(row)));
      else {
        for (const thumb of this.thumbs) thumb.close();
        this.thumbs = [];
        fill(this.rows, rows.map((row) => this.row(row)));
      }
      this.count.textContent = count(n, this.kind === "events" ? "event" : "recording");
      this.more.hidden = first + rows.length >= n;
      if (!n) this.rows.append(h("li", { class: "soft" }, "Nothing matches. Choose a lower score or another class."));
    } catch (error) { say(error.message); }
  }

  row(row) {
    const ask = h("div", {}), said = h("b", { class: "answered" }), heard = row.label ? spoken([row.label]) : "nothing", name = `${readable(row.file)}, ${clock(row.start_time, 1)} – ${clock(row.end_time, 1)}`;
    const item = h("li", { tabindex: "-1", class: "find", "aria-label": `${heard}: ${name}`, onfocusin: () => this.choose(item) });
    const told = (answer) => { said.textContent = answer ? `✓ ${inWords(answer)}` : ""; };
    told(row.said);
    item.answer = async (labels, presence = "positive") => {
      const { file, start_time, end_time } = row;
      try {
        const { entry } = await post("label/answers", { file, start_time, end_time, labels, presence, annotator: annotator(), source: "found", guess: row.label, guess_score: row.score ?? 0, ...namesOfModel(labels, [[row.label]]) });
        told({ labels: entry.labels, presence });
        if (entry.labels.join() !== labels.join()) say(stored(labels, entry.labels));
        for (const label of entry.labels) if (!this.names.includes(label)) { this.names.push(label); this.known.append(h("option", { value: label })); }
      } catch (error) { say(error.message); }
    };
    item.right = () => { const { labels, presence } = answerOf([row.label]); return row.label && item.answer(labels, presence); };
    item.wrong = () => { if (row.label === NOTHING) { giveFocus(field); return null; } return row.label && item.answer([row.label], "negative"); };
    const field = h("input", { type: "text", list: this.known.id, placeholder: "Other", maxlength: "60", autocomplete: "off", "aria-label": `Other class for ${name}`, onkeydown: async (event) => {
      if (event.key === "Escape") field.blur();
      if (!isEnter(event)) return;
      event.preventDefault();
      field.blur();
      const label = await chooseLabel(field.value, this.names, ask);
      if (label) { field.value = ""; await item.answer([label]); giveFocus(item); }
    } });
    item.other = () => giveFocus(field);
    const place = h("div", { class: "thumb waiting" });
    item.hear = () => {
      item.hear = null;
      const thumb = new Thumb(row, () => post("find/open", { file: row.file, where: this.where.value }));
      this.thumbs.push(thumb);
      item.thumb = thumb;
      place.replaceWith(thumb.button);
    };
    item.append(place, h("div", { class: "row" }, h("b", {}, heard), row.score === null ? null : h("span", { class: "num soft" }, percent(row.score)), said),
      h("div", { class: "soft small" }, this.kind === "events" ? name : `${readable(row.file)}, ${clock(row.end_time - row.start_time, 1)} long`));
    if (row.events) {
      place.after(this.timeLine(row));
      item.append(h("div", { class: "small" }, eventsInWords(row.events)));
      if (row.places.length) item.append(h("div", {}, h("button", { type: "button", class: "quiet", onclick: () => this.showEvents(row.file) }, "List these events")));
    }
    if (this.canAnswer) item.append(h("div", { class: "row" }, h("button", { type: "button", disabled: !row.label, "aria-keyshortcuts": "Y", onclick: item.right }, "Right"), h("button", { type: "button", disabled: !row.label, "aria-keyshortcuts": "N", onclick: item.wrong }, row.label ? notText(row.label) : "Not this"), field), ask);
    this.seen.observe(item);
    return item;
  }

  // Where in a recording its events are.
  timeLine({ start_time: first, end_time: last, places }) {
    const { classes } = this.appState.model, share = (time) => 100 * Math.min(1, Math.max(0, (time - first) / (last - first)));
    const ticks = places.map(([start, end, label]) => {
      const tick = h("i", { title: `${spoken([label])}, ${clock(start, 1)} – ${clock(end, 1)}` });
      Object.assign(tick.style, { left: `${share(start)}%`, width: `${share(end) - share(start)}%`, background: classColour(Math.max(0, classes.indexOf(label))) });
      return tick;
    });
    return h("div", { class: "time-line", role: "img", "aria-label": `Time line: ${count(places.length, "event")}` }, h("div", {}, ticks), h("span", { class: "soft small num" }, clock(first)), h("span", { class: "soft small num" }, clock(last)));
  }

  showEvents(file) {
    this.kind = "events";
    this.text.value = file;
    this.order.value = "file";
    this.list();
  }

  get canAnswer() { return this.appState.has_project && this.where.value === ""; }

  choose(item) {
    this.rows.querySelector("[aria-current]")?.removeAttribute("aria-current");
    item.setAttribute("aria-current", "true");
  }

  key(event) {
    const items = [...this.rows.querySelectorAll(".find")], at = items.findIndex((one) => one.hasAttribute("aria-current"));
    const item = items[at], go = (place) => { giveFocus(items[Math.max(0, Math.min(place, items.length - 1))]); };
    const next = () => go(at + 1);
    const keys = {
      j: next, ArrowDown: next, k: () => go(at - 1), ArrowUp: () => go(at - 1),
      " ": () => item?.thumb?.toggle(), y: () => this.canAnswer && item?.right()?.then(next), n: () => this.canAnswer && item?.wrong()?.then(next), "/": () => this.canAnswer && item?.other(),
    };
    const work = keys[event.key];
    if (!work) return;
    event.preventDefault();
    work();
  }
}
