// All answers in a list and the classes: heard again, changed, deleted; renamed, merged, given a colour and a key.

import { annotator, nameField } from "./annotator.js";
import { COMMANDS } from "./answers.js";
import { get, post, send, takeNames } from "./api.js";
import { clock, dot, fill, h, readable, say, waited } from "./dom.js";
import { giveFocus, isEnter } from "./keys.js";
import { NONE, chooseLabel, suggestions } from "./naming.js";
import { classColour } from "./palette.js";
import { Thumb, thumbSpeed } from "./thumb.js";

const MOST = 100, PAUSE = 150;
const none = (presence) => (presence === "negative" ? NONE : "unsure");
export const inWords = ({ labels, presence }) => (!labels.length ? none(presence) : presence === "positive" ? labels.join(", ") : `${presence === "negative" ? "not" : "perhaps"} ${labels.join(", ")}`);
const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

export async function answersPage(main, onlyDiffering) {
  main.replaceChildren(h("h1", {}, "Answers and classes"));
  const page = new Answers(main, onlyDiffering);
  await page.load();
  return () => page.thumb?.close();
}

class Answers {
  constructor(main, onlyDiffering) {
    this.most = MOST;
    this.text = h("input", { type: "search", placeholder: "Find", "aria-label": "Find in names and notes", oninput: waited(() => this.draw(), PAUSE) });
    const select = (label) => h("select", { "aria-label": label, onchange: () => this.draw() });
    [this.label, this.who] = [select("Class"), select("Annotator")];
    this.differing = h("input", { type: "checkbox", checked: onlyDiffering, onchange: () => this.draw() });
    this.count = h("span", { class: "soft small num", role: "status" });
    this.known = suggestions([]);
    this.told = h("div", { role: "status" });  // what became of tables that were imported
    this.place = h("div", {});
    this.list = h("ul", { class: "plain said-list" });
    this.more = h("button", { type: "button", onclick: () => { this.most += MOST; this.draw(); } }, "Show more");
    main.append(h("div", { class: "row toolbar" }, nameField(), h("button", { type: "button", title: "Undo what you did last", onclick: () => { this.told.replaceChildren(); this.act(() => post("label/undo", { annotator: annotator() }), "Undone"); } }, "Undo"), h("a", { href: "#/label" }, "Label one by one"), h("a", { href: "#/label/groups" }, "Groups")), this.known,
      h("section", { class: "classes" }, h("h2", {}, "Classes"), this.place),
      this.importing(),
      h("section", {}, h("h2", {}, "Answers"), h("div", { class: "row toolbar" }, this.text, this.label, this.who, h("label", { class: "small soft" }, this.differing, " only where people disagree"), thumbSpeed(() => (this.thumb ? [this.thumb] : [])), this.count), this.list, this.more));
  }

  // Tables of other programs, one after another.
  importing() {
    const { told } = this;
    const files = h("input", { type: "file", multiple: true, accept: ".csv,.tsv,.txt", class: "only-heard", id: "tables", onchange: async () => {
      told.replaceChildren();
      for (const file of files.files) await this.take(file, told);
      files.value = "";
      this.load(!this.isEditing()).catch((error) => say(error.message));
    } });
    return h("section", { class: "classes" }, h("h2", {}, "Import"), h("p", { class: "soft small" }, "Import labels from selection tables of Raven, label tracks of Audacity, CSV, or tables of BirdNET and Kaleidoscope. They become your answers; one Undo removes those of a file."),
      files, h("label", { class: "button", for: "tables" }, "Choose files …"), told);
  }

  async take(file, told, respell = false) {
    const tell = (...parts) => told.append(h("div", { class: "imported" }, h("b", {}, file.name), ...parts)), own = `${file.name}: `, without = (text) => (text.startsWith(own) ? text.slice(own.length) : text);
    try {
      const found = await send(`label/import`, { name: file.name, annotator: annotator(), respell: respell ? "true" : "" }, file);
      const spelled = Object.entries(found.spelled);
      if (spelled.length && !respell) {
        const place = h("div", {});
        tell(place);
        const agreed = await confirmed(place, `${spelled.map(([label, name]) => `“${label}” becomes “${name}”`).join("; ")}: they differ only in case or spaces.`, "Import");
        place.parentElement.remove();
        if (agreed) await this.take(file, told, true); else tell(": not imported");
        return;
      }
      const known = found.n_known ? `, ${found.n_known} already there` : "";
      tell(`: ${count(found.n_answers, "new answer")}${known}`, found.notes.length ? h("p", { class: "soft small" }, found.notes.join("; ")) : null,
        found.problems.length ? h("details", { open: found.problems.length < 6 }, h("summary", {}, `${count(found.problems.length, "row")} not used`), h("ul", { class: "small scrolls" }, found.problems.map((one) => h("li", {}, without(one.join(": ")))))) : null);
    } catch (error) { tell(`: ${without(error.message)}`); }
  }

  // Whether somebody is changing an answer or the name of a class, which drawing them again would end.
  isEditing() { return Boolean(this.list.querySelector(".edit") || this.place.querySelector(".renaming")); }

  async load(redraws = true) {
    const { rows, classes, keys, names_of } = await get("label/answers");
    this.rows = rows;
    takeNames({ names_of });
    this.looks = classes.map((look, i) => ({ ...look, shown: look.colour || classColour(i) }));
    this.keys = keys;
    this.names = classes.map(({ name }) => name);
    this.known.replaceWith(this.known = suggestions(this.names));
    const choices = (select, all, values) => {
      const chosen = select.value;
      select.replaceChildren(h("option", { value: "" }, all), ...values.map((value) => h("option", { value }, value)));
      select.value = values.includes(chosen) ? chosen : "";
    };
    choices(this.label, "All classes", this.names);
    choices(this.who, "All annotators", [...new Set(this.rows.map((row) => row.annotator))].sort());
    if (!redraws) return;
    this.drawClasses();
    this.draw();
  }

  // Does something, says so, and shows what holds then.
  async act(work, text) {
    try {
      const found = await work();
      await this.load();
      if (text) say(text);
      return found;
    } catch (error) { say(error.message); return null; }
  }

  drawClasses() {
    if (!this.looks.length) { fill(this.place, h("p", { class: "soft" }, "There is no class yet. The first answer adds one.")); return; }
    fill(this.place, h("ul", { class: "plain class-list" }, this.looks.map((look) => this.classRow(look))));
  }

  classRow({ name, n, colour, key, shown }) {
    const paint = h("input", { type: "color", value: shown, "aria-label": `Colour of ${name}`, onchange: () => this.look(name, paint.value, key) });
    const press = h("input", { type: "text", maxlength: "1", value: key, placeholder: this.keys[name] ?? "", autocomplete: "off", "aria-label": `Key of ${name}`, title: "A letter or digit that answers with this class", onchange: () => this.look(name, colour, press.value.toLowerCase()) });
    const ask = h("div", {}), title = h("b", {}, name);
    const rename = h("button", { type: "button", class: "quiet", "aria-label": `Rename ${name}`, title: "Or merge it with another class", onclick: () => {
      const field = h("input", { type: "text", class: "renaming", value: name, list: "labels", maxlength: "60", autocomplete: "off", "aria-label": `New name of ${name}`, onkeydown: (event) => { if (isEnter(event)) { event.preventDefault(); field.blur(); this.rename(name, field.value.trim(), ask); } if (event.key === "Escape") this.drawClasses(); } });
      title.replaceWith(field);
      rename.replaceWith(h("button", { type: "button", class: "main", onclick: () => this.rename(name, field.value.trim(), ask) }, "Save"));
      if (giveFocus(field)) field.select();
    } }, "Rename");
    return h("li", {}, h("div", { class: "look" }, paint, title, h("a", { class: "small", href: "#/label/answers", onclick: (event) => { event.preventDefault(); this.label.value = name; this.draw(); this.list.scrollIntoView(); } }, count(n, "answer")), h("label", { class: "small soft" }, "Key ", press), rename), ask);
  }

  look(name, colour, key) {
    if (COMMANDS.includes(key)) { say(`${key.toUpperCase()} already does something else; choose another key`); this.drawClasses(); return; }
    this.act(() => post("label/classes", { name, colour, key }), "Saved");
  }

  async rename(name, text, place) {
    if (!text || text === name) { this.drawClasses(); return; }
    const others = this.looks.filter((one) => one.name !== name);
    const to = await chooseLabel(text, others.map((one) => one.name), place);
    if (!to) return;
    const other = others.find((one) => one.name === to);
    if (other && !await confirmed(place, `“${to}” is already a class. All answers “${name}” become “${to}”.`, `Merge ${count(this.looks.find((one) => one.name === name).n, "answer")}`)) return;
    const done = await this.act(() => post("label/classes/rename", { name, to, merge: Boolean(other), annotator: annotator() }));
    if (!done) return;
    say(`${count(done.n, "answer")} changed from ${name} to ${to}. The model uses the new name once it has learned again.`);
    const { rounds } = await get("label");
    if (rounds) post("label/learn").catch((error) => say(error.message));
  }

  chosen() {
    const text = this.text.value.trim().toLowerCase(), name = this.label.value, who = this.who.value;
    return this.rows.filter((row) => (!name || row.labels.includes(name)) && (!who || row.annotator === who) && (!this.differing.checked || row.differs)
      && (!text || [row.file, row.note, ...row.labels].some((one) => one.toLowerCase().includes(text))));
  }

  draw() {
    const rows = this.chosen();
    this.count.textContent = rows.length === this.rows.length ? count(rows.length, "answer") : `${rows.length} of ${count(this.rows.length, "answer")}`;
    this.thumb?.close();
    fill(this.list, rows.slice(0, this.most).map((row) => this.row(row)));
    this.more.hidden = rows.length <= this.most;
  }

  row(row) {
    const { id, file, start_time, end_time } = row, place = h("div", { class: "heard" });
    const name = `${readable(file)}, ${clock(start_time, 1)} – ${clock(end_time, 1)}${row.fmin_hz === null && row.fmax_hz === null ? "" : `, ${row.fmin_hz ?? 0} – ${row.fmax_hz ?? "…"} Hz`}`;
    const button = (text, work) => h("button", { type: "button", class: "quiet", "aria-label": `${text}: ${name}`, onclick: work }, text);
    const colour = this.looks.find((one) => one.name === row.labels[0])?.shown;
    const item = h("li", {}, h("button", { type: "button", "aria-label": `Play ${name}`, onclick: () => this.play(row, place) }, "▶"),
      h("span", {}, dot(row.presence === "positive" && colour), h("b", {}, inWords(row)), row.note ? h("span", { class: "soft small" }, ` ${row.note}`) : null),
      h("span", { class: "soft small" }, name), h("span", { class: "soft small" }, [row.annotator, new Date(row.time).toLocaleDateString()].filter(Boolean).join(", ")),
      h("span", { class: "row" },
        row.differs && row.presence !== "uncertain" ? button("Use this answer", () => this.act(() => post("label/answers", { file, start_time, end_time, labels: row.labels, presence: row.presence, note: row.note, annotator: annotator(), review: "changed" }), "Saved: this answer replaces the others")) : null,
        button("Change", () => this.edit(row, place)),
        button("Delete", async () => {
          try {
            const back = await post("label/answers/delete", { id, annotator: annotator() });
            fill(item, h("span", { class: "soft" }, `Deleted: ${inWords(row)}, ${name}`), button("Restore", () => this.act(() => post("label/answers/delete", { id: back.id, annotator: annotator() }), "Restored")));
          } catch (error) { say(error.message); }
        })), place);
    return item;
  }

  play(row, place) {
    if (this.thumb?.button.isConnected && place.contains(this.thumb.button)) { this.thumb.toggle(); return; }
    this.thumb?.close();
    this.thumb?.button.remove();
    this.thumb = new Thumb(row);
    this.thumb.onready = () => this.thumb.toggle();
    place.prepend(this.thumb.button);
  }

  edit(row, place) {
    const ask = h("div", {});
    const save = (labels, presence) => this.act(() => post("label/answers/change", { id: row.id, labels, presence, annotator: annotator() }), "Changed");
    const field = h("input", { type: "text", list: "labels", value: row.labels.join("; "), maxlength: "200", autocomplete: "off", "aria-label": "Label; separate several with ;", onkeydown: (event) => { if (isEnter(event)) { event.preventDefault(); field.blur(); named(); } if (event.key === "Escape") form.remove(); } });
    const named = async () => {
      const labels = [];
      for (const text of field.value.split(";").filter((one) => one.trim())) {
        const name = await chooseLabel(text, this.names, ask);
        if (!name) return;
        labels.push(name);
      }
      if (labels.length) await save(labels, "positive");
    };
    const form = h("div", { class: "edit" }, h("div", { class: "row" }, field, h("button", { type: "button", class: "main", onclick: named }, "Save"),
      h("button", { type: "button", onclick: () => save([], "negative") }, "None of the classes"), h("button", { type: "button", onclick: () => save([], "uncertain") }, "Unsure"), h("button", { type: "button", class: "quiet", onclick: () => form.remove() }, "Cancel")), ask);
    place.querySelector(".edit")?.remove();
    place.append(form);
    if (giveFocus(field)) field.select();
  }
}

// Whether somebody agreed to what a sentence says.
function confirmed(place, text, action) {
  return new Promise((resolve) => {
    const end = (agreed) => { place.replaceChildren(); resolve(agreed); };
    const yes = h("button", { type: "button", class: "main", onclick: () => end(true) }, action);
    place.replaceChildren(h("div", { class: "note", role: "group", "aria-label": action }, text, h("div", { class: "row" }, yes, h("button", { type: "button", onclick: () => end(false) }, "Cancel"))));
    giveFocus(yes);
  });
}
