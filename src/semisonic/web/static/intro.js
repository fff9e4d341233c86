// What the program is for, for those who see it for the first time.

import { h } from "./dom.js";

const STEPS = [
  ["Group", "The recordings of a folder are put into groups that sound alike. You name what you hear."],
  ["Answer", "A model learns from the names. It asks about the sounds that teach it most, and tells how accurate it is."],
  ["Find", "The model finds these sounds in all recordings. You save tables, and the model."],
];

export const intro = () => h("section", { class: "intro" }, h("p", {}, "Semisonic finds the sounds that you name, in any number of recordings, and needs few answers. Nothing leaves this machine."),
  h("ol", { class: "plain" }, STEPS.map(([name, text], i) => h("li", { class: "card" }, h("b", {}, `${i + 1}. ${name}`), h("span", { class: "soft small" }, text)))));
