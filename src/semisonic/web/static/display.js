// How sounds are shown and played: contrast, frequencies, speed; the browser remembers it.

import { h, say } from "./dom.js";

const USUAL = { contrast: 50, speed: 1, low_hz: null, high_hz: null };
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10];
const SLOWEST_HZ = 3000, FASTEST_HZ = 500000;  // sample rates that browsers play

export const display = { ...USUAL, ...JSON.parse(localStorage.getItem("display") ?? "{}") };

// Decibels from the darkest to the brightest colour.
export const shownRange = () => 120 - display.contrast;

const canPlay = (sound, speed) => speed === 1 || (sound.sample_rate * speed >= SLOWEST_HZ && sound.sample_rate * speed <= FASTEST_HZ);
export const speedOf = (sound) => canPlay(sound, display.speed) ? display.speed : 1;

// Lowest and highest frequency in view, Hz; all of them where the chosen ones are not in this sound.
export function bandOf({ picture: { band_hz: [low, high] } }) {
  const wanted = [display.low_hz ?? low, Math.min(high, display.high_hz ?? high)];
  return wanted[0] < wanted[1] ? wanted : [low, high];
}

// The control of speed and pitch, of one sound or of several.
export function speedField(changed, sound = null) {
  const field = h("select", { onchange: () => { keep({ speed: Number(field.value) }); changed(); } },
    SPEEDS.filter((one) => !sound || canPlay(sound, one)).map((one) => h("option", { value: String(one) }, one < 1 ? `${Math.round(1 / one)} times slower` : one > 1 ? `${one} times faster` : "as recorded")));
  field.value = String(sound ? speedOf(sound) : display.speed);
  return field;
}

function keep(values) {
  Object.assign(display, values);
  localStorage.setItem("display", JSON.stringify(display));
}

// The row of controls; changed() is told the name of what was changed.
export function displayBar(sound, changed) {
  const set = (values) => {
    keep(values);
    show();
    changed();
  };
  const highest = sound.picture.band_hz[1] / 1000;
  const speed = speedField(() => set({}), sound);
  const contrast = h("input", { type: "range", min: "20", max: "100", step: "5", oninput: () => set({ contrast: Number(contrast.value) }) });
  const edge = (title) => h("input", { type: "number", min: "0", max: String(highest), step: "any", "aria-label": title, title, onchange: () => band() });
  const low = edge("Lowest frequency, kHz"), high = edge("Highest frequency, kHz");
  function band() {
    const [from, to] = [low, high].map((input) => (input.value === "" ? null : Number(input.value) * 1000));
    if (![low, high].every((input) => input.reportValidity())) return;
    if (from !== null && to !== null && from >= to) say("The lowest frequency must be below the highest one.");
    else set({ low_hz: from, high_hz: to });
  }
  const label = (text, ...inputs) => h("label", {}, h("span", { class: "soft small" }, text), ...inputs);
  const kilo = (hz) => (hz === null ? "" : String(Number((hz / 1000).toPrecision(3))));
  function show() {
    speed.value = String(speedOf(sound));
    contrast.value = String(display.contrast);
    [low.value, high.value] = [kilo(display.low_hz), kilo(display.high_hz)];
  }
  [low.placeholder, high.placeholder] = sound.picture.band_hz.map(kilo);
  show();
  const element = h("div", { class: "bar display", hidden: Object.keys(USUAL).every((name) => display[name] === USUAL[name]) },
    label("Speed and pitch", speed), label("Contrast", contrast),
    h("span", { role: "group", "aria-label": "Frequencies" }, h("span", { class: "soft small" }, "Frequencies"), low, h("span", { class: "soft small" }, "to"), high, h("span", { class: "soft small" }, "kHz")),
    h("button", { type: "button", class: "quiet", onclick: () => set(USUAL) }, "Reset"));
  return { element, set };
}
