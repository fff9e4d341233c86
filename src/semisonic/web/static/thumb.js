// A short sound as a small picture that plays when it is pressed.

import { get, post } from "./api.js";
import { speedField, speedOf } from "./display.js";
import { clock, h } from "./dom.js";
import { drawPicture, drawRuler, sized } from "./drawing.js";
import { Player } from "./player.js";
import { Tiles } from "./tiles.js";

const TALL = 92, LARGE = 168, RULER = 20, POLL = 250, GONE_POLL = 2000;
let sounding = null;  // one at a time

export class Thumb {
  // What to show; ask() gives the id of its sound, and may give its times. A large one has axes of time and frequency.
  constructor({ file, start_time, end_time }, ask = () => post("label/open", { file, start_time, end_time }), isLarge = false) {
    this.isLarge = isLarge;
    Object.assign(this, { file, start_time, end_time, ask });
    this.view = [start_time, end_time];
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.ruler = isLarge ? h("canvas", { class: "ruler", "aria-hidden": "true" }) : null;
    this.state = h("span", { class: "state" }, "…");
    this.head = h("div", { class: "head", hidden: true });
    this.name = `${file.split("/").pop()}, ${clock(start_time, 1)} – ${clock(end_time, 1)}`;
    this.button = h("button", { type: "button", class: isLarge ? "thumb large" : "thumb", disabled: true, "aria-label": `Play ${this.name}`, title: file, onclick: () => this.toggle() }, this.canvas, this.ruler, this.head, this.state);
    this.recolour = () => this.draw();
    document.addEventListener("themechange", this.recolour);
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.button);
    this.open();
  }

  at(time) { return ((time - this.view[0]) / (this.view[1] - this.view[0])) * this.button.clientWidth; }

  async open() {
    try {
      if (!this.id) {
        const found = await this.ask();
        this.id = found.sound;
        this.start_time = found.start_time ?? this.start_time;
        this.end_time = found.end_time ?? this.end_time;
      }
      const sound = await get(`sounds/${this.id}`);
      if (this.closed) return;
      if (sound.folder_is_gone) {
        this.id = null;
        this.waits = setTimeout(() => this.open(), GONE_POLL);
      }
      if (sound.state === "failed") { this.state.textContent = sound.reason; return; }
      if (sound.state !== "ready" || !sound.picture?.progress) { this.waits = setTimeout(() => this.open(), POLL); return; }
      this.ready(sound);
    } catch (error) { this.state.textContent = error.message; }
  }

  ready(sound) {
    this.band = sound.picture.band_hz;
    this.view = [this.start_time, Math.min(this.end_time, sound.duration)];
    this.tiles = new Tiles(sound, () => this.draw());
    this.tiles.update(sound.picture);
    this.player = new Player(this.id, (time) => this.follow(time), (playing, problem) => this.tell(playing, problem), speedOf(sound));
    this.setSpeed = () => this.player.setSpeed(speedOf(sound));
    this.player.seek(this.view[0]);
    this.button.disabled = false;
    this.state.textContent = "▶";
    this.onready?.();
    this.draw();
  }

  toggle() {
    if (!this.player) return;
    if (this.player.playing) { this.player.pause(); return; }
    sounding?.player?.pause();
    sounding = this;
    this.heard = true;
    this.player.seek(this.view[0]);
    this.player.play(this.view);
  }

  tell(playing, problem) {
    this.button.classList.toggle("plays", playing);
    this.head.hidden = !playing;
    this.state.textContent = problem || (playing ? "❚❚" : "▶");
    if (!playing) this.onended?.();
  }

  follow(time) { this.head.style.transform = `translateX(${this.at(time)}px)`; }

  draw() {
    if (this.asked || this.closed || !this.tiles) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      const width = this.button.clientWidth;
      if (!width || this.closed) return;
      drawPicture(sized(this.canvas, width, this.isLarge ? LARGE : TALL), this, this.isLarge);
      if (this.ruler) drawRuler(sized(this.ruler, width, RULER), this, "rgba(255,255,255,.85)");
    });
  }

  close() {
    this.closed = true;
    clearTimeout(this.waits);
    this.resized.disconnect();
    document.removeEventListener("themechange", this.recolour);
    this.player?.close();
    if (sounding === this) sounding = null;
  }
}

// The control of their speed and pitch; thumbs() gives those that are shown.
export const thumbSpeed = (thumbs) => h("label", { class: "small soft speed" }, "Speed and pitch ", speedField(() => { for (const thumb of thumbs()) thumb.setSpeed?.(); }));
