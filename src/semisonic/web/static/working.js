// What long work does at the moment, in words and with its progress.

import { about, percent } from "./dom.js";

const WORK = {
  decode: "reading the recordings", "compare sounds": "looking for copies", fingerprint: "looking for copies", "hash files that look alike": "looking for copies",
  thumbnails: "drawing the report", "read headers": "reading the lengths of the recordings", embed: "computing embeddings", synth: "making synthetic sounds",
  "make backgrounds": "making synthetic sounds", mix: "making synthetic sounds", detect: "finding events", predict: "predicting",
};
const BYTES = 1e6;  // a larger total counts bytes

// Such as "looking for copies, 1,200 of 10,000 · about 3 min left".
export function workInWords({ at = {}, steps = [] }) {
  if (!steps.length) return "loading the program: the first start takes up to some minutes";
  if (!at.label) return "";
  const done = !at.total ? "" : at.total > BYTES ? `, ${percent(at.n / at.total)}` : `, ${at.n.toLocaleString()} of ${at.total.toLocaleString()}`;
  const left = at.seconds_left === null || at.seconds_left === undefined ? "" : ` · ${about(at.seconds_left)} left`;
  return `${WORK[at.label] ?? at.label}${done}${left}`;
}
