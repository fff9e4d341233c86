// Live: the microphone goes to the server, scores and events come back.

import { download, get } from "./api.js";
import { clock, colour, h, noModel, percent, say } from "./dom.js";
import { area, fitted, sized } from "./drawing.js";
import { microphoneBar, openMicrophone } from "./microphone.js";
import { spoken } from "./naming.js";
import { Take } from "./recorder.js";
import { Rolling } from "./rolling.js";
import { rulesForm, thresholdNote } from "./rules.js";

const SECONDS = 20, PICTURE = 210, ROW = 24, SHOWN = 5, KEPT = 200;
const PLAYABLE = 60, EDGE = 0.25;  // seconds that are kept to be played, and those beside an event

// The events of all listening since the list was cleared, in the order of their beginnings; they
// stay while other pages are shown.
const events = new Map(), player = new Audio();
const feed = h("ul", { class: "plain feed", "aria-live": "polite", "aria-label": "Events" });
const empty = h("li", { class: "soft" }, "Events will be listed here, the newest first.");
const count = h("h2", {}), keeping = h("div", { class: "row save" }, h("span", { class: "soft small" }, "Save as"),
  [["csv", "CSV"], ["raven", "Raven"], ["audacity", "Audacity"]].map(([kind, text]) => h("button", { type: "button", onclick: () => save(kind) }, text)),
  h("button", { type: "button", class: "quiet", onclick: clear }, "Clear"));
let sessions = 0, isSaved = true;
const ask = (event) => event.preventDefault();  // closing now would lose them: the browser asks

const ended = () => [...events.values()].filter((event) => event.end_time !== undefined);

function showEvents() {
  const n = events.size;
  count.textContent = n ? `${n} event${n === 1 ? "" : "s"}` : "Events";
  keeping.hidden = !ended().length;
  if (n) empty.remove(); else feed.replaceChildren(empty);
  if (isSaved) removeEventListener("beforeunload", ask); else addEventListener("beforeunload", ask);
}

// One table, whose seconds count from the first sample of the earliest listening; its name is that time.
async function save(kind) {
  const kept = ended(), zero = Math.min(...kept.map(({ began }) => began));
  const time = new Date(zero), two = (n) => String(n).padStart(2, "0");
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  const name = `Live ${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join("-")}`;
  const rows = kept.map(({ began, start_time, end_time, label, score }) =>
    [...[start_time, end_time].map((at) => Math.round(began - zero + 1000 * at) / 1000), label, score]);
  try {
    await download(`live/tables/${kind}`, { name, events: rows });
    isSaved = kept.length === events.size;
    showEvents();
  } catch (error) { say(error.message); }
}

function clear() {
  if (!isSaved && !confirm("Clear the list? Some of its events are not saved.")) return;
  events.clear();
  isSaved = true;
  showEvents();
}

export async function livePage(main) {
  const appState = await get("state");
  main.replaceChildren(h("h1", {}, "Live"));
  if (!appState.model) {
    main.append(noModel("Live needs a model."));
    return () => {};
  }
  let session = null;
  const microphone = microphoneBar();
  const canvas = h("canvas", { class: "dark", role: "img", "aria-label": "Spectrogram of the last 20 seconds" });
  const lanes = h("canvas", { "aria-hidden": "true", height: 0 });
  const button = h("button", { type: "button", class: "main", onclick: () => session ? stop() : start() }, "Start listening");
  const meters = h("div", { class: "meters" });
  const bars = h("div", { class: "bars" });
  const form = rulesForm(appState.rules, () => { if (session) say("The change applies from the next start."); });
  const rules = h("details", {}, h("summary", {}, "Rules"), h("div", { class: "rules" }, form.first, form.rest, thresholdNote(appState.model) ?? ""));
  main.append(h("p", { class: "soft" }, `The sound stays on the machine that runs this app. The model listens to ${appState.model.duration} s at a time, so an event can appear up to that much later.`),
    h("div", { class: "live" }, canvas, lanes), h("div", { class: "row" }, button, microphone.element), meters,
    h("div", { class: "now" }, h("section", {}, count, keeping, feed), h("section", {}, h("h2", {}, "Now"), bars, rules)));
  const rolling = new Rolling(canvas, SECONDS, PICTURE);
  rolling.clear();
  showEvents();

  async function start() {
    button.disabled = true;
    microphone.busy(true);
    const state = { number: ++sessions, scores: [], classes: appState.model.classes };
    try {
      state.microphone = await openMicrophone((piece) => {
        if (state.socket?.readyState !== WebSocket.OPEN || !state.isReady) return;
        const length = (piece.byteLength / 2 / state.microphone.rate) * 1000;
        state.zero ??= performance.now() - length;
        state.began ??= Date.now() - length;
        state.socket.send(piece);
        state.take ??= new Take(state.microphone.rate, PLAYABLE);
        state.take.push(piece);
        microphone.hear(piece);
      });
    } catch (error) {
      say(`No microphone: ${error.message}`);
      button.disabled = false;
      microphone.busy(false);
      return;
    }
    const { protocol, host } = location;
    state.socket = new WebSocket(`${protocol === "https:" ? "wss" : "ws"}://${host}/api/live`);
    state.socket.onopen = () => state.socket.send(JSON.stringify({
      rate: state.microphone.rate,
      ...Object.fromEntries(Object.entries(form.values).map(([name, value]) => [name, name === "threshold" ? value : Number(value)])),
    }));
    state.socket.onmessage = ({ data }) => take(state, JSON.parse(data));
    state.socket.onclose = () => { endAll(state); if (session === state) { say("The connection was lost; listening has stopped."); stop(); } };
    state.microphone.onlost(() => { if (session === state) { say("The microphone is not connected any more."); stop(); } });
    session = state;
    rolling.start(state.microphone, () => streamTime(state));
    draw();
    button.textContent = "Stop";
    button.disabled = false;
  }

  function stop() {
    const state = session;
    session = null;
    if (!state) return;
    cancelAnimationFrame(state.frame);
    rolling.stop();
    state.microphone.close();
    microphone.busy(false);
    if (state.socket.readyState === WebSocket.OPEN) state.socket.send("end");
    setTimeout(() => state.socket.close(), 3000);
    button.textContent = "Start listening";
  }

  // Seconds since the first sample that was sent.
  const streamTime = (state) => state.zero === undefined ? 0 : (performance.now() - state.zero) / 1000;

  function take(state, message) {
    if (message.kind === "ready") { state.isReady = true; state.hop = message.hop; }
    else if (message.kind === "error") { say(message.error); stop(); }
    else if (message.kind === "scores") takeScores(state, message);
    else if (message.kind === "event") takeEvent(state, message);
    else if (message.kind === "end") state.socket.close();
  }

  function takeScores(state, message) {
    const delay = Math.max(0, streamTime(state) - message.end_time);
    state.scores.push(message);
    while (state.scores.length > SECONDS / state.hop + 4) state.scores.shift();
    const order = message.scores.map((score, k) => [state.classes[k], score]).sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
    bars.replaceChildren(...order.map(([label, score]) => {
      const share = h("i", {});
      share.style.setProperty("--share", `${100 * score}%`);
      return h("div", {}, h("span", {}, spoken([label])), h("span", { class: "num" }, percent(score)), share);
    }));
    const meter = (name, value) => h("span", {}, `${name} `, h("b", {}, value));
    meters.replaceChildren(meter("Listened for", clock(message.end_time)), meter("Delay", `${Math.round(1000 * delay)} ms`),
      meter("Processor", percent(message.work)), message.skipped ? meter("Skipped", `${message.skipped} windows`) : "",
      message.silent ? h("b", {}, "Silence: is the microphone muted?") : "");
  }

  function takeEvent(state, message) {
    const key = `${state.number} ${message.id}`, known = events.get(key), isOn = message.event === "start";
    if (message.reason === "too short") { // none after all
      known?.line?.remove();
      events.delete(key);
      showEvents();
      return;
    }
    const text = [new Date(message.start ?? message.time).toLocaleTimeString(), message.label, isOn ? "now" : `${(message.end_time - message.start_time).toFixed(1)} s, ${percent(message.score)}`];
    const line = h("li", { class: isOn ? "on" : undefined }, text.map((part) => h("span", { class: "num" }, part)));
    if (!isOn) line.append(playButton(state.take.wav(message.start_time - EDGE, message.end_time + EDGE), message.label));
    if (known?.line) known.line.replaceWith(line); else feed.prepend(line);
    events.set(key, { ...message, session: state.number, began: state.began, line });
    const old = [...events.values()].at(-KEPT - 1);
    if (old?.line) { old.line.remove(); old.line = null; }  // and its sound; it stays to be saved
    isSaved = false;
    showEvents();
  }

  // What was still heard when the connection ended has ended with it.
  function endAll(state) {
    for (const event of [...events.values()])
      if (event.session === state.number && event.end_time === undefined)
        takeEvent(state, { ...event, event: "end", end_time: Math.max(event.start_time, state.scores.at(-1)?.end_time ?? 0) });
  }

  // The last minute is kept; of a longer event its end is played.
  function playButton(clip, label) {
    return h("button", { type: "button", "aria-label": `Play ${label}`, onclick: () => {
      URL.revokeObjectURL(player.src);
      player.src = URL.createObjectURL(clip);
      player.play().catch((error) => say(`Playing failed: ${error.message}`));
    } }, "Play");
  }

  // The lanes of the classes that were heard best, under the rolling picture.
  function draw() {
    if (!session) return;
    const state = session;
    state.frame = requestAnimationFrame(draw);
    const now = streamTime(state), width = lanes.clientWidth || canvas.clientWidth;
    const best = state.classes.map((label, k) => [label, k, Math.max(0, ...state.scores.map((one) => one.scores[k]))]);
    const rows = best.sort((a, b) => b[2] - a[2]).slice(0, SHOWN);
    const { context } = sized(lanes, width, ROW * SHOWN + 4);
    const x = (time) => width - ((now - time) / SECONDS) * width;
    const [ink, accent, line, control, card] = ["--ink", "--accent", "--line", "--control", "--bg"].map(colour);
    context.textBaseline = "middle";
    context.font = "12.5px system-ui, sans-serif";
    rows.forEach(([label, k], row) => {
      const text = fitted(context, spoken([label]), width - 12);
      const bottom = (row + 1) * ROW;
      context.fillStyle = line;
      context.fillRect(0, bottom, width, 1);
      context.globalAlpha = 0.5;
      context.fillStyle = accent;
      if (state.scores.length)
        area(context, state.scores.map((one) => one.scores[k]), x(state.scores[0].end_time - state.hop), (state.hop / SECONDS) * width, bottom, ROW - 5);
      context.globalAlpha = 1;
      context.fillStyle = control;
      for (const one of events.values())
        if (one.session === state.number && one.label === label) context.fillRect(x(one.start_time), bottom - 1, x(one.end_time ?? now) - x(one.start_time), 3);
      context.lineWidth = 3;
      context.strokeStyle = card;
      context.fillStyle = ink;
      context.strokeText(text, 6, bottom - ROW / 2 + 1);
      context.fillText(text, 6, bottom - ROW / 2 + 1);
    });
  }

  return () => { microphone.stop(); player.pause(); stop(); };
}
