// Which class a typed text means: asked where it is not clear, so that "Cat" and "cat" do not both come to be.

import { h } from "./dom.js";
import { giveFocus } from "./keys.js";

const spelling = (text) => text.replace(/\s+/gu, "").toLowerCase();

// Classes of which a word begins as the text does.
export function beginningWith(text, classes) {
  const wanted = spelling(text);
  return classes.filter((name) => [name, ...name.split(/[\s_-]+/u)].some((word) => spelling(word).startsWith(wanted)));
}

// What the model calls sounds in which no class is heard. It is no name to give: that answer is "none of the classes".
export const NOTHING = "background", NONE = "none of the classes";

// Labels of the model as the page says them, and as an answer; of its classes those that have a name.
const isNothing = (labels) => labels.length === 1 && labels[0] === NOTHING;
export const spoken = (labels) => (isNothing(labels) || !labels.length ? NONE : labels.join(", "));
export const named = (classes) => classes.filter((name) => name !== NOTHING);
export const answerOf = (labels) => (isNothing(labels) ? { labels: [], presence: "negative" } : { labels, presence: "positive" });

// What a button is called that rejects a prediction.
export const notText = (name) => (name === NOTHING ? "One of the classes" : `Not ${name}`);

// A model keeps the old name of a renamed class until it learns again: of such a name, the answer does not say from when it is.
export const namesOfModel = (labels, predictions) => (predictions.some(([name]) => labels.includes(name)) ? { names_of: "" } : {});

// The labels as they were stored, with a word about those that somebody has renamed meanwhile.
export const stored = (labels, kept) => kept.join(", ") + (labels.join() === kept.join() ? "" : `: ${labels.filter((name) => !kept.includes(name)).map((name) => `“${name}”`).join(", ")} has been renamed`);

// The suggestions of a field for a label; its `list` names the id.
export const suggestions = (classes, id = "labels") => h("datalist", { id }, classes.map((value) => h("option", { value })));

// Gives the name of a class, one that is new included, or "" if none was chosen.
// A key that calls it must have left its field, and not go on to the button that is focused here: preventDefault().
export async function chooseLabel(text, classes, place) {
  const name = text.trim();
  if (!name || classes.includes(name)) return name;
  const same = classes.filter((one) => spelling(one) === spelling(name));
  const found = same.length ? same : classes.filter((one) => spelling(one).startsWith(spelling(name)));
  if (!found.length) return name;
  return new Promise((resolve) => {
    const end = (chosen) => { place.replaceChildren(); resolve(chosen); };
    const take = (one, text = one) => h("button", { type: "button", onclick: () => end(one) }, text);
    const asked = h("div", { class: "note", role: "group", "aria-label": "Which label?", onkeydown: (event) => { if (event.key === "Escape") { event.stopPropagation(); end(""); } } },
      same.length ? `“${name}” differs from “${same[0]}” only in case or spaces.` : `Some classes begin with “${name}”.`,
      h("div", { class: "row" }, found.map((one) => take(one, same.length ? `Use ${one}` : one)), same.length ? null : take(name, `New label: ${name}`), take("", "Cancel")));
    place.replaceChildren(asked);
    giveFocus(asked.querySelector("button"));
  });
}
