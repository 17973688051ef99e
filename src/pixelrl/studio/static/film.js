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

// What is kept of the studio: whole, but for boxes that have changed since it was asked for.
class Kept {
  constructor() {
    Object.assign(this, { whole: null, stale: [], last: Promise.resolve() });
  }

  // The whole, up to date: fetched by all() once, and then by part(whole, box). One at a time, so that no late answer lies
  // over a newer one; and what cannot be fetched stays to be done.
  fresh(all, part) {
    const mine = this.last.then(async () => {
      this.whole ??= await all();
      while (this.stale.length) {
        const boxes = [...this.stale]; // more may come meanwhile
        for (const box of merged(boxes)) await part(this.whole, box);
        this.stale.splice(0, boxes.length);
      }
      return this.whole;
    });
    this.last = mine.catch(() => {});
    return mine;
  }
}

export class Film {
  constructor() {
    this.clear();
  }

  clear() {
    this.frames = new Map(); // "shown:3" -> a canvas, kept
    this.maps = new Map(); // "shown:3" -> {map, version}, kept
  }

  // Parts of what is shown have changed; what is recorded has not.
  changed(boxes) {
    for (const store of [this.frames, this.maps])
      for (const [name, item] of store) if (name.startsWith("shown:") && name !== "shown:0") item.stale.push(...boxes);
  }

  // What goes wrong with a film that has been cleared meanwhile is of no matter.
  still(store) {
    return (error) => {
      if (store === this.frames || store === this.maps) throw error;
    };
  }

  // Null if the film has been cleared meanwhile.
  async frame(which, step) {
    if (step === 0) which = "shown";
    const { frames } = this, name = `${which}:${step}`, address = `/api/frame/${step}?${which === "plain" ? "plain&" : ""}`;
    if (!frames.has(name)) frames.set(name, new Kept());
    const canvas = await frames.get(name).fresh(async () => {
      const part = await bytes(address);
      const made = document.createElement("canvas");
      made.width = part.width;
      made.height = part.height;
      paint(made, part, 0, 0);
      for (const key of frames.keys())
        if (frames.size * made.width * made.height > most && frames.size > 2 && key !== name) frames.delete(key);
      return made;
    }, async (made, box) => paint(made, await bytes(`${address}box=${box}`), box[0], box[1])).catch(this.still(frames));
    return frames === this.frames ? canvas : null;
  }

  async map(step) {
    const { maps } = this, name = `shown:${step}`;
    if (!maps.has(name)) {
      if (maps.size > 7) maps.delete(maps.keys().next().value);
      maps.set(name, new Kept());
    }
    const item = await maps.get(name).fresh(async () => ({ map: await bytes(`/api/map/${step}`), version: 0 }), async (kept, box) => {
      const part = await bytes(`/api/map/${step}?box=${box}`), { map } = kept, row = part.width * part.channels;
      for (let y = 0; y < part.height; y++)
        map.data.set(part.data.subarray(y * row, (y + 1) * row), ((box[1] + y) * map.width + box[0]) * map.channels);
      kept.version++;
    }).catch(this.still(maps));
    return maps === this.maps ? item : null;
  }
}

// A few boxes as they are, many as one.
function merged(boxes) {
  if (boxes.length < 5) return boxes;
  const at = (i, f) => f(...boxes.map((box) => box[i]));
  return [[at(0, Math.min), at(1, Math.min), at(2, Math.max), at(3, Math.max)]];
}
