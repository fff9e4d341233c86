// Answers that look wrong: a list to listen through, and what is kept or changed.

import { get, post } from "./api.js";
import { h, percent, say } from "./dom.js";
import { spoken } from "./naming.js";

const POLL = 500;

export class LabelIssues {
  constructor(show) {
    this.show = show;  // is given what to show and the answer
    this.rows = [];
    this.list = h("div", { class: "list" });
    this.button = h("button", { type: "button", onclick: () => this.load() }, "Suspicious labels");
    this.element = h("div", { class: "wrong" }, this.button, this.list);
  }

  async load() {
    this.button.disabled = true;
    const bar = h("progress", { max: "1", value: "0", "aria-label": "Checking answers" });
    this.list.replaceChildren(h("p", { class: "small soft", role: "status" }, "Checking each answer against the others …"), bar);
    const timer = setInterval(() => get("label").then(({ judging }) => { bar.value = judging ?? bar.value; }).catch(() => {}), POLL);
    try {
      this.rows = (await get("label/issues")).rows;
      this.draw();
    } catch (error) { this.list.replaceChildren(h("p", { class: "small soft" }, error.message)); }
    clearInterval(timer);
    this.button.disabled = false;
  }

  draw(current) {
    const head = this.rows.length ? `${this.rows.length} ${this.rows.length === 1 ? "answer looks" : "answers look"} wrong; the label with the lowest score comes first. It may still be right: listen, then keep (K) or change it.` : "No answer looks wrong.";
    this.list.replaceChildren(h("p", { class: "small soft" }, head), ...this.rows.map((row) => h("button", { type: "button", "aria-current": row === current ? "true" : undefined, onclick: () => this.open(row) },
      h("b", {}, spoken(row.labels)), ` ${percent(row.score)}; sounds like ${spoken(row.suggested)}, ${percent(row.suggested_score)}`)));
  }

  async open(row) {
    this.draw(row);
    try {
      const found = await post("label/open", row);
      found.item.predictions = row.suggested.length ? [[row.suggested.join(", "), row.suggested_score]] : [];
      found.item.why = "issue";
      await this.show(found, row);
    } catch (error) { say(error.message); }
  }

  // One that was looked at is in doubt again.
  async reopen({ file, start_time }) {
    await this.load();
    const row = this.rows.find((one) => one.file === file && Math.abs(one.start_time - start_time) < 1e-3);
    if (row) await this.open(row);
  }

  // One was looked at; whether another one follows.
  drop(row) {
    this.rows = this.rows.filter((one) => one !== row);
    this.draw();
    if (!this.rows.length) return false;
    this.open(this.rows[0]);
    return true;
  }
}
