// What each page is for, its keys, and a tour at the first start.

import { h } from "./dom.js";
import { giveFocus, onKeys } from "./keys.js";

const VIEWER = [
  ["Space", "Play, pause"], ["← →", "Move back or forward"], ["+ −", "Zoom in or out; also Ctrl and the wheel, or two fingers"],
  ["Shift + wheel", "Move along the recording"], ["Alt + wheel", "Zoom in frequency"], ["0", "Show the whole recording"],
  ["Home, End", "Go to the beginning or the end"], ["L", "Repeat the selection"], ["Esc", "Clear the selection"],
];
const VIEWED = "Time runs from left to right and frequency from bottom to top; louder is brighter. Click to go to a time, drag to select a part. Display changes the speed, the contrast and the frequencies shown.";

// The page of an address; the longest address that fits is taken.
const PAGES = {
  try: { title: "Try it", texts: ["See and hear a sound. If a model is open, the rows below the spectrogram show the score of each class over time, and the table lists events: the times at which a class reaches the threshold.", VIEWED], keys: [...VIEWER, ["N, P", "Next or previous sound"]] },
  live: { title: "Live", texts: ["The model listens to the microphone. Events are listed as they begin and end. Check microphone shows the level before you start, and lets you choose another microphone.", "The microphone is turned off when you press Stop or leave the page."], keys: [] },
  label: {
    title: "Label",
    texts: ["Listen to a segment and say what you hear. Each answer is saved at once. The segments that teach the model most come first; some are drawn at random, to measure the accuracy.", "Drag in the spectrogram to answer about a part of the segment. Unsure and None of the classes are answers; Skip is not."],
    keys: [["1 – 9", "Answer with this class"], ["/", "Find a class or write a new one; Enter chooses it"], ["Y, N", "The first prediction is right, or not"], ["0", "None of the classes"],
      ["U", "Unsure: an answer from which the model learns nothing"], ["S", "Skip: no answer; the page asks again at the end"], ["M", "Several labels for one segment; Enter saves"], ["Enter", "Next segment, after answers about parts of this one"],
      ["Z", "Undo"], ["F", "Ask about similar segments next"], ["E", "Write a note"], ["K", "Keep an answer that looks wrong"], ["Space", "Play, pause"]],
  },
  "label/groups": {
    title: "Groups",
    texts: ["The segments of a group sound alike. Listen to a few sounds of each group and name what you hear. The name applies to these sounds only.", "Two named classes are enough for a first model."],
    keys: [["Space", "Play the next sound"], ["/", "Write a name; Enter gives it to the sounds that belong to the group"], ["1 – 9", "Give a name that is known already"], ["M", "Mixed: name each sound separately"], ["0", "None of the classes"], ["X", "Split a large group"], ["S", "Skip: no answer"], ["Z", "Undo"]],
  },
  "label/answers": { title: "Answers and classes", texts: ["Find, hear, change or delete answers. Rename or merge classes, and give each a colour and a key of its own."], keys: [] },
  "label/projects": { title: "Projects", texts: ["A project has your answers about a folder of recordings, and the model that learned from them. Group them by sound starts a project; Open continues one. The recordings are not changed or moved."], keys: [] },
  find: {
    title: "Find",
    texts: ["The model searches a whole folder. The list shows what it found, the highest score first. Listen, and mark what is right or not: in a project, the model learns from your marks.", "You can save events, predictions, labels and the model as files."],
    keys: [["↓ ↑, J K", "Next or previous row"], ["Space", "Play, pause"], ["Y, N", "The prediction is right, or not"], ["/", "Name another class; Enter chooses it"]],
  },
  models: { title: "Models", texts: ["All models and reports in the folder of runs. Use opens a model for Try it, Live and Find."], keys: [] },
};

const TOUR = [
  ["#/label", "Begin with Label: choose a folder of recordings. Similar sounds are put into groups, and you name what you hear. A first model follows in minutes."],
  ["#/try", "Try it shows a sound: its spectrogram, what the model finds in it, and when."],
  ["#/live", "Live listens to the microphone."],
  ["#/find", "Find lets the model search the whole folder. You hear, correct and save what it found."],
  ["#/models", "Models lists all models and their reports."],
  ["", "Help explains the page you are on and lists its keys. Press ? at any time."],
];

// What is shown, as an address: it may differ from that of the browser, which is empty at first.
let shown = "";
export function helpAbout(address) { shown = address; }

function helpOf(address) {
  const parts = address.split("/");
  while (parts.length && !PAGES[parts.join("/")]) parts.pop();
  return PAGES[parts.join("/")] ?? PAGES.try;
}

const keyTable = (keys) => h("table", { class: "keys" }, h("tbody", {}, keys.map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, what)))));

function showHelp() {
  const { title, texts, keys } = helpOf(shown);
  const dialog = h("dialog", { class: "help", "aria-label": `Help: ${title}`, onclose: () => dialog.remove() },
    h("h2", { tabindex: "-1", autofocus: true }, title), texts.map((text) => h("p", {}, text)), keys.length ? keyTable(keys) : null,
    h("div", { class: "row" }, h("button", { type: "button", class: "main", onclick: () => dialog.close() }, "Close"), h("button", { type: "button", onclick: () => { dialog.close(); tour(); } }, "Take the tour")));
  dialog.addEventListener("keydown", (event) => event.stopPropagation());  // keys mean nothing to the page below
  document.body.append(dialog);
  dialog.showModal();
}

// A few sentences at the edge of the page, which stays usable; closed for good by its button.
function tour(place = 0) {
  document.querySelector(".tour")?.remove();
  document.querySelector(".pointed")?.classList.remove("pointed");
  localStorage.setItem("tour", "seen");
  if (place >= TOUR.length) return;
  const [address, text] = TOUR[place], isLast = place === TOUR.length - 1;
  const pointed = address ? document.querySelector(`#pages a[href="${address}"]`) : document.getElementById("help");
  if (!pointed) { tour(place + 1); return; }
  pointed.classList.add("pointed");
  const next = h("button", { type: "button", class: "main", onclick: () => tour(place + 1) }, isLast ? "Done" : "Next");
  document.body.append(h("section", { class: "tour card", "aria-label": "Tour" }, h("p", { role: "status" }, text),
    h("div", { class: "row" }, next, isLast ? null : h("button", { type: "button", class: "quiet", onclick: () => tour(TOUR.length) }, "Close the tour"), h("span", { class: "soft small num" }, `${place + 1} of ${TOUR.length}`))));
  if (place) giveFocus(next);
}

export function startHelp() {
  document.getElementById("help").addEventListener("click", showHelp);
  onKeys((event) => {
    if (event.key !== "?" || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    showHelp();
  });
  if (!localStorage.getItem("tour") && !navigator.webdriver) tour();  // a browser that a program drives needs none
}
