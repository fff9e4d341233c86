// The microphone as pieces of 16-bit samples, without the browser's own processing; which one, and how loud.

import { h, say } from "./dom.js";

const PATIENCE = 4000;  // ms without a sample before it is said that something is wrong
const FAINTEST_DB = -60, FALL = 0.93;  // what the level shows as nothing; how it sinks, from piece to piece

export async function openMicrophone(take) {
  if (!navigator.mediaDevices) throw new Error("browsers allow it only on pages of this machine or pages with https");
  const chosen = localStorage.getItem("microphone");
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1, ...(chosen ? { deviceId: { exact: chosen } } : {}) },
  }).catch((error) => {
    if (error.name !== "OverconstrainedError") throw error;
    localStorage.removeItem("microphone");
    throw new Error("the chosen one is not connected any more; start again to use another");
  });
  const context = new AudioContext();
  await context.audioWorklet.addModule("worklet.js");
  const source = context.createMediaStreamSource(stream);
  const pieces = new AudioWorkletNode(context, "pcm", { numberOfOutputs: 1, channelCount: 1, channelCountMode: "explicit" });
  const silent = context.createGain();
  silent.gain.value = 0;
  const waits = setTimeout(() => say("Nothing comes from the microphone. Choose another one. Some browsers also need a sound output."), PATIENCE);
  pieces.port.onmessage = ({ data }) => { clearTimeout(waits); take(data); };
  source.connect(pieces).connect(silent).connect(context.destination);
  const ended = stream.getAudioTracks()[0];
  return {
    rate: context.sampleRate,
    context,
    source,
    onlost(lost) { ended.addEventListener("ended", lost); },
    close() {
      clearTimeout(waits);
      pieces.port.onmessage = null;
      for (const track of stream.getTracks()) track.stop();
      return context.close();
    },
  };
}

// Which microphone, and its level: before something is recorded, by its own button, and meanwhile.
export function microphoneBar() {
  let running = null, shown = 0, turn = 0;
  const level = h("meter", { min: "0", max: "1", high: "0.95", value: "0", "aria-label": "Level of the microphone", title: "Level, from −60 dB to full scale" });
  const choice = h("select", { hidden: true, "aria-label": "Microphone", onchange: () => {
    localStorage.setItem("microphone", choice.value);
    if (running) { stop(); check(); }
  } });
  const button = h("button", { type: "button", class: "quiet", onclick: () => (running ? stop() : check()) }, "Check microphone");

  function hear(piece) {
    const peak = new Int16Array(piece).reduce((most, sample) => Math.max(most, Math.abs(sample)), 1) / 32768;
    shown = Math.max(shown * FALL, 1 - (20 * Math.log10(peak)) / FAINTEST_DB);
    level.value = shown;
  }

  async function check() {
    const mine = ++turn;
    button.textContent = "Stop checking";
    try {
      const opened = await openMicrophone(hear);
      if (mine !== turn) { opened.close(); return; }  // stopped, or left, while the browser asked
      running = opened;
      document.addEventListener("visibilitychange", () => document.hidden && stop(), { once: true });
      await list();
    } catch (error) { say(`No microphone: ${error.message}`); stop(); }
  }

  // Their names are known once the browser has given one.
  async function list() {
    const found = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "audioinput");
    choice.replaceChildren(...found.map(({ deviceId, label }) => h("option", { value: deviceId }, label || "Microphone")));
    choice.value = localStorage.getItem("microphone") ?? "default";
    if (choice.selectedIndex < 0) choice.selectedIndex = 0;
    choice.hidden = found.length < 2;
  }

  function stop() {
    turn += 1;
    running?.close();
    running = null;
    level.value = shown = 0;
    button.textContent = "Check microphone";
  }

  return { element: h("div", { class: "row microphone" }, button, choice, level), hear, stop, busy(on) { stop(); button.disabled = choice.disabled = on; } };
}
