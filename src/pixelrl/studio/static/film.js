// Frames and action maps as they come from the studio: fetched once, and patched where they change.

import { bytes } from "./api.js";

const most = 60e6; // pixels of frames that are kept

export function paint(canvas, part, x, y) {
  const { width, height, channels, data } = part;
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let i = 0, j = 0; i < pixels.length; i += 4, j += channels) {
    pixels[i] = data[j];
    pixels[i + 1] = data[channels === 3 ? j + 1 : j];
    pixels[i + 2] = data[channels === 3 ? j + 2 : j];
    pixels[i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), x, y);
}

export class Film {
  constructor() {
    this.clear();
  }

  clear() {
    this.frames = new Map(); // "shown:3" -> {canvas, stale: [boxes]}
    this.maps = new Map(); // "shown:3" -> {map, stale: [boxes]}
    this.age = (this.age ?? 0) + 1;
  }

  // Parts of what is shown have changed; what is recorded has not.
  changed(boxes) {
    for (const store of [this.frames, this.maps])
      for (const [name, item] of store) if (name.startsWith("shown:") && name !== "shown:0") item.stale.push(...boxes);
  }

  async frame(which, step) {
    if (step === 0) which = "shown";
    const age = this.age, name = `${which}:${step}`;
    const plain = which === "plain" ? "plain&" : "";
    let item = this.frames.get(name);
    if (!item) {
      const part = await bytes(`/api/frame/${step}?${plain}`);
      if (age !== this.age) return null;
      const canvas = document.createElement("canvas");
      canvas.width = part.width;
      canvas.height = part.height;
      paint(canvas, part, 0, 0);
      item = { canvas, stale: [] };
      this.frames.set(name, item);
      for (const key of this.frames.keys())
        if (this.frames.size * canvas.width * canvas.height > most && this.frames.size > 2 && key !== name) this.frames.delete(key);
    }
    for (const box of merged(item.stale.splice(0))) {
      paint(item.canvas, await bytes(`/api/frame/${step}?${plain}box=${box}`), box[0], box[1]);
      if (age !== this.age) return null;
    }
    return item.canvas;
  }

  async map(step) {
    const age = this.age, name = `shown:${step}`;
    let item = this.maps.get(name);
    if (!item) {
      const map = await bytes(`/api/map/${step}`);
      if (age !== this.age) return null;
      item = { map, stale: [], version: 0 };
      if (this.maps.size > 7) this.maps.delete(this.maps.keys().next().value);
      this.maps.set(name, item);
    }
    for (const box of merged(item.stale.splice(0))) {
      const part = await bytes(`/api/map/${step}?box=${box}`);
      if (age !== this.age) return null;
      const { map } = item, row = part.width * part.channels;
      for (let y = 0; y < part.height; y++)
        map.data.set(part.data.subarray(y * row, (y + 1) * row), ((box[1] + y) * map.width + box[0]) * map.channels);
      item.version++;
    }
    return item;
  }
}

// A few boxes as they are, many as one.
function merged(boxes) {
  if (boxes.length < 5) return boxes;
  const at = (i, f) => f(...boxes.map((box) => box[i]));
  return [[at(0, Math.min), at(1, Math.min), at(2, Math.max), at(3, Math.max)]];
}
