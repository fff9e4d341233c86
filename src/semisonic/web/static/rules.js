// A form of options, made from what the command line knows of them.

import { h, percent } from "./dom.js";

const WORDS = {
  threshold: "Threshold", merge_gap: "Join events closer than", min_duration: "Ignore events shorter than",
  edge: "An event ends below this share of its highest score",
};

// What "auto" means for a model; null if it means the model's own thresholds.
export function thresholdNote(model) {
  if (model && model.threshold !== "auto") return h("p", { class: "soft small" }, "auto is what the app was started with: ", h("code", {}, `--threshold ${model.threshold}`));
  if (model?.no_threshold) return h("p", { class: "soft small" }, `The thresholds that the app was started with do not fit this model and are not used: ${model.no_threshold}`);
  if (!model || model.has_thresholds) return null;
  return h("p", { class: "soft small" }, `This model has no thresholds of its own: auto is ${percent(model.default_threshold)} for every class. `, h("code", {}, "semisonic calibrate"), " finds better ones.");
}

export function rulesForm(fields, changed, values = {}) {
  const given = { ...values };
  const set = (name, value) => {
    if (value === "") delete given[name]; else given[name] = value;
    changed(given);
  };
  const rows = fields.map((field) => {
    const title = WORDS[field.name] ?? field.name, unit = field.unit ? `, ${field.unit}` : "";
    if (field.name === "threshold") return threshold(field, title, given.threshold, set);
    const input = h("input", {
      type: "number", step: "any", min: field.minimum ?? undefined, max: field.maximum ?? undefined,
      placeholder: field.default === null ? "auto" : String(field.default), value: given[field.name] ?? "",
      oninput: () => input.checkValidity() && set(field.name, input.value),
    });
    return h("label", { title: field.help }, h("span", {}, `${title}${unit}`), input);
  });
  return { first: rows[0], rest: rows.slice(1), values: given };
}

function threshold(field, title, value, set) {
  const shown = h("output", {}, value === undefined ? "auto" : percent(value));
  const input = h("input", {
    type: "range", min: "0.05", max: "1", step: "0.01", value: value ?? "0.5", "aria-label": title,
    oninput: () => { shown.textContent = percent(input.value); auto.hidden = false; set("threshold", input.value); },
  });
  const auto = h("button", { type: "button", class: "quiet", hidden: value === undefined, title: field.help, onclick: () => { shown.textContent = "auto"; auto.hidden = true; set("threshold", ""); } }, "Use auto");
  return h("div", { class: "threshold" }, h("span", {}, title), shown, input, auto);
}
