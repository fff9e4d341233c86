// The focus and the keys of the page. A field keeps both: whoever types there would press keys with the rest of the word.

const FIELD = "input, select, textarea", PRESSED = "[type=button], [type=checkbox], [type=color], [type=file], [type=radio], [type=range], [type=submit]";

const isField = (element) => Boolean(element?.matches?.(FIELD) || element?.isContentEditable);
const isWritten = (element) => isField(element) && !element.matches(PRESSED);

// Whether somebody is at a field to write or choose in it, in a part of the page or anywhere.
export const isWriting = (part = document) => isWritten(document.activeElement) && part.contains(document.activeElement);

// Gives an element the focus, unless a field has it; whether it was given.
// A field that somebody has left with a key gives it up before: blur().
export function giveFocus(element, options) {
  if (!element || isField(document.activeElement)) return false;
  element.focus(options);
  return true;
}

// Replaces what a part of the page holds. Who is at a field there is at the field of the same name afterwards.
export function keepingField(part, replace) {
  const at = document.activeElement, before = isField(at) && part.contains(at) ? at : null;
  replace();
  if (!before || before === document.activeElement) return;
  const after = before.isConnected ? before : [...part.querySelectorAll(FIELD)].find((one) => one.ariaLabel && one.ariaLabel === before.ariaLabel);
  if (!giveFocus(after, { preventScroll: true }) || after === before || !isWritten(after)) return;
  after.value = before.value;
  if (before.selectionStart !== null && before.selectionStart !== undefined) after.setSelectionRange(before.selectionStart, before.selectionEnd);
}

// Whether a text in a field is finished; the key that chooses among signs of an input method finishes none.
export const isEnter = (event) => event.key === "Enter" && !event.isComposing;

// Whether a key is meant for the page: it is neither typed into a field nor presses or moves what has the focus.
function isShortcut(event, repeats) {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || (event.repeat && !repeats(key))) return false;
  if (isWritten(target) || isWritten(document.activeElement)) return false;
  if (target.matches?.("[type=range]") && key.startsWith("Arrow")) return false;
  return !(target.matches?.("button, a, summary, input") && ["Enter", " "].includes(key));
}

// Calls `work` with each key for the page, or for an element that has the focus; returns what ends that.
// A key that is held counts once, unless it `repeats`.
export function onKeys(work, { at = document, repeats = () => false } = {}) {
  const pressed = (event) => { if (isShortcut(event, repeats)) work(event); };
  at.addEventListener("keydown", pressed);
  return () => at.removeEventListener("keydown", pressed);
}
