// The object of a policy that takes one: outlined over the picture, chosen or found, and how strongly it counts.

import { bytes } from "./api.js";
import { chooseDeed, letGo } from "./change.js";
import { $, spaced } from "./dom.js";
import { attempt } from "./messages.js";
import { store } from "./store.js";
import { change } from "./sync.js";

const chosenInk = "#ffd166", foundInk = "#7db8ff", caseInk = "#000b";

let telling = 0;

// Have the policy do it again with other settings.
export async function tell(settings) {
  telling++;
  await change(() => ({ change: { type: "tell", ...settings } }));
  telling--;
  store.update({ session: { ...store.state.session } }); // the sliders say again what is so
}

// Whether that is on its way: a person goes on from what the sliders say, which is ahead of what has been answered.
export const told = () => telling > 0;

export class TheObject {
  constructor(view) {
    this.view = view;
    this.mask = null; // a canvas of the picture's size, opaque inside
    this.key = null; // of which object that is
    $("#object-shown").onchange = () => view.draw();
    $("#object-choose").onclick = () => chooseDeed("object");
    $("#object-found").onclick = () => { letGo(); return tell({ region: null }); };
    const slider = $("#strength");
    slider.oninput = () => {
      if (Number(slider.value) === 0) slider.value = this.strength > 0 ? -slider.step : slider.step; // 0 would be no wish at all
      this.strength = Number(slider.value);
      this.sliding = true;
      this.say();
    };
    slider.onpointerup = slider.onblur = () => (this.sliding = false); // where it was taken, too: that is no change
    slider.onchange = () => {
      this.sliding = false;
      tell({ level: this.strength });
    };
    store.subscribe(["session"], ({ session }) => { attempt(() => this.take(session)); });
  }

  // Say what there is to say of a session. What was chosen is shown at once, what is found when the run has found it.
  async take(session) {
    const shown = Boolean(session?.object);
    $("#object").hidden = !shown;
    $("[data-deed=object]").hidden = !shown;
    if (!shown) {
      this.key = this.mask = null;
      return;
    }
    $("#object-found").disabled = session.region === null;
    if (!this.sliding && !told()) {
      this.strength = session.level === "auto" ? session.condition.strength : session.level;
      $("#strength").value = this.strength;
      this.say();
    }
    const key = JSON.stringify([session.id, session.runs, session.region]);
    if (key !== this.key) await this.fetch(key, session.region === null);
  }

  say() {
    $("#strength-name").textContent = this.strength < 0 ? "Attenuate" : "Emphasize";
    $("#strength-said").textContent = Math.abs(this.strength).toFixed(2);
  }

  async fetch(key, found) {
    this.key = key;
    const { width, height, data } = await bytes("/api/object").catch((error) => {
      this.key = null; // so that it is asked for again
      throw error;
    });
    if (key !== this.key) return; // meanwhile there is another one
    const pixels = new Uint32Array(width * height);
    let count = 0, x0 = width, y0 = height, x1 = 0, y1 = 0;
    for (let y = 0, i = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++)
        if (data[i]) {
          pixels[i] = 0xffffffff;
          count++;
          x0 = Math.min(x0, x);
          x1 = Math.max(x1, x + 1);
          y0 = Math.min(y0, y);
          y1 = y + 1;
        }
    this.box = [x0, y0, x1, y1];
    this.mask = document.createElement("canvas");
    this.mask.width = width;
    this.mask.height = height;
    this.mask.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
    this.ink = found ? foundInk : chosenInk;
    this.drawn = null;
    $("#object-said").textContent = count ? `${found ? "found" : "chosen"}, ${spaced(count)} px` : "being found…";
    this.view.draw();
  }

  draw(c) {
    if (!this.mask || !$("#object-shown").checked) return;
    const { view } = this, place = [view.x, view.y, view.scale, view.canvas.width, view.canvas.height].join();
    if (this.drawn !== place) {
      this.drawn = place;
      this.outline = this.line();
    }
    c.save();
    c.setTransform(1, 0, 0, 1, (view.canvas.width / view.shownWidth) * view.left, 0);
    c.drawImage(this.outline, 0, 0);
    c.restore();
  }

  // A line around the object, as wide at every zoom: the object moved about, less the object.
  line() {
    const { view, box } = this, { width, height } = view.canvas, dpr = width / view.shownWidth;
    const [left, top, across, down] = view.placeBox(box);
    const canvas = () => {
      const made = Object.assign(document.createElement("canvas"), { width, height });
      const context = made.getContext("2d");
      context.rect(dpr * (left - 4), dpr * (top - 4), dpr * (across + 8), dpr * (down + 8)); // no more than the object needs: this is done at every move
      context.clip();
      return made;
    };
    const inside = canvas(), c = inside.getContext("2d");
    c.scale(dpr, dpr);
    view.layer(this.mask, 1, c);
    const ring = (radius, ink) => {
      const made = canvas(), r = made.getContext("2d");
      for (let turn = 0; turn < 2 * Math.PI; turn += Math.PI / 4) r.drawImage(inside, radius * dpr * Math.cos(turn), radius * dpr * Math.sin(turn));
      r.globalCompositeOperation = "source-in";
      r.fillStyle = ink;
      r.fillRect(0, 0, width, height);
      r.globalCompositeOperation = "destination-out";
      r.drawImage(inside, 0, 0);
      return made;
    };
    const line = ring(3, caseInk), l = line.getContext("2d");
    l.globalCompositeOperation = "source-over";
    l.drawImage(ring(2, this.ink), 0, 0);
    return line;
  }
}
