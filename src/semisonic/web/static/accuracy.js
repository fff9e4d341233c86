// The accuracy of a model in large, with its interval; where there is none yet, the way to one.

import { h, percent } from "./dom.js";

const FIRST = 15;  // answers that give a first number

// The number and a bar of its interval; a text beside it says the same.
export function large({ accuracy: share, low, high }) {
  const bar = h("span", { class: "interval" }), part = h("i", {}), dot = h("b", {});
  Object.assign(part.style, { left: `${100 * low}%`, width: `${100 * (high - low)}%` });
  dot.style.left = `${100 * share}%`;
  bar.append(part, dot);
  return h("div", { class: "accuracy", "aria-hidden": "true" }, h("strong", { class: "num" }, percent(share)), h("span", { class: "soft small num" }, `${Math.round(100 * low)} to ${percent(high)}`), bar);
}

export function accuracy({ learning: { history }, n_random: n }, isRandom = false) {
  const last = history.at(-1);
  if (!last) return [];
  const { by_random: found, said } = last;
  if (found.n) {
    return [large(found),
      h("p", { class: "small" }, h("b", {}, "Accuracy on segments drawn at random: "), said.by_random)];
  }
  if (n >= FIRST) return [h("p", { class: "small" }, `${n} segments drawn at random are answered: Learn from the answers measures the accuracy.`)];
  return [h("p", { class: "small" }, h("b", {}, "The accuracy is not measured yet. "), isRandom ? `${n} of ${FIRST} segments drawn at random are answered.` : `Answer ${FIRST} segments drawn at random, then learn again, for a first number.`),
    ...isRandom ? [] : [h("div", { class: "row" }, h("a", { class: "button", href: "#/label/random" }, `Answer ${FIRST} at random`))]];
}
