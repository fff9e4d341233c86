// Models and runs: what there is, and what each is.

import { large } from "./accuracy.js";
import { address, download, get, post } from "./api.js";
import { h, percent, say } from "./dom.js";
import { named } from "./naming.js";

const MOST_NAMED = 8;

export async function modelsPage(main, changed) {
  const [appState, { runs, folder }] = await Promise.all([get("state"), get("runs")]);
  main.replaceChildren(h("h1", {}, "Models and runs"), h("p", { class: "soft" }, `In the folder ${folder}.`));
  if (appState.model) main.append(current(appState.model, runs.find((run) => isInUse(run, appState))));
  if (!runs.length) main.append(h("p", {}, "No model or report was found there. Start a project under ", h("a", { href: "#/label" }, "Label"), ", train a model, for example with ", h("code", {}, "semisonic train path/to/labelled -o runs/model"), ", or start the app with ", h("code", {}, "--runs"), "."));
  const [models, others] = [runs.filter((run) => run.kind === "model"), runs.filter((run) => run.kind !== "model")];
  for (const [title, some] of [["Models", models], ["Other runs and reports", others]]) if (some.length) main.append(h("section", { class: "runs-part" }, h("h2", {}, title), h("div", { class: "runs" }, some.map((run) => card(run, appState, changed)))));
  return () => {};  // nothing to stop when it is left
}

function current(model, run) {
  const place = h("div", { class: "card" }, h("h2", {}, "In use"), h("p", {}, `${model.path}`), ...run?.accuracy ? [large(run.accuracy)] : [], facts({
    ...run?.accuracy ? { accuracy: accuracyText(run.accuracy) } : {}, classes: named(model.classes).join(", "), "window": `${model.duration} s at ${model.sample_rate / 1000} kHz`, network: model.name,
  }));
  place.append(h("div", { class: "row" }, h("a", { class: "button", href: address("model/file"), download: "" }, "Save the model"), exportButton("")));
  return place;
}

// Makes the file for other programs, which takes some seconds, and saves it.
function exportButton(name) {
  const text = "Export as ONNX";
  const button = h("button", { type: "button", title: "A file that runs without Semisonic; it is compared with the model before it is saved", onclick: async () => {
    button.disabled = true;
    button.textContent = "Exporting …";
    try { await download("model/onnx", { name }); say("The ONNX file is saved"); } catch (error) { say(error.message); }
    button.disabled = false;
    button.textContent = text;
  } }, text);
  return button;
}

const isInUse = (run, { model }) => Boolean(model) && run.kind === "model" && samePlace(model.path, run.name);
const accuracyText = ({ accuracy, low, high, on }) => `${percent(accuracy)} (95 % interval ${Math.round(100 * low)} to ${percent(high)}, ${on})`;

function card(run, appState, changed) {
  const isOpen = isInUse(run, appState);
  const place = h("article", { class: isOpen ? "card open" : "card" });
  const details = h("div", { hidden: true });
  const about = [began(run.started), run.command, run.status === "done" ? "" : run.status].filter(Boolean).join(" · ");
  const more = h("button", { type: "button", "aria-expanded": "false", onclick: async () => {
    details.hidden = !details.hidden;
    more.setAttribute("aria-expanded", String(!details.hidden));
    if (details.childElementCount) return;
    try {
      const { facts: found, classes } = await get("runs/card", { name: run.name });
      const names = named(classes);
      details.replaceChildren(facts(names.length ? { ...found, classes: `${names.length}: ${names.join(", ")}` } : found));
    } catch (error) { details.textContent = error.message; }
  } }, "Details");
  const use = run.kind === "model" ? h("button", { type: "button", class: "main", disabled: isOpen, onclick: async () => {
    try { await post("model", { name: run.name }); say(`${run.name} is in use`); changed(); } catch (error) { say(error.message); }
  } }, isOpen ? "In use" : "Use") : null;
  const reports = run.pages.map((page) => h("a", { class: "button", href: address("runs/page", { name: run.name, page }), target: "_blank", rel: "noopener" }, `Report: ${page.replace(/\.html$/, "")}`));
  place.append(h("div", {}, h("h2", {}, run.name), h("div", { class: "soft small" }, about), ...summary(run)), h("div", { class: "row" }, reports, run.kind === "model" ? exportButton(run.name) : null, more, use), details);
  return place;
}

// What a model is for and how good it is, in two lines.
function summary({ kind, classes, accuracy }) {
  if (kind !== "model") return [];
  const names = named(classes), more = names.length - MOST_NAMED;
  const list = more > 1 ? `${names.slice(0, MOST_NAMED).join(", ")} and ${more} more` : names.join(", ");
  return [h("div", { class: "small" }, h("b", {}, "Accuracy: "), accuracy ? accuracyText(accuracy) : "not measured"),
    names.length ? h("div", { class: "small" }, h("b", {}, `${names.length} ${names.length === 1 ? "class" : "classes"}: `), list) : null].filter(Boolean);
}

// As the clock here says it.
function began(time) {
  const found = new Date(time);
  return Number.isNaN(found.getTime()) ? "" : found.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

const samePlace = (path, name) => path.replace(/\/model\.zip$/, "").endsWith(`/${name}`) || path === name;

function facts(values) {
  return h("dl", { class: "facts" }, Object.entries(values).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value === "" ? "none" : value))]));
}
