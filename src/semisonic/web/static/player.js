// Playing a recording, all of it or a segment again and again, at its own speed or another.

import { address } from "./api.js";

export class Player {
  constructor(id, moved, changed, speed = 1) {
    this.id = id;
    this.speed = speed;
    this.audio = new Audio(this.address());
    this.audio.preload = "metadata";
    this.moved = moved;
    this.changed = changed;
    this.segment = null;
    this.loops = false;
    for (const name of ["play", "pause", "ended"]) this.audio.addEventListener(name, () => this.tell());
    this.audio.addEventListener("error", () => changed(false, `Playing failed: ${this.audio.error?.message || "the browser cannot decode it"}`));
    this.audio.addEventListener("seeked", () => this.moved(this.time));
  }

  // At another speed the server names another sample rate: pitch and duration change alike.
  address() { return address(`sounds/${this.id}/audio.wav`, this.speed === 1 ? {} : { speed: this.speed }); }

  setSpeed(speed) {
    if (speed === this.speed) return;
    const { time, playing } = this;
    this.speed = speed;
    this.audio.src = this.address();
    this.seek(time);
    if (playing) this.play();
  }

  // Seconds of the recording.
  get time() { return this.audio.currentTime * this.speed; }
  set time(seconds) { this.audio.currentTime = seconds / this.speed; }
  get playing() { return !this.audio.paused && !this.audio.ended; }

  // Plays a segment [start, end] in seconds, or goes on with the whole.
  async play(segment = this.segment) {
    this.segment = segment;
    if (segment && (this.time < segment[0] - 0.01 || this.time >= segment[1] - 0.01)) this.time = segment[0];
    try { await this.audio.play(); } catch (error) {
      if (error.name === "NotAllowedError") this.changed(false, "The browser plays sounds only after you press a key or click once.");
      else if (error.name !== "AbortError") this.changed(false, `Playing failed: ${error.message}`);
    }
  }

  pause() { this.audio.pause(); }
  toggle() { if (this.playing) this.pause(); else this.play(); }
  seek(time) { this.time = time; this.moved(time); }

  tell() {
    this.changed(this.playing);
    cancelAnimationFrame(this.frame);
    if (this.playing) this.frame = requestAnimationFrame(() => this.step());
  }

  step() {
    if (!this.playing) return;
    if (this.segment && this.time >= this.segment[1]) {
      if (this.loops) this.time = this.segment[0];
      else { this.pause(); this.time = this.segment[1]; }
    }
    this.moved(this.time);
    this.frame = requestAnimationFrame(() => this.step());
  }

  close() {
    this.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }
}
