// Two runs side by side: the test, numbers, classes, clips to hear, settings.

import { get, post } from "./api.js";
import { fill, h, percent } from "./dom.js";
import { Thumb } from "./thumb.js";

const SHOWN = 12;
const SHARES = ["accuracy", "balanced_accuracy", "macro_f1", "lwlrap", "mean_average_precision", "top_2_accuracy", "top_3_accuracy", "expected_calibration_error", "micro_f1"];

export class SideBySide {
  constructor() {
    this.element = h("section", { "aria-live": "polite", class: "beside" });
    this.thumbs = [];
  }

  close() { for (const thumb of this.thumbs) thumb.close(); this.thumbs = []; this.turn = null; }

  async show(names) {
    this.close();
    this.element.replaceChildren();
    if (names.length === 1) this.element.append(h("p", { class: "soft" }, `Choose another run to hold against ${names[0]}.`));
    if (names.length !== 2) return;
    const turn = this.turn = {};
    const card = h("div", { class: "card" }, h("h2", {}, "Side by side"), h("p", { class: "soft small" }, "Comparing …"));
    this.element.append(card);
    let found, reason;
    try { found = await get("runs/compare", { a: names[0], b: names[1] }); } catch (error) { reason = error.message; }
    const cards = await Promise.all(names.map((name) => get("runs/card", { name }).catch(() => ({ facts: {} }))));
    if (turn !== this.turn) return;
    fill(card, h("h2", {}, "Side by side"), (found ? this.parts(found) : [h("p", { class: "note" }, reason)]), this.settings(names, found?.settings ?? [], cards));
  }

  parts(found) {
    const [a, b] = found.names, { tests } = found;
    const where = found.where.map((name, i) => (name === found.names[i] ? (found.parts[i] === "validation" ? "validation clips" : name) : name));
    return [h("p", { class: "verdict" }, found.verdict),
      tests ? h("p", { class: "soft small" }, `${found.counts[0]} clips that both scored (${where[0]}; ${where[1]}). Clips: ${p(tests.p_clips)}${tests.p_folds === null ? "" : `; folds: ${p(tests.p_folds)}`}.`) : null,
      found.cautions.length ? h("ul", { class: "small soft" }, found.cautions.map((text) => h("li", {}, text))) : null,
      numbers([a, b], found.measures), this.classes(found), this.clips(found)];
  }

  classes({ names, classes, by_precision }) {
    if (!classes.length) return null;
    return h("details", { open: classes.length <= 12 }, h("summary", {}, `Classes, the largest difference first (${by_precision ? "average precision" : "share of its clips that is found"})`),
      table(["Class", "Clips", ...names, "Difference"], classes.map(({ label, n, a, b }) => [label, n, percent(a), percent(b), signed(b - a)])));
  }

  clips({ names, where, clips, n_clips, data }) {
    if (!clips.length) return h("p", { class: "soft small" }, "They call no clip by different names.");
    const list = h("div", { class: "cells" });
    const more = h("button", { type: "button", onclick: () => add() }, "Show more");
    let shown = 0;
    const add = () => {
      for (const clip of clips.slice(shown, shown + SHOWN)) list.append(this.clip(clip, names, where[0]));
      shown += SHOWN;
      more.hidden = shown >= clips.length;
    };
    add();
    const right = (which) => clips.filter((clip) => clip.right === which).length;
    return h("section", {}, h("h3", {}, `${n_clips} clips that they call differently`), h("p", { class: "soft small" }, `${names[0]} is right on ${right("a")}, ${names[1]} on ${right("b")}${n_clips > clips.length ? ` of the first ${clips.length}` : ""}.`), list, more,
      clips.every((clip) => clip.is_open) ? null : h("p", { class: "soft small" }, "To hear the others start the app with ", h("code", {}, `--folder ${data}`), "."));
  }

  clip({ clip, label, a, b, right, is_open }, names, run) {
    const thumb = is_open ? new Thumb({ file: clip, start_time: 0, end_time: Infinity }, () => post("runs/clip", { run, clip })) : null;
    if (thumb) this.thumbs.push(thumb);
    const said = (name, text, isRight) => h("div", {}, h("span", { class: "soft" }, `${name}: `), isRight ? h("b", {}, `${text} ✓`) : text);
    return h("div", { class: "cell small" }, thumb?.button, h("div", { class: "soft name" }, clip), h("div", {}, h("b", {}, label)), said(names[0], a, right === "a"), said(names[1], b, right === "b"));
  }

  settings(names, settings, cards) {
    const keys = [...new Set(cards.flatMap((one) => Object.keys(one.facts)))].filter((key) => cards[0].facts[key] !== cards[1].facts[key]);
    const rows = [...settings, ...keys.map((key) => [key, ...cards.map((one) => one.facts[key] ?? "–")])];
    if (!rows.length) return h("p", { class: "soft small" }, "All settings are the same.");
    return h("details", {}, h("summary", {}, `${rows.length} settings and facts that differ`), table(["", ...names], rows, 3));
  }
}

const LEFT_OUT = ["level", "n_clips", "n_recordings", "window_s"];
const p = (value) => (value < 0.001 ? "p < 0.001" : `p = ${value.toFixed(3)}`);
const signed = (share) => `${share > 0 ? "+" : share < 0 ? "−" : "±"}${Math.abs(100 * share).toFixed(0)}`;

function numbers(names, measures) {
  const shown = (name, value) => (value === null ? "–" : SHARES.includes(name) ? `${(100 * value).toFixed(1)} %` : Number.isInteger(value) ? value.toLocaleString("en") : value.toPrecision(3));
  return table(["All its clips", ...names, "Difference"], measures.filter(([name, a, b]) => SHARES.includes(name) || (a !== b && !LEFT_OUT.includes(name))).map(([name, a, b]) => [name.replaceAll("_", " "), shown(name, a), shown(name, b),
    a === null || b === null || !SHARES.includes(name) ? "" : `${b >= a ? "+" : "−"}${Math.abs(100 * (b - a)).toFixed(1)}`]));
}

// A table; from a column on, numbers.
function table(head, rows, first = 1) {
  const style = (i) => (i >= first ? "n" : undefined);
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": head.filter(Boolean).join(", ") }, h("table", {}, h("thead", {}, h("tr", {}, head.map((text, i) => h("th", { scope: "col", class: style(i) }, text)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value, i) => (i ? h("td", { class: style(i) }, String(value)) : h("th", { scope: "row" }, String(value)))))))));
}
