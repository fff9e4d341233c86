// Label: listen to what is asked, answer with a key; take back, look for more, learn again.

import { accuracy } from "./accuracy.js";
import { annotator, nameField } from "./annotator.js";
import { get, isAbout, onAnswers, post, takeNames } from "./api.js";
import { answerPanel } from "./answers.js";
import { beginPage } from "./begin.js";
import { curve } from "./curve.js";
import { LabelIssues } from "./issues.js";
import { about, clock, h, percent, readable, say } from "./dom.js";
import { groupsPage } from "./groups.js";
import { helpAbout } from "./help.js";
import { giveFocus, isWriting, onKeys } from "./keys.js";
import { answersPage, inWords } from "./labels.js";
import { NONE, answerOf, namesOfModel, spoken, stored } from "./naming.js";
import { classColour } from "./palette.js";
import { Viewer } from "./viewer.js";

const WHY = {
  uncertain: "The model is unsure", typical: "Typical of a group of similar sounds",
  random: "Drawn at random, to measure the accuracy", similar: "Sounds like the one you chose", noise: "Sounds like noise", again: "Once more",
};
const sameLabels = (one, other) => one.length === other.length && one.every((name) => other.includes(name));
const ORDERS = { mix: "Most useful first", uncertain: "Least certain first", typical: "Typical first", random: "At random" };
const STEPS = { contrast: "Step 1 of 2: training", vectors: "Step 2 of 2: embeddings" };
const NEEDS_MODEL = ["uncertain"];
const CONTEXT = 0.5, POLL = 250, LEARN_POLL = 400, IMPROVE_POLL = 5000, GONE_POLL = 2000;

export async function labelPage(main, part) {
  const appState = await get("state");
  if (appState.has_project && part === "groups") return groupsPage(main);
  if (appState.has_project && part.startsWith("answers")) return answersPage(main, part.endsWith("/differ"));
  main.replaceChildren(h("h1", {}, "Label"));
  if (appState.has_project && part !== "projects") return new Labelling(main, part === "random" ? part : "mix").begin();
  helpAbout("label/projects");
  return beginPage(main, appState);
}

class Labelling {
  constructor(main, order) {
    this.viewer = null;
    this.item = null;
    this.stopped = false;
    this.skipped = null;  // what was skipped last, until something else is answered
    this.turn = 0;  // grows with each question asked for and each answer; what belongs to an earlier one comes too late
    this.states = 0;  // the same for the numbers
    this.name = nameField(() => this.next());
    this.order = h("select", { "aria-label": "What is asked first", onchange: () => { this.next(); this.state(); } }, Object.entries(ORDERS).map(([value, text]) => h("option", { value }, text)));
    this.order.value = order;
    this.plays = h("input", { type: "checkbox", checked: localStorage.getItem("plays") !== "no", onchange: () => localStorage.setItem("plays", this.plays.checked ? "yes" : "no") });
    this.count = h("span", { class: "soft small num", role: "status" });
    this.title = h("h2", {}, "…");
    this.why = h("p", { class: "soft small" }, " ");
    this.place = h("div", { class: "asked" });
    this.marks = h("div", { class: "chips marks" });
    this.events = [];  // answers about parts of the segment
    this.side = h("section", {});
    this.hint = h("p", { class: "note", hidden: true }, "There is no class yet. The quickest start is to ", h("a", { href: "#/label/groups" }, "name the groups"), ".");
    this.issues = new LabelIssues((found, issue) => this.choose(found, issue));
    this.panel = answerPanel({ keep: () => this.answer({ ...answerOf(this.issue.labels), note: "" }), answer: (said) => this.answer(said), undo: () => this.undo(), skip: () => this.skip(), similar: () => this.similar(), setSeveral: (on) => this.setSeveral(on), next: () => this.next(), play: () => this.viewer?.player.toggle() });
    main.append(h("div", { class: "row toolbar" }, this.order, h("label", { class: "small soft" }, this.plays, " play automatically"), this.name, this.count, h("a", { class: "small", href: "#/label/groups" }, "Groups"), h("a", { class: "small", href: "#/label/answers" }, "Answers and classes"), h("a", { class: "small", href: "#/label/projects" }, "Projects")), this.hint,
      h("div", { class: "labelling" }, h("section", {}, this.title, this.why, this.place, this.marks, this.panel.element), this.side));
  }

  get who() { return annotator(); }

  begin() {
    const endKeys = onKeys((event) => this.key(event));
    onAnswers((answers) => {
      if (this.stopped) return;
      this.state();
      if (answers.some((one) => this.item && isAbout(one, this.item))) this.askAgain();
    });
    this.state();
    this.next();
    return () => { this.stopped = true; endKeys(); clearTimeout(this.timer); clearTimeout(this.waits); this.viewer?.close(); };
  }

  async state() {
    const number = ++this.states;
    try {
      const state = await get("label");
      if (this.stopped || number !== this.states) return;
      this.count.textContent = `${state.answers} of ${state.segments} answered`;
      this.hint.hidden = Boolean(state.answers || !state.clusters);
      this.panel.setClasses(state.classes, state.looks, state.keys);
      takeNames(state);
      this.colours = new Map(state.classes.map((name, i) => [name, state.looks[name]?.colour || classColour(i)]));
      this.showEvents();
      this.panel.setSeveral(state.several_labels);
      this.several = state.several_labels;
      for (const one of this.order.options) one.disabled = NEEDS_MODEL.includes(one.value) && !state.rounds;
      this.showSide(state);
      clearTimeout(this.timer);
      if (this.ran && !state.learning.runs) {
        document.dispatchEvent(new Event("modelchange"));
        this.askAgain();
      }
      this.ran = state.learning.runs;
      if (state.learning.runs) this.timer = setTimeout(() => this.state(), LEARN_POLL);
      else if (state.improving?.state === "runs") this.timer = setTimeout(() => this.state(), this.stopping ? LEARN_POLL : IMPROVE_POLL);
    } catch (error) { say(error.message); }
  }

  async next() {
    const turn = ++this.turn;
    this.panel.wait(true);
    try {
      const found = await get("label/next", { annotator: this.who, strategy: this.order.value });
      if (turn !== this.turn || this.stopped) return;
      this.isChosen = false;
      await this.show(found);
    } catch (error) {
      if (turn !== this.turn || this.stopped) return;
      this.title.textContent = "Nothing to ask";
      this.why.textContent = error.message;
    }
  }

  // What is asked may be another segment now, or have other predictions. What was chosen, or is being answered, stays.
  askAgain() { if (!this.isChosen && !this.events.length && !this.panel.isBegun() && !isWriting(this.place)) this.next(); }

  // What somebody chose to listen to, in place of what is being asked for; its list may be far below the picture.
  choose(found, issue = null) {
    this.turn += 1;
    this.isChosen = true;
    this.title.scrollIntoView({ block: "nearest" });
    return this.show(found, issue);
  }

  async show({ item, sound, events = [] }, issue = null) {
    const isSame = this.viewer && item && this.item && isAbout(item, this.item) && !issue && !this.issue;
    this.issue = issue;
    this.events = events;
    this.item = item;
    this.showEvents();
    if (!isSame) {
      clearTimeout(this.waits);
      this.viewer?.close();
      this.viewer = null;
    }
    if (!item) {
      this.title.textContent = "Everything is answered";
      this.why.textContent = "No segment is left to listen to.";
      this.place.replaceChildren();
      this.panel.ask([]);
      return;
    }
    this.title.textContent = readable(item.file);
    const why = issue ? `Labelled ${spoken(issue.labels)}; the other answers suggest another label` : WHY[item.why] ?? item.why;
    this.why.textContent = `${why} · ${clock(item.start_time, 1)} – ${clock(item.end_time, 1)}`;
    this.panel.ask(item.predictions, Boolean(issue), item.hides_guess);
    if (isSame) this.panel.wait(false); else await this.open(item, sound, this.turn);
  }

  async open(item, id, turn) {
    const sound = await get(`sounds/${id}`);
    if (this.stopped || item !== this.item || turn !== this.turn) return;
    if (sound.folder_is_gone) {
      this.place.replaceChildren(h("p", { class: "note" }, `${sound.reason}. Is its disk connected? This page continues by itself once the folder is there again.`));
      this.waits = setTimeout(() => this.openAgain(item, turn), GONE_POLL);
      return;
    }
    if (sound.state === "failed") {
      this.place.replaceChildren(h("p", { class: "note" }, `This recording cannot be used: ${sound.reason}. Skip it.`));
      this.panel.wait(false);
      return;
    }
    if (sound.state !== "ready" || !sound.picture?.progress) {
      this.waits = setTimeout(() => this.open(item, id, turn), POLL);
      return;
    }
    this.viewer = new Viewer(sound);
    this.place.replaceChildren(this.viewer.element);
    const edge = sound.duration > item.end_time - item.start_time + 0.1 ? CONTEXT * (item.end_time - item.start_time) : 0;
    this.viewer.show(item.start_time - edge, item.end_time + edge);
    this.whole = [item.start_time, Math.min(item.end_time, sound.duration)];
    this.unchosen = edge ? this.whole : [0, 0];
    this.viewer.choose(...this.unchosen);
    this.showEvents();
    this.panel.wait(false);
    giveFocus(this.viewer.stage, { preventScroll: true });
    if (this.plays.checked && document.hasFocus()) this.viewer.player.play(this.whole);
  }

  // A recording whose folder was gone, once it may be there again.
  async openAgain(item, turn) {
    try {
      const { sound } = await post("label/open", item);
      if (this.stopped || item !== this.item || turn !== this.turn) return;
      await this.open(item, sound, turn);
    } catch (error) { say(error.message); }
  }

  async answer({ labels, presence, note }) {
    const { item, viewer, issue } = this;
    if (!item) return;
    if (issue) { this.settle(issue, labels, presence, note); return; }
    this.skipped = null;
    const chosen = viewer?.chosen ?? this.whole ?? [item.start_time, item.end_time];
    const [fmin_hz, fmax_hz] = viewer?.limits?.map((hz) => Math.round(hz)) ?? [null, null];
    const isWhole = fmin_hz === null && (chosen === this.whole || (Math.abs(chosen[0] - this.whole[0]) < 0.02 && Math.abs(chosen[1] - this.whole[1]) < 0.02));
    const [start_time, end_time] = isWhole ? [item.start_time, item.end_time] : chosen.map((time) => Math.round(time * 1000) / 1000);
    const [guess, guess_score] = item.predictions[0] ?? ["", 0];
    this.turn += 1;
    this.panel.wait(true);
    viewer?.player.pause();
    try {
      const { entry } = await post("label/answers", { file: item.file, start_time, end_time, fmin_hz, fmax_hz, labels, presence, note, annotator: this.who, source: item.source, guess, guess_score, asked: [item.start_time, item.end_time], ...namesOfModel(labels, item.predictions) });
      const said = presence === "positive" ? stored(labels, entry.labels) : presence === "negative" ? labels.length ? `Not ${labels.join(", ")}` : "None of the classes" : "Unsure";
      this.state();
      if (isWhole) {
        say(item.hides_guess && entry.more.guess ? `${said}. The model predicted ${spoken([entry.more.guess])}, ${percent(entry.more.guess_score)}` : said);
        await this.next();
        return;
      }
      say(`${said}. Draw the next part, or press Enter for the next segment`);
      this.events.push(entry);
      viewer.choose(...this.unchosen);
      this.panel.wait(false);
      this.showEvents();
    } catch (error) { say(`Not saved: ${error.message}`); this.panel.wait(false); }
  }

  // The answers about parts of the segment, each to be played and deleted.
  showEvents() {
    const names = new Set(this.events.flatMap(({ labels }) => labels));
    this.marks.replaceChildren(...this.events.map((event) => {
      const text = `${inWords(event)} ${clock(event.start_time, 2)} – ${clock(event.end_time, 2)}`;
      return h("span", {}, h("button", { type: "button", title: "Play", onclick: () => this.viewer?.playEvent(event.start_time, event.end_time) }, text),
        h("button", { type: "button", class: "quiet", "aria-label": `Delete ${text}`, onclick: () => this.removeEvent(event) }, "×"));
    }), ...names.size > 1 && !this.several ? [h("p", { class: "small soft" }, "The model does not learn from a segment with several labels while segments of this project have one label each. Several labels (M) changes this.")] : []);
    this.panel.setEvents(this.events.length);
    if (!this.viewer) return;
    this.viewer.boxes = this.events.map((event) => ({ ...event, text: event.labels.join(", "), colour: this.colours?.get(event.labels[0]) ?? "#fff" }));
    this.viewer.draw();
  }

  async removeEvent(event) {
    try {
      await post("label/answers/delete", { id: event.id, annotator: this.who });
      this.events = this.events.filter((one) => one !== event);
      this.showEvents();
      this.state();
    } catch (error) { say(error.message); }
  }

  // What becomes of an answer that looked wrong. "No" to what it sounds like keeps the answer.
  async settle({ file, start_time, end_time, ...issue }, labels, presence, note) {
    if (labels.length === 1 && labels[0] === issue.suggested.join(", ")) labels = issue.suggested;
    const isKept = presence === "negative" && labels.length > 0;
    const before = answerOf(issue.labels), kept = isKept || (presence === before.presence && sameLabels(labels, before.labels));
    this.turn += 1;
    const said = kept ? { ...before, review: "kept" } : { labels, presence, review: "changed" };
    this.panel.wait(true);
    this.viewer?.player.pause();
    try {
      const { entry } = await post("label/answers", { file, start_time, end_time, note, annotator: this.who, ...said });
      say(kept ? `Kept: ${spoken(issue.labels)}` : `Changed to ${stored(labels, entry.labels) || (presence === "negative" ? NONE : "unsure")}`);
      this.state();
      if (!this.issues.drop(this.issue)) await this.next();
    } catch (error) { say(`Not saved: ${error.message}`); this.panel.wait(false); }
  }

  async undo() {
    const { skipped } = this;
    this.skipped = null;
    try {
      if (skipped) {  // nothing was written down
        const { sound } = await post("label/open", skipped);
        await this.choose({ item: skipped, sound });
        return;
      }
      const { entry } = await post("label/undo", { annotator: this.who });
      say(`Undone: ${inWords(entry)}`);
      this.state();
      if (entry.more.review) { await this.issues.reopen(entry); return; }
      if (this.events.some(({ id }) => id === entry.id)) {
        this.events = this.events.filter(({ id }) => id !== entry.id);
        this.showEvents();
        return;
      }
      await this.next();
    } catch (error) { say(error.message); }
  }

  // No answer: nothing is written down, and it is asked again when nothing else is left.
  async skip() {
    const { item } = this;
    if (this.issue || !item) { this.next(); return; }
    this.turn += 1;
    this.panel.wait(true);
    this.viewer?.player.pause();
    try {
      await post("label/skip", { file: item.file, start_time: item.start_time, end_time: item.end_time, annotator: this.who });
      this.skipped = item;
      say("Skipped: the page asks again at the end");
      await this.next();
    } catch (error) { say(error.message); this.panel.wait(false); }
  }

  async setSeveral(several) {
    try {
      await post("label/several", { several });
      say(several ? "Segments can have several labels from now on" : "Segments have one label each from now on");
      await this.state();
    } catch (error) { say(error.message); }
  }

  async similar() {
    if (!this.item) return;
    try {
      const { n } = await post("label/similar", this.item);
      say(n ? `Answer this segment; similar ones come next (${n})` : "No other segment sounds like this one");
    } catch (error) { say(error.message); }
  }

  key(event) {
    if (event.key === " " && this.viewer && !event.target.closest?.(".stage")) { event.preventDefault(); this.viewer.player.toggle(); return; }
    if (this.panel.key(event.key)) event.preventDefault();
  }

  showSide(state) {
    const { learning } = state;
    const learn = h("button", { type: "button", class: "main", disabled: learning.runs, onclick: async () => {
      learn.disabled = true;
      try { await post("label/learn"); } catch (error) { say(error.message); }
      this.state();
    } }, learning.runs ? `Learning, ${learning.seconds.toFixed(0)} s` : learning.reason ? "Try again" : "Learn from the answers");
    const parts = [h("h2", {}, "The model"), h("div", { class: "row" }, learn, learning.history.length ? h("a", { href: "#/find" }, "Find in all recordings") : null)];
    if (learning.runs) parts.push(h("progress", { "aria-label": "Learning", max: "1", value: String(learning.share) }));
    if (learning.reason) parts.push(h("p", { class: "note" }, `Nothing was learned: ${learning.reason}`));
    if (learning.history.length) {
      const last = learning.history.at(-1);
      parts.splice(1, 0, ...accuracy(state, this.order.value === "random"));
      if (last.by_random.n) parts.push(h("p", { class: "small soft" }, "Measured on recordings that the model was not trained on. Segments without an answer may be easier, because the page asks about hard ones first."));
      if (last.by_random.n && last.left_out.n) parts.push(h("p", { class: "small" }, "Accuracy on all answers, each left out in turn: ", last.said.left_out));
      if (last.notes.length) parts.push(h("ul", { class: "small soft notes" }, last.notes.map((note) => h("li", {}, note))));
      parts.push(curve(learning.history.filter((step) => step.several_labels === last.several_labels)));
      parts.push(this.wrongButton(), this.issues.element);
    } else parts.push(h("p", { class: "small soft" }, "Two classes are enough to begin. Learn again whenever you like; each time adds a point to the learning curve."));
    parts.push(...this.vectors(state));
    if (state.disagreements) parts.push(h("p", { class: "small" }, h("a", { href: "#/label/answers/differ" }, `${state.disagreements} ${state.disagreements === 1 ? "segment" : "segments"} on which people disagree`)));
    this.side.replaceChildren(...parts);
  }

  vectors({ improving, vectors, can_improve: isOpen }) {
    const card = (...parts) => [h("section", { class: "improving" }, h("h2", {}, "Training on your recordings"), parts)];
    if (improving?.state !== "runs") {
      this.stopping = false;
      if (!isOpen) return vectors ? [h("p", { class: "small soft" }, `${vectors}.`)] : [];
      const go = h("button", { type: "button", onclick: async () => {
        go.disabled = true;
        try { await post("label/improve"); } catch (error) { say(error.message); }
        this.state();
      } }, "Go on");
      return card(h("div", { class: "row" }, h("span", { class: "small soft" }, improving?.reason || "Stopped. Finished work is kept."), go));
    }
    const { at: { n, total, seconds_left: left }, steps } = improving;
    const stop = h("button", { type: "button", class: "quiet", disabled: this.stopping, onclick: async () => {
      this.stopping = true;
      try { await post("label/improve/cancel"); } catch (error) { this.stopping = false; say(error.message); }
      this.state();
    } }, this.stopping ? "Stopping …" : "Stop");
    const bar = h("progress", { max: "1", "aria-label": "Training on the recordings" });
    if (total) bar.value = Math.min(1, n / total);
    return card(h("p", { class: "small soft" }, "The encoder is being trained on all of them, without labels. Go on labelling meanwhile. The trained encoder is used unless it predicts fewer of your answers correctly."), bar,
      h("div", { class: "row" }, h("span", { class: "small soft num" }, STEPS[steps.at(-1)] ?? "Starting", left ? ` · this step: ${about(left)} left` : ""), stop));
  }

  wrongButton() {
    const list = h("div", { class: "list" });
    const button = h("button", { type: "button", onclick: async () => {
      try {
        const { rows } = await get("label/wrong");
        list.replaceChildren(...rows.length ? rows.map((row) => h("button", { type: "button", onclick: async () => {
          const found = await post("label/open", row);
          found.item.predictions = [[row.guess, row.score]];
          this.choose(found).catch((error) => say(error.message));
        } }, h("b", {}, spoken(row.labels)), ` – predicted ${spoken([row.guess])}, ${percent(row.score)}`))
          : [h("p", { class: "small soft" }, "Every prediction since the first model was right.")]);
      } catch (error) { say(error.message); }
    } }, "Wrong predictions");
    return h("div", { class: "wrong" }, button, list);
  }
}
