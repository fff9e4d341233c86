// Who answers: a name, or what this browser calls itself as long as nobody gave one.

import { h } from "./dom.js";

// Two people without a name would be one: they would overwrite and take back each other's answers.
function guest() {
  let found = localStorage.getItem("guest");
  if (!found) {
    const bytes = crypto.getRandomValues(new Uint8Array(4));
    found = `guest-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    localStorage.setItem("guest", found);
  }
  return found;
}

export const annotator = () => localStorage.getItem("annotator")?.trim() || guest();

export function nameField(changed = () => {}) {
  const field = h("input", {
    type: "text", value: localStorage.getItem("annotator") ?? "", maxlength: "60", autocomplete: "off", "aria-label": "Your name",
    placeholder: `Your name (now ${guest()})`, title: `Saved with each of your answers; without a name, it is ${guest()}`,
    onchange: () => { localStorage.setItem("annotator", field.value.trim()); changed(); },
  });
  return field;
}
