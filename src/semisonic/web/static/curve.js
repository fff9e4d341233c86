// The learning curve: accuracy on segments drawn at random, by the number of answers.

import { h, percent } from "./dom.js";

const WIDE = 300, TALL = 150, LEFT = 38, BOTTOM = 24, TOP = 8, RIGHT = 8;

function draw(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

export function curve(history) {
  const most = Math.max(...history.map((step) => step.n_answers), 1);
  const x = (n) => LEFT + (n / most) * (WIDE - LEFT - RIGHT), y = (share) => TOP + (1 - share) * (TALL - TOP - BOTTOM);
  const measured = history.filter((step) => step.by_random.n);  // what was chosen says little alone
  const picture = draw("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, class: "curve", role: "img", "aria-label": "Learning curve; the values are in the table below" });
  for (const share of [0, 0.5, 1]) {
    picture.append(draw("line", { x1: LEFT, x2: WIDE - RIGHT, y1: y(share), y2: y(share), class: "grid" }),
      draw("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, percent(share)));
  }
  picture.append(draw("text", { x: WIDE - RIGHT, y: TALL - 6, "text-anchor": "end" }, `${most} answers`));
  const lines = [["by_random", "at-random"], ["left_out", "left-out"]];
  for (const [key, style] of lines) {
    const points = measured.filter((step) => step[key].n);
    if (points.length > 1) picture.append(draw("polyline", { points: points.map((step) => `${x(step.n_answers)},${y(step[key].accuracy)}`).join(" "), class: style }));
    for (const step of points) {
      if (key === "by_random") picture.append(draw("line", { x1: x(step.n_answers), x2: x(step.n_answers), y1: y(step[key].low), y2: y(step[key].high), class: style }));
      picture.append(draw("circle", { cx: x(step.n_answers), cy: y(step[key].accuracy), r: 3.5, class: style }));
    }
  }
  const cell = (step, key) => h("td", { class: "n" }, step[key].n && step.by_random.n ? step.said[key] : "–");
  const legend = ([style, text]) => h("div", {}, h("span", { class: `key ${style}` }), text);
  return h("figure", { class: "learned", hidden: !measured.length }, picture,
    h("figcaption", { class: "small soft" }, [["at-random", "segments drawn at random: the accuracy to trust"], ["left-out", "all answers, each left out in turn"]].map(legend)),
    h("details", {}, h("summary", {}, "Values"), h("table", {}, h("thead", {}, h("tr", {}, ["Answers", "At random", "Left out"].map((text) => h("th", { class: "n", scope: "col" }, text)))),
      h("tbody", {}, history.map((step) => h("tr", {}, h("td", { class: "n" }, String(step.n_answers)), cell(step, "by_random"), cell(step, "left_out")))))));
}
