// Elements made in code; texts are never read as HTML.

import { keepingField } from "./keys.js";

export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...there(children));
  return element;
}

// A text as a browser draws it: a file's name may hold bytes that are no UTF-8, as lone surrogates.
export const readable = (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");

const there = (children) => children.flat().filter((child) => child !== null && child !== undefined).map((child) => typeof child === "string" ? readable(child) : child);

// Puts these into an element in place of what it holds; nothing for null.
export const fill = (element, ...children) => keepingField(element, () => element.replaceChildren(...there(children)));

// What a page says that needs a model, and where one comes from.
export const noModel = (text) => h("p", {}, `${text} Name the sounds of a folder under `, h("a", { href: "#/label" }, "Label"), " to make one, or choose one under ", h("a", { href: "#/models" }, "Models"), ".");

// A dot in the colour of a class.
export function dot(colour) {
  if (!colour) return null;
  const found = h("i", { class: "dot", "aria-hidden": "true" });
  found.style.background = colour;
  return found;
}

const LOWEST = 20, STEP = 8;
let hiding;
export function say(text) {
  const place = document.getElementById("said");
  place.textContent = text;
  putAside(place);
  place.classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => place.classList.remove("shown"), 5000);
}

// Puts a message at the lowest place where it lies on nothing that can be pressed, also when the page changes below it.
function putAside(message) {
  const { left, right, height } = message.getBoundingClientRect();
  const pressed = [...document.querySelectorAll("button, a, input, select, summary")].map((one) => one.getBoundingClientRect()).filter((one) => one.width && one.left < right && one.right > left);
  const isFree = (above) => pressed.every(({ top, bottom }) => bottom < innerHeight - above - height || top > innerHeight - above);
  let above = LOWEST;
  while (!isFree(above) && above + height < innerHeight) above += STEP;
  message.style.bottom = `${above + height < innerHeight ? above : LOWEST}px`;
}
new ResizeObserver(() => putAside(document.getElementById("said"))).observe(document.getElementById("main"));

export function clock(seconds, digits = 0) {
  const all = Math.max(0, seconds);
  const whole = digits ? all : Math.round(all);
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

export const percent = (share) => `${Math.round(100 * share)}\u00a0%`;  // no line ends before "%"
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function waited(work, delay) {
  let timer;
  return (...given) => { clearTimeout(timer); timer = setTimeout(() => work(...given), delay); };
}

// A duration in words.
export function about(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
