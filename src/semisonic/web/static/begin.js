// Starting a project from an opened folder, watching it being made, or opening one that is there.

import { address, get, post } from "./api.js";
import { about, h, say } from "./dom.js";
import { intro } from "./intro.js";
import { workInWords } from "./working.js";

const STEPS = {
  sounds: "Make the example recordings", look: "Check all recordings", contrast: "Train the encoder on the recordings, without labels",
  vectors: "Compute an embedding of each segment", groups: "Group segments that sound alike",
};
const POLL = 400, DEMO = "demo";

export async function beginPage(main, appState) {
  const place = h("div", { class: "begin" });
  let stopped = false, timer, seen = "";
  main.append(place);

  async function look() {
    try {
      const { making } = await get("projects/making");
      if (stopped) return;
      if (making?.state === "runs") { seen = making.name; watch(making); timer = setTimeout(look, POLL); return; }
      if (making?.state === "done" && seen === making.name) { told(making); return; }
      await choose(making);
    } catch (error) {
      if (stopped) return;
      say(error.message);
      timer = setTimeout(look, 5 * POLL);
    }
  }

  async function open(name, hash) {
    try {
      await post("projects/open", { name });
      if (location.hash === hash) dispatchEvent(new HashChangeEvent("hashchange")); else location.hash = hash;
    } catch (error) { say(error.message); }
  }

  async function begin(path, body, button) {
    button.disabled = true;
    try { watch((await post(path, body)).making); seen = body.name; clearTimeout(timer); timer = setTimeout(look, POLL); } catch (error) { say(error.message); button.disabled = false; }
  }

  // What became of the recordings, before the first question; with nothing to tell it goes on at once.
  function told({ name, found }) {
    const { n_recordings: n, n_found: all, failures = [], notes = [] } = found;
    const go = () => open(name, "#/label/groups");
    if (!failures.length && n === all) { go(); return; }
    place.replaceChildren(h("section", { class: "card made" }, h("h2", {}, `${n} of ${all} recordings are used`),
      failures.length ? h("p", {}, `${failures.length} could not be read, or only in part:`) : null,
      failures.length ? h("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Recordings that cannot be used" }, h("ul", { class: "plain failures" }, failures.map(([file, why]) => h("li", {}, h("b", {}, file), h("span", { class: "soft" }, ` ${why}`))))) : null,
      notes.length ? h("ul", { class: "small soft notes" }, notes.map((note) => h("li", {}, withReports(note, name)))) : null,
      h("div", { class: "row" }, h("button", { type: "button", class: "main", onclick: go }, "Go on: name the groups"))));
  }

  const bar = h("progress", { max: "1", "aria-label": "Making the project" }), left = h("p", { class: "soft small num", role: "status" });
  function watch({ name, plan, steps, at, seconds }) {
    let card = place.querySelector(".making");
    if (!card) {
      const cancel = h("button", { type: "button", onclick: async () => {
        cancel.disabled = true;
        cancel.textContent = "Stopping …";
        try { await post("projects/cancel"); } catch (error) { say(error.message); }
      } }, "Cancel");
      card = h("section", { class: "card making" }, h("h2", {}, `Making the project “${name}”`), h("ul", { class: "plain steps" }), bar, left,
        h("div", { class: "row" }, cancel, h("span", { class: "soft small" }, "You may close the page. If you cancel this or stop the app, finished steps are kept.")));
      place.replaceChildren(card);
    }
    const reached = plan.indexOf(steps.at(-1));
    card.querySelector(".steps").replaceChildren(...plan.filter((step, i) => i >= reached || steps.includes(step)).map((step) => {
      const i = plan.indexOf(step);
      return h("li", { class: i < reached ? "past" : i === reached ? "current" : "to-come", "aria-current": i === reached ? "step" : undefined }, STEPS[step]);
    }));
    if (at.total) bar.value = Math.min(1, at.n / at.total); else bar.removeAttribute("value");
    left.textContent = [`${about(seconds)} so far`, workInWords({ at, steps })].filter(Boolean).join(" · ");
  }

  async function choose(making) {
    const { projects, encoders, folder } = await get("projects");
    if (stopped) return;
    const parts = [];
    if (making?.state === "failed") parts.push(h("p", { class: "note" }, `${making.name} could not be made: ${making.reason}`));
    if (projects.length) parts.push(h("section", {}, h("h2", {}, "Go on with a project"), h("p", { class: "soft small" }, `Projects in ${folder}`), h("div", { class: "runs" }, projects.map((one) => card(one, begin, open)))));
    parts.push(appState.folders.length ? form(appState.folders, encoders, projects, begin) : h("div", {}, h("h2", {}, "Start a project"),
      h("p", {}, "A project needs a folder of recordings, and the app reads only folders that it was started with. In the terminal, stop it with Ctrl-C and start it again with yours:"), h("pre", {}, "semisonic app --folder path/to/recordings"),
      h("p", {}, "This page continues by itself. To look at single recordings, drop them under ", h("a", { href: "#/try" }, "Try it"), ".")));
    if (!projects.some((one) => one.name === DEMO)) {
      const demo = h("button", { type: "button", onclick: () => begin("projects/demo", { name: DEMO }, demo) }, "Try it with example recordings");
      parts.push(h("section", {}, h("div", { class: "row" }, demo, h("span", { class: "soft small" }, "Makes a project “demo” of 96 artificial sounds in less than a minute. Their names say what they are."))));
    }
    if (!projects.length) parts.unshift(intro());
    place.replaceChildren(...parts);
  }

  await look();
  return () => { stopped = true; clearTimeout(timer); };
}

// Reports in a project's folder that a text names, as links.
const withReports = (text, project) => text.split(/(\S+\/\S+\.html)/).map((part, i) => {
  if (i % 2 === 0) return part;
  const [, below, page] = part.match(/(.+)\/(.+)/);
  return h("a", { href: address("runs/page", { name: `${project}/${below}`, page }), target: "_blank", rel: "noopener" }, part);
});

function card(one, begin, open) {
  const go = h("button", { type: "button", class: one.is_done ? "main" : "", disabled: !one.is_open, onclick: () => (one.is_done ? open(one.name, one.answers ? "#/label" : "#/label/groups") : begin("projects/again", { name: one.name }, go)) }, one.is_done ? "Open" : "Go on");
  const what = one.is_open ? (one.is_done ? `${one.answers} ${one.answers === 1 ? "answer" : "answers"}, last used ${new Date(one.used).toLocaleDateString()}. ` : "Not finished. ") : one.recordings ? ["The app was started without the folder of its recordings. Start it with ", h("code", {}, "semisonic app --folder PATH"), ". The recordings are in "] : "The project cannot be read. ";
  return h("article", { class: "card" }, h("div", {}, h("h2", {}, one.name), h("div", { class: "soft small" }, what, one.recordings)), h("div", { class: "row" }, go));
}

function form(folders, encoders, projects, begin) {
  const folder = h("select", { onchange: () => fill() }, folders.map((name, value) => h("option", { value: String(value) }, name)));
  const below = h("select", {}), name = h("input", { type: "text", maxlength: "60", autocomplete: "off", required: true });
  const encoder = h("select", {}, encoders.map(({ value, title }) => h("option", { value }, title)));
  const clusters = h("input", { type: "number", min: "2", max: "500", placeholder: "automatic" });
  const several = h("input", { type: "checkbox" });
  const start = h("button", { type: "submit", class: "main" }, "Group them by sound");
  const taken = new Set(projects.map((one) => one.name));
  const proposed = (text) => { let found = text.replace(/[^\p{L}\p{N}_ .-]/gu, "-").replace(/^[^\p{L}\p{N}_]+/u, "") || "project"; while (taken.has(found)) found += "-2"; return found; };
  const found = h("h2", {}, "Counting the recordings …");
  const none = h("p", { class: "note", hidden: true }, "Put recordings into it and reload this page, or start the app with another folder: ", h("code", {}, "semisonic app --folder path/to/recordings"));
  async function fill() {
    get(`folders/${folder.value}`).then(({ n_files: n }) => {
      found.textContent = n ? `${n.toLocaleString()} ${n === 1 ? "recording" : "recordings"} found` : "No recording found in this folder";
      none.hidden = n > 0;
      start.disabled = !n;
    }, (error) => say(error.message));
    below.replaceChildren(h("option", { value: "" }, "The whole folder"));
    name.value = proposed(folders[Number(folder.value)]);
    try { below.append(...(await get("projects/parts", { folder: folder.value })).parts.map((part) => h("option", { value: part }, part))); } catch (error) { say(error.message); }
  }
  below.addEventListener("change", () => { name.value = proposed(below.value || folders[Number(folder.value)]); });
  fill();
  const field = (text, input) => { input.setAttribute("aria-label", text); return h("label", {}, h("span", {}, text), input); };
  return h("form", { class: "card start", onsubmit: (event) => {
    event.preventDefault();
    begin("projects", { folder: Number(folder.value), below: below.value, name: name.value.trim(), encoder: encoder.value, clusters: clusters.value, several_labels: several.checked }, start);
  } }, found, none, h("p", {}, "The app cuts the recordings into segments and groups those that sound alike. You listen to a few of each group and name what you hear, and a model learns from your answers. The recordings are not changed."),
  folders.length > 1 ? field("Folder", folder) : null, h("div", { class: "row" }, start),
  h("details", {}, h("summary", {}, "Options"), field("Part of the folder", below), field("Name of the project", name), field("Encoder", encoder), field("Groups", clusters), h("label", { class: "check small" }, several, " A segment can have several labels")));
}
