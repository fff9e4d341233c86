// The colours of a spectrogram, the same as in reports.

const STOPS = [[12, 24, 38], [18, 58, 86], [29, 106, 134], [74, 161, 159], [169, 209, 171], [251, 243, 207]];
const STEPS_PER_DB = 255 / 110;

export const COLOURS = new Uint32Array(256);
for (let i = 0; i < 256; i++) {
  const place = (i / 255) * (STOPS.length - 1);
  const left = Math.min(Math.floor(place), STOPS.length - 2), share = place - left;
  const [r, g, b] = STOPS[left].map((value, k) => Math.round(value + share * (STOPS[left + 1][k] - value)));
  COLOURS[i] = (255 << 24) | (b << 16) | (g << 8) | r;
}

// A colour for each level (0 to 255 for -110 to 0 dB), the loudest one the brightest.
export function coloursFor(loudest, rangeDb) {
  const low = Math.max(0, loudest - rangeDb * STEPS_PER_DB), span = Math.max(1, loudest - low);
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const share = (level - low) / span;
    return COLOURS[Math.max(0, Math.min(255, Math.round(255 * share)))];
  });
}

// The colour of a class by its place, where none was chosen.
const CLASS_COLOURS = ["#1f8a8a", "#d9822b", "#7b61c9", "#3c8d2f", "#c94f6d", "#2f74c0", "#a67c00", "#8a4b2f", "#5b6b7a", "#b34fb3"];
const GOLDEN = 137.508, SATURATION = 0.55, LIGHTNESS = [0.42, 0.58, 0.32];
export const classColour = (place) => CLASS_COLOURS[place] ?? fromHsl((place * GOLDEN) % 360, SATURATION, LIGHTNESS[place % LIGHTNESS.length]);

function fromHsl(hue, saturation, lightness) {
  const width = saturation * Math.min(lightness, 1 - lightness);
  const part = (n) => { const k = (n + hue / 30) % 12; return Math.round(255 * (lightness - width * Math.max(-1, Math.min(k - 3, 9 - k, 1)))).toString(16).padStart(2, "0"); };
  return `#${part(0)}${part(8)}${part(4)}`;
}
