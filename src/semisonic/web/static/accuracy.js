// The accuracy of a model in large, with its interval; where there is none yet, the way to one.

import { h, percent } from "./dom.js";

const FIRST = 15;  // answers that give a first number

export function accuracy({ learning: { history }, n_random: n }, isRandom = false) {
  const last = history.at(-1);
  if (!last) return [];
  const { by_random: found, said } = last;
  if (found.n) {
    const bar = h("span", { class: "interval" }), part = h("i", {}), dot = h("b", {});
    Object.assign(part.style, { left: `${100 * found.low}%`, width: `${100 * (found.high - found.low)}%` });
    dot.style.left = `${100 * found.accuracy}%`;
    bar.append(part, dot);
    return [h("div", { class: "accuracy", "aria-hidden": "true" }, h("strong", { class: "num" }, percent(found.accuracy)), h("span", { class: "soft small num" }, `${Math.round(100 * found.low)} to ${percent(found.high)}`), bar),
      h("p", { class: "small" }, h("b", {}, "Accuracy on segments drawn at random: "), said.by_random)];
  }
  if (n >= FIRST) return [h("p", { class: "small" }, `${n} segments drawn at random are answered: Learn from the answers measures the accuracy.`)];
  return [h("p", { class: "small" }, h("b", {}, "The accuracy is not measured yet. "), isRandom ? `${n} of ${FIRST} segments drawn at random are answered.` : `Answer ${FIRST} segments drawn at random, then learn again, for a first number.`),
    ...isRandom ? [] : [h("div", { class: "row" }, h("a", { class: "button", href: "#/label/random" }, `Answer ${FIRST} at random`))]];
}
