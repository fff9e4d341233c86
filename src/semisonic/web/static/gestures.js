// Mouse, fingers and keys on a viewer.

import { onKeys } from "./keys.js";

const CLICK = 4; // pixels that a click may move
const LOW = 24; // pixels up or down from which what is drawn limits frequencies, too

export function gestures(viewer) {
  const { stage, mini } = viewer;
  const down = new Map();
  let began = null;

  const level = (event) => event.clientY - viewer.picture.getBoundingClientRect().top;
  // The frequencies between two heights in the picture, lowest first; null without a box.
  const limits = (one, other) => Math.abs(one - other) < LOW || one < 0 || one > viewer.picture.clientHeight ? null
    : [Math.max(one, Math.min(viewer.picture.clientHeight, other)), Math.max(0, Math.min(one, other))].map((y) => viewer.hz(y));
  const place = (event) => event.clientX - stage.getBoundingClientRect().left;

  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    down.set(event.pointerId, place(event));
    if (down.size === 1) began = { x: place(event), y: level(event), time: viewer.time(place(event)), moves: event.pointerType === "touch" && !viewer.drawsByFinger, view: viewer.view };
    else began = null; // two fingers zoom
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!down.has(event.pointerId)) return;
    const before = down.get(event.pointerId), x = place(event);
    if (down.size === 2) pinch(event.pointerId, before, x);
    else if (began?.moves) viewer.show(...began.view.map((time) => time - ((x - began.x) / stage.clientWidth) * (began.view[1] - began.view[0])));
    else if (began && Math.abs(x - began.x) > CLICK) {
      const now = viewer.time(Math.min(Math.max(0, x), stage.clientWidth));
      viewer.choose(Math.min(began.time, now), Math.max(began.time, now), limits(began.y, level(event)));
    }
    down.set(event.pointerId, x);
  });
  const up = (event) => {
    if (!down.delete(event.pointerId) || !began) return;
    if (event.type === "pointerup" && Math.abs(place(event) - began.x) <= CLICK) {
      viewer.choose(0, 0);
      viewer.player.seek(Math.min(Math.max(0, began.time), viewer.duration));
    }
    else if (viewer.chosen && !began.moves) viewer.player.seek(viewer.chosen[0]);
    began = null;
  };
  stage.addEventListener("pointerup", up);
  stage.addEventListener("pointercancel", up);

  function pinch(id, before, x) {
    const other = [...down].find(([one]) => one !== id)?.[1];
    if (other === undefined || Math.abs(x - other) < 8) return;
    viewer.zoom(Math.abs(before - other) / Math.abs(x - other), viewer.time(other));
  }

  stage.addEventListener("wheel", (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!sideways && !event.ctrlKey && !event.shiftKey && !event.metaKey && !event.altKey) return; // the page scrolls
    event.preventDefault();
    const length = viewer.view[1] - viewer.view[0];
    const times = Math.exp(Math.max(-0.5, Math.min(0.5, event.deltaY / 180)));
    if (event.altKey) viewer.zoomBand(times, viewer.hz(event.clientY - viewer.picture.getBoundingClientRect().top));
    else if (sideways || event.shiftKey) viewer.pan(((event.deltaX || event.deltaY) / stage.clientWidth) * length);
    else viewer.zoom(times, viewer.time(place(event)));
  }, { passive: false });

  onKeys((event) => {
    const length = viewer.view[1] - viewer.view[0], { player } = viewer;
    const goto = (time) => {
      player.seek(Math.min(Math.max(0, time), viewer.duration));
      if (time < viewer.view[0] || time > viewer.view[1]) viewer.show(time - length / 2, time + length / 2);
    };
    const keys = {
      " ": () => player.toggle(),
      ArrowLeft: () => goto(player.time - length / 20), ArrowRight: () => goto(player.time + length / 20),
      Home: () => goto(0), End: () => goto(viewer.duration),
      "+": () => viewer.zoom(0.5), "=": () => viewer.zoom(0.5), "-": () => viewer.zoom(2), 0: () => viewer.show(0, viewer.duration),
      l: () => viewer.toggleLoop(), L: () => viewer.toggleLoop(), Escape: () => viewer.choose(0, 0),
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  }, { at: stage, repeats: () => true });

  const jump = (event) => {
    const box = mini.getBoundingClientRect(), half = (viewer.view[1] - viewer.view[0]) / 2;
    const centre = ((event.clientX - box.left) / box.width) * viewer.duration;
    viewer.show(centre - half, centre + half);
  };
  mini.addEventListener("pointerdown", (event) => { mini.setPointerCapture(event.pointerId); jump(event); });
  mini.addEventListener("pointermove", (event) => { if (mini.hasPointerCapture(event.pointerId)) jump(event); });
}
