// The classes to choose from: those with a key and those used last in view, the others folded; and their colours.

import { h } from "./dom.js";

const DIGITS = [..."123456789"], MOST_SHOWN = 15, MOST_RECENT = 5;

// Which key answers with which class. Names that nobody has given yet, such as those of the model, have the digits that are left.
export function keysOf(names, given) {
  const keys = new Map(names.filter((name) => given[name]).map((name) => [given[name], name]));
  const free = DIGITS.filter((key) => !keys.has(key));
  for (const name of names.filter((one) => !given[one]).slice(0, free.length)) keys.set(free.shift(), name);
  return keys;
}

let recent = [];  // the newest first
export function use(name) { recent = [name, ...recent.filter((one) => one !== name)].slice(0, MOST_RECENT); }

// The classes in two parts: always in view, and folded if there are many.
export function folded(names, keys) {
  const byKey = new Map([...keys].map(([key, name]) => [name, key])), byName = (one, other) => one.localeCompare(other);
  const keyed = [...byKey.keys()].sort((one, other) => byKey.get(one).localeCompare(byKey.get(other))), others = names.filter((name) => !byKey.has(name)).sort(byName);
  if (names.length <= MOST_SHOWN) return [[...keyed, ...others], []];
  const last = recent.filter((name) => others.includes(name));
  return [[...keyed, ...last], others.filter((name) => !last.includes(name))];
}

// A list of buttons of which the second part is unfolded by one more.
export function foldedButtons([first, rest], button, isOpen, toggle) {
  if (!rest.length) return first.map(button);
  const more = h("button", { type: "button", class: "quiet", "aria-expanded": String(isOpen), onclick: toggle }, isOpen ? "Fewer classes" : `${rest.length} more ${rest.length === 1 ? "class" : "classes"}`);
  return [...first.map(button), more, ...isOpen ? rest.map(button) : []];
}
