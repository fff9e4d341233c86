// Whether the app answers: a line says so when it does not, and goes away once it does again.

import { h, say } from "./dom.js";

const AGAIN = 1000;
let line = null;

// As fetch; without an answer it is an error in plain words.
export async function reach(address, options) {
  try { return await fetch(address, options); } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new Error("the app does not answer");
  }
}

// Asks again and again. What is shown then is made anew, as another start of the app knows no open sounds.
export function lost() {
  if (line) return;
  line = h("div", { class: "lost note", role: "alert" }, h("b", {}, "The app does not answer. "),
    "It was ended in the terminal, or the connection is broken. Start it again there, with the same command: this page then goes on by itself. What was saved is kept.");
  document.body.append(line);
  const ask = async () => {
    let found;
    try { found = await fetch("/api/state"); } catch { setTimeout(ask, AGAIN); return; }
    if (!found.ok) { location.reload(); return; }  // another token
    line.remove();
    line = null;
    say("The app answers again");
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  setTimeout(ask, AGAIN);
}
