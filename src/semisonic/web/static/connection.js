// Whether the app answers: a line says so when it does not, and goes away once it does again.

import { h, say } from "./dom.js";

const AGAIN = 1000;
let line = null, start = null;

// As fetch; without an answer it is an error in plain words. Another start of the app may have other folders: all is loaded anew.
export async function reach(address, options) {
  try {
    const found = await fetch(address, options), its = found.headers.get("Semisonic-Start");
    start ??= its;
    if (its && its !== start) location.reload();
    return found;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new Error("the app does not answer");
  }
}

// Asks again and again.
export function lost() {
  if (line) return;
  line = h("div", { class: "lost note", role: "alert" }, h("b", {}, "The app does not answer. "),
    "It was stopped in the terminal, or the connection was lost. Start it again with the same command, and this page continues by itself. Saved answers are kept.");
  document.body.append(line);
  const ask = async () => {
    let found;
    try { found = await reach("/api/state"); } catch { setTimeout(ask, AGAIN); return; }
    if (!found.ok) { location.reload(); return; }  // another token
    line.remove();
    line = null;
    say("The app answers again");
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  setTimeout(ask, AGAIN);
}
