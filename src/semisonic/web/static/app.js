// Which page is shown, the model at the top, light and dark.

import { get, post } from "./api.js";
import { h, say } from "./dom.js";
import { findPage } from "./find.js";
import { helpAbout, startHelp } from "./help.js";
import { giveFocus } from "./keys.js";
import { labelPage } from "./label.js";
import { livePage } from "./live.js";
import { modelsPage } from "./models.js";
import { tryPage } from "./try.js";

const PAGES = { try: tryPage, live: livePage, label: labelPage, find: findPage, models: (main) => modelsPage(main, show) };
const TITLES = { try: "Try it", live: "Live", label: "Label", find: "Find", models: "Models" };
const main = document.getElementById("main");
let leave = () => {}, turn = 0;

// After a restart of the app, the project that this browser had open is opened again.
async function resume() {
  const name = localStorage.getItem("project"), { has_project: isOpen } = await get("state");
  if (!name || isOpen) return;
  const { projects, making } = await get("projects");
  if (making?.state !== "runs" && projects.some((one) => one.name === name && one.is_done && one.is_open)) await post("projects/open", { name });
}

// Where one begins: with a project or recordings, unless a model was chosen, by labelling them.
async function firstPage() {
  const { model, folders, has_project: project } = await get("state").catch(() => ({ folders: [] }));
  return (!model && folders.length) || (project && !model?.is_chosen) ? "label" : "try";
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

async function show() {
  const mine = ++turn, [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  if (mine === 1 && rest[0] !== "projects") await resume().catch((error) => say(error.message));
  const page = PAGES[name] ? name : await firstPage();
  if (mine !== turn) return;
  leave();
  leave = () => {};
  for (const link of document.querySelectorAll("#pages a"))
    if (link.getAttribute("href") === `#/${page}`) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  helpAbout([page, ...rest].join("/"));
  document.title = `${TITLES[page]} · Semisonic`;
  showModel();
  // A page that answers after its place was left writes into a place that is not shown any more.
  const place = h("div", {});
  main.replaceChildren(place);
  try {
    const left = await PAGES[page](place, decoded(rest.join("/")));
    if (mine === turn) leave = left; else left();
  } catch (error) {
    place.replaceChildren(h("p", { class: "note" }, `This page cannot be shown: ${error.message}.`), h("button", { type: "button", onclick: show }, "Try again"));
  }
}

async function showModel() {
  const { model, project } = await get("state").catch(() => ({}));
  if (project) localStorage.setItem("project", project);
  const place = document.getElementById("model");
  place.textContent = model ? `Model: ${model.path.replace(/\/model\.zip$/, "").split("/").pop()}` : "No model";
  place.title = model?.path ?? "";
}

function theme(wanted) {
  const dark = wanted ?? localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = dark;
  const button = document.getElementById("theme");
  button.textContent = dark === "dark" ? "Light" : "Dark";
  button.title = `Use ${dark === "dark" ? "light" : "dark"} colours`;
  document.dispatchEvent(new Event("themechange"));
}

document.getElementById("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", next);
  theme(next);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme());
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
window.addEventListener("hashchange", () => { show(); giveFocus(main, { preventScroll: true }); });
document.addEventListener("modelchange", showModel);
window.addEventListener("unhandledrejection", ({ reason }) => say(String(reason?.message ?? reason)));
theme();
startHelp();
show();
