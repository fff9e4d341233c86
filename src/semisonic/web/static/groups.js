// Naming groups that sound alike by listening to a few of each; then the first model.

import { accuracy } from "./accuracy.js";
import { annotator, nameField } from "./annotator.js";
import { get, isAbout, onAnswers, post, takeNames } from "./api.js";
import { folded, foldedButtons, keysOf, use } from "./classes.js";
import { fill, h, say } from "./dom.js";
import { giveFocus, isEnter, isWriting, onKeys } from "./keys.js";
import { inWords } from "./labels.js";
import { chooseLabel, stored } from "./naming.js";
import { Thumb, thumbSpeed } from "./thumb.js";

const POLL = 400, NOISE = -1;

export async function groupsPage(main) {
  main.replaceChildren(h("h1", {}, "Groups that sound alike"));
  return new Naming(main).begin(await get("label/groups"));
}

class Naming {
  constructor(main) {
    this.thumbs = [];
    this.who = nameField();
    this.passed = new Set();  // numbers of groups that were skipped
    this.unfolded = false;
    this.skipped = null;  // the place of the last one, until something else is done
    this.count = h("span", { class: "soft small num", role: "status" });
    this.known = h("datalist", { id: "labels" });
    this.place = h("div", {}, h("p", { class: "soft" }, "Opening the groups …"));
    this.end = h("div", { class: "card first", hidden: true });
    main.append(h("p", { class: "soft" }, "Listen to a few sounds of each group and name what you hear. The name applies to these sounds only. If they differ, choose Mixed and name each one; if you cannot tell, skip the group."),
      h("div", { class: "row toolbar" }, this.who, thumbSpeed(() => this.thumbs), this.count, h("a", { href: "#/label" }, "Label one by one")), this.known, this.place, this.end);
  }

  begin(found) {
    this.take(found);
    const endKeys = onKeys((event) => this.key(event));
    this.show(this.open()[0] ?? -1);
    onAnswers((answers) => {
      const sounds = this.groups[this.number]?.sounds ?? [];
      if (!this.stopped && !this.isBegun() && answers.some((one) => sounds.some((sound) => isAbout(one, sound)))) this.refresh(this.number).catch((error) => say(error.message));
    });
    this.watch();
    return () => { this.stopped = true; clearTimeout(this.timer); endKeys(); this.clear(); };
  }

  take({ groups, noise, classes, keys, names_of }) {
    Object.assign(this, { groups: withNoise(groups, noise), classes, keys: keysOf(classes, keys) });
    this.keys.delete("x");  // parts the group here
    takeNames({ names_of });
  }

  // Whether an answer to this group has been begun.
  isBegun() { return this.mixed || this.out?.size > 0 || Boolean(this.name?.value) || isWriting(this.place); }

  clear() { for (const thumb of this.thumbs) thumb.close(); this.thumbs = []; }

  show(number) {
    this.clear();
    this.number = number;
    this.mixed = false;
    const n = this.groups.filter(isDone).length;
    this.count.textContent = `${n} of ${this.groups.length} groups done${this.passed.size ? `, ${this.passed.size} skipped` : ""}`;
    this.known.replaceChildren(...this.classes.map((value) => h("option", { value })));
    this.showEnd();
    const group = this.groups[number];
    if (!group) {
      fill(this.place, h("p", {}, this.passed.size ? "All other groups are done." : this.groups.length ? "All groups are done." : "No groups were found: there are too few recordings, or they are too different. Label one by one instead."),
        h("div", { class: "row" }, this.passed.size ? h("button", { type: "button", onclick: () => { this.passed.clear(); this.show(this.open()[0] ?? -1); } }, `Skipped groups (${this.passed.size})`) : null,
          this.groups.length ? this.back() : null));
      return;
    }
    this.thumbs = group.sounds.map((sound) => new Thumb(sound, undefined, true));
    this.out = new Set();
    this.fields = this.thumbs.map((thumb, i) => h("input", { type: "text", list: "labels", maxlength: "60", autocomplete: "off", placeholder: "Name, or leave empty", "aria-label": `Name of sound ${i + 1}`, onkeydown: (event) => { if (isEnter(event)) { event.preventDefault(); event.target.blur(); this.leaveField(i); } } }));
    this.name = h("input", { type: "text", list: "labels", maxlength: "60", autocomplete: "off", placeholder: "What do you hear?", "aria-label": "Name of the group", onkeydown: (event) => { if (isEnter(event)) { event.preventDefault(); this.name.blur(); this.nameAll(this.name.value); } if (event.key === "Escape") this.name.blur(); } });
    this.asks = h("div", {});
    this.body = h("div", { class: "card group" });
    this.place.replaceChildren(this.body);
    this.draw();
    const next = this.groups[this.open().find((one) => one > number)];
    for (const { file, start_time, end_time } of next?.sounds ?? []) post("label/open", { file, start_time, end_time }).catch(() => {});  // checked meanwhile
  }

  draw() {
    const group = this.groups[this.number], hint = (key) => h("kbd", { "aria-hidden": "true" }, key);
    const cells = this.thumbs.map((thumb, i) => h("div", { class: this.out.has(i) ? "cell out" : "cell" }, thumb.button,
      this.mixed ? this.fields[i] : h("label", { class: "small soft" }, h("input", { type: "checkbox", "aria-label": `Sound ${i + 1} belongs to the group`, checked: !this.out.has(i), onchange: () => this.toggleOut(i) }), " belongs to the group")));
    const act = (text, key, work, style) => h("button", { type: "button", class: style, onclick: work, "aria-keyshortcuts": key }, text, hint(key));
    const byName = new Map([...this.keys].map(([key, name]) => [name, key]));
    const classButton = (name) => h("button", { type: "button", "aria-keyshortcuts": byName.get(name)?.toUpperCase(), onclick: () => this.nameAll(name) }, name, byName.has(name) ? hint(byName.get(name).toUpperCase()) : null);
    const isNoise = group.number === NOISE, nothing = this.mixed ? null : act("None of the classes", "0", () => this.nameNothing(), isNoise ? "main" : undefined);
    const answers = this.mixed
      ? [h("button", { type: "button", class: "main", onclick: () => this.saveMixed() }, "Save"), h("button", { type: "button", onclick: () => { this.mixed = false; this.draw(); } }, "One name for all")]
      : [act("Play", "Space", () => this.playNext()), isNoise ? nothing : null, this.name, h("button", { type: "button", class: isNoise ? undefined : "main", onclick: () => this.nameAll(this.name.value) }, "Name")];
    fill(this.body, h("h2", {}, `Group ${this.number + 1} of ${this.groups.length}`, h("span", { class: "soft small" }, isNoise ? " · like noise, hum or silence" : ` · ${group.size} segments${group.is_noise ? ", like steady noise" : ""}`)),
      isNoise || group.is_noise ? h("p", { class: "small" }, "If no class is present in these sounds, press None of the classes: the model learns from this answer, too.") : null,
      h("div", { class: "cells" }, cells), h("div", { class: "dock" }, h("div", { class: "row" }, answers), this.asks,
      this.mixed ? null : h("div", { class: "answers" }, foldedButtons(folded(this.classes, this.keys), classButton, this.unfolded, () => { this.unfolded = !this.unfolded; this.draw(); }))),
      h("div", { class: "row actions" }, this.mixed ? act("Play", "Space", () => this.playNext()) : null, this.mixed ? null : act("Mixed", "M", () => this.mix()), isNoise ? null : nothing, isLarge(group) ? act("Split", "X", () => this.split()) : null, act("Skip", "S", () => this.skip()), this.back()));
  }

  back() { return h("button", { type: "button", onclick: () => this.undo(), "aria-keyshortcuts": "Z" }, "Undo", h("kbd", { "aria-hidden": "true" }, "Z")); }

  toggleOut(i) { if (this.out.has(i)) this.out.delete(i); else this.out.add(i); this.draw(); }

  mix() {
    this.mixed = true;
    this.draw();
    this.nameOne(0);
  }

  // The sound that is heard is the one whose field has the focus.
  nameOne(i) {
    giveFocus(this.fields[i]);
    const thumb = this.thumbs[i];
    if (thumb && !thumb.player?.playing) thumb.toggle();
  }

  leaveField(i) {
    if (i + 1 < this.fields.length) this.nameOne(i + 1); else this.saveMixed();
  }

  playNext() {
    const playing = this.thumbs.findIndex((thumb) => thumb.player?.playing);
    if (playing >= 0) { this.thumbs[playing].toggle(); return; }
    const next = this.thumbs.findIndex((thumb) => !thumb.heard);
    (this.thumbs[next] ?? this.thumbs[0])?.toggle();
  }

  said(i, labels) {
    const { file, start_time, end_time, source } = this.groups[this.number].sounds[i];
    return { file, start_time, end_time, source, labels, presence: "positive", annotator: annotator() };
  }

  async nameAll(text) {
    const name = await chooseLabel(text, this.classes, this.asks);
    if (!name) { giveFocus(this.name); return; }
    const inside = this.thumbs.map((_, i) => i).filter((i) => !this.out.has(i));
    if (!inside.length) { say("No sound belongs to the group: choose Mixed or Skip."); return; }
    use(name);
    this.save(inside.map((i) => this.said(i, [name])), name);
  }

  // A sound without a name gets no answer.
  async saveMixed() {
    const named = [];
    for (const [i, field] of this.fields.entries()) {
      const name = await chooseLabel(field.value, [...this.classes, ...named.map(([, one]) => one)], this.asks);
      if (name) named.push([i, name]);
      else if (field.value.trim()) { giveFocus(field); return; }
    }
    if (!named.length) { say("No sound has a name: write one or skip the group."); return; }
    this.save(named.map(([i, name]) => this.said(i, [name])), `${named.length} ${named.length === 1 ? "answer" : "answers"} saved`);
  }

  nameNothing() {
    const inside = this.thumbs.map((_, i) => i).filter((i) => !this.out.has(i));
    if (!inside.length) { say("No sound belongs to the group: choose Mixed or Skip."); return; }
    this.save(inside.map((i) => ({ ...this.said(i, []), presence: "negative" })), "None of the classes");
  }

  skip() {
    this.passed.add(this.groups[this.number].number);
    this.skipped = this.number;
    say("Skipped: nothing was saved");
    this.show(this.nextOpen(this.number + 1));
  }

  // Parts the group in two: the larger part stays here, the other one has the highest number.
  async split() {
    if (this.saving) return;
    this.saving = true;
    this.body.inert = true;
    try {
      await post("label/groups/split", { number: this.groups[this.number].number });
      await this.refresh(this.number);
      const other = this.groups.reduce((last, group, i) => (group.number > this.groups[last].number ? i : last), 0);
      say(`Split: the other part is group ${other + 1}`);
    } catch (error) { say(error.message); this.body.inert = false; }
    this.saving = false;
  }

  async save(answers, text) {
    if (this.saving) return;
    this.saving = true;
    this.skipped = null;
    this.body.inert = true;
    try {
      const { labels } = await post("label/answers/batch", { answers }), names = (lists) => [...new Set(lists.flat())];
      const given = names(answers.map((one) => one.labels)), kept = names(labels);
      say(given.every((name) => kept.includes(name)) ? text : stored(given, kept));
      await this.refresh(this.number + 1);
    } catch (error) { say(`Not saved: ${error.message}`); this.body.inert = false; }
    this.saving = false;
  }

  async undo() {
    if (this.skipped !== null) {  // nothing was written down
      const number = this.skipped;
      this.skipped = null;
      this.passed.delete(this.groups[number].number);
      this.show(number);
      return;
    }
    try {
      const { entry } = await post("label/undo", { annotator: annotator() });
      say(`Undone: ${inWords(entry)}`);
      await this.refresh(this.groups.findIndex((group) => group.sounds.some((sound) => sound.file === entry.file && sound.start_time === entry.start_time)));
    } catch (error) { say(error.message); }
  }

  // Shows the first open group from a place on, then from the beginning.
  async refresh(from) {
    const found = await get("label/groups");
    if (this.stopped) return;
    this.take(found);
    this.show(this.nextOpen(from));
  }

  // The places of groups that are neither done nor skipped.
  open() { return this.groups.map((group, i) => (isDone(group) || this.passed.has(group.number) ? -1 : i)).filter((i) => i >= 0); }

  nextOpen(from) { const open = this.open(); return open.find((i) => i >= from) ?? open[0] ?? -1; }

  // How learning stands; without an argument as it was shown last, with the classes there are now.
  showEnd(learning = this.learning) {
    this.learning = learning;
    this.end.hidden = this.classes.length < 2;
    if (learning?.runs) {
      this.end.replaceChildren(h("h2", {}, `Learning, ${learning.seconds.toFixed(0)} s`), h("progress", { "aria-label": "Learning", max: "1", value: String(learning.share ?? 0) }));
      return;
    }
    if (learning?.reason) {
      this.end.replaceChildren(h("p", { class: "note" }, `Nothing was learned: ${learning.reason}`),
        h("div", { class: "row" }, h("button", { type: "button", class: "main", onclick: () => this.learn() }, "Try again")));
      return;
    }
    if (learning?.done) {
      const last = learning.history.at(-1);
      this.end.replaceChildren(h("h2", {}, learning.history.length > 1 ? "The model" : "The first model is made"),
        h("p", {}, `It knows ${last.n_classes} classes from ${last.n_answers} answers.`), ...accuracy({ learning, n_random: learning.n_random }),
        last.notes.length ? h("ul", { class: "small soft notes" }, last.notes.map((note) => h("li", {}, note))) : "",
        h("div", { class: "row" }, h("a", { class: "button main", href: "#/label" }, "Go on: label one by one"), h("a", { class: "button", href: "#/find" }, "Find in all recordings")));
      return;
    }
    this.end.replaceChildren(h("div", { class: "row" }, h("button", { type: "button", class: "main", onclick: () => this.learn() }, "Make the first model"),
      h("span", { class: "soft small" }, `${this.classes.length} classes so far; two are enough`)));
  }

  async learn() {
    this.showEnd({ runs: true, seconds: 0 });
    try { await post("label/learn"); this.asked = true; } catch (error) { say(error.message); }
    this.watch();
  }

  // How a round of learning stands, also one that began before the page was loaded again.
  async watch() {
    try {
      const { learning, n_random } = await get("label");
      if (this.stopped) return;
      if (learning.runs) { this.asked = true; this.showEnd(learning); this.timer = setTimeout(() => this.watch(), POLL); return; }
      this.showEnd({ ...learning, n_random, done: learning.history.length > 0 });
      if (this.asked) document.dispatchEvent(new Event("modelchange"));
      this.asked = false;
    } catch (error) { say(error.message); }
  }

  key(event) {
    if (event.key.toLowerCase() === "z") { this.undo(); return; }
    if (!this.groups[this.number]) return;
    const name = this.mixed ? undefined : this.keys.get(event.key.toLowerCase());
    const keys = { " ": () => this.playNext(), m: () => this.mixed || this.mix(), 0: () => this.mixed || this.nameNothing(), x: () => isLarge(this.groups[this.number]) && this.split(), s: () => this.skip(), "/": () => giveFocus(this.name) };
    const work = name ? () => this.nameAll(name) : keys[event.key.toLowerCase()];
    if (!work) return;
    event.preventDefault();
    work();
  }
}

// Groups like steady noise come last. The last group of all is of sounds like noise, to tell the model what has no name.
function withNoise(groups, noise) {
  const ordered = [...groups.filter((group) => !group.is_noise), ...groups.filter((group) => group.is_noise)];
  return groups.length && noise.length ? [...ordered, { number: NOISE, size: noise.length, sounds: noise }] : ordered;
}
const isLarge = (group) => group.size > group.sounds.length;  // else each sound is shown
const isDone = (group) => group.sounds.some((sound) => sound.said !== null);
