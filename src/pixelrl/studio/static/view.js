// The canvas: zoom and pan, the picture, the comparison, the action map, and what is being drawn.

import { turns } from "./turns.js";

const smallest = 0.02, largest = 96;

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.scale = 1;
    this.x = this.y = 0; // of the picture's corner, in CSS pixels
    this.width = this.height = 1; // of the picture as it is stored; all its coordinates are those of stored pixels
    this.turn = turns(1, 1, 1); // how it is shown
    this.base = this.other = null; // canvases
    this.compare = "off"; // or "split", "blink", or "side": the other picture beside this one, at the same zoom and place
    this.left = 0; // of the pane that is being drawn, in CSS pixels
    this.held = null; // in which pane a pointer went down, until it comes up
    this.split = 0.5;
    this.blinkOn = false;
    this.map = null; // {map, version}
    this.palette = null; // Uint32 by action, 0 where hidden
    this.actions = [];
    this.overlay = false;
    this.opacity = 0.75;
    this.channel = -1; // -1: all agents of a pixel side by side
    this.pin = null;
    this.extras = () => {};
    this.moved = () => {};
    new ResizeObserver(() => this.resized()).observe(canvas);
    canvas.addEventListener("pointerdown", (e) => { this.held = this.leftOf(this.across(e)); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => queueMicrotask(() => { this.held = null; }));
  }

  // As wide as a picture has room: side by side there are two such panes. All places but those of pointers count from a pane's corner.
  get pane() {
    return this.compare === "side" ? this.shownWidth / 2 : this.shownWidth;
  }

  leftOf(px) {
    return px >= this.pane ? this.pane : 0;
  }

  across(event) {
    return event.clientX - this.canvas.getBoundingClientRect().left;
  }

  comparing(compare) {
    const before = this.pane;
    this.compare = compare;
    if (this.pane === before) return;
    if (this.fitted) this.fit();
    else this.x += (this.pane - before) / 2;
  }

  // Another picture.
  take(width, height, orientation) {
    Object.assign(this, { width, height, base: null, other: null, map: null, pin: null, turn: turns(orientation, width, height) });
    this.resized();
    this.fit();
  }

  resized() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (!w || !h) return;
    const dpr = window.devicePixelRatio || 1;
    const former = this.shownWidth && [this.pane, this.shownHeight];
    this.canvas.width = Math.round(w * dpr);
    this.canvas.height = Math.round(h * dpr);
    this.shownWidth = w;
    this.shownHeight = h;
    if (this.fitted || !former) this.fit();
    else {
      this.x += (this.pane - former[0]) / 2;
      this.y += (h - former[1]) / 2;
    }
    this.drawSync();
  }

  fit() {
    const w = this.pane, h = this.shownHeight, { width, height } = this.turn;
    if (!w) return;
    const room = Math.min((w - 32) / width, (h - 96) / height);
    this.scale = room >= 2 ? Math.min(Math.floor(room), 12) : room;
    this.x = (w - width * this.scale) / 2;
    this.y = (h - 36 - height * this.scale) / 2;
    this.fitted = true;
    this.draw();
  }

  zoomAt(across, py, factor) {
    const px = across - this.leftOf(across);
    const scale = Math.min(largest, Math.max(smallest, this.scale * factor));
    this.x = px - (px - this.x) * (scale / this.scale);
    this.y = py - (py - this.y) * (scale / this.scale);
    this.scale = scale;
    this.fitted = false;
    this.draw();
  }

  zoomTo(scale) {
    this.zoomAt(this.pane / 2, this.shownHeight / 2, scale / this.scale);
  }

  panBy(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.draw();
  }

  // Bring a pixel into view.
  reveal(x, y) {
    const [px, py] = this.place(x + 0.5, y + 0.5);
    const dx = px < 40 ? 40 - px : px > this.pane - 40 ? this.pane - 40 - px : 0;
    const dy = py < 40 ? 40 - py : py > this.shownHeight - 80 ? this.shownHeight - 80 - py : 0;
    if (dx || dy) this.panBy(dx, dy);
  }

  // From the picture to the canvas, in CSS pixels, and back.
  place(x, y) {
    const [X, Y] = this.turn.shown(x, y);
    return [this.x + X * this.scale, this.y + Y * this.scale];
  }

  toPicture(px, py) {
    const [x, y] = this.turn.stored((px - this.x) / this.scale, (py - this.y) / this.scale);
    return { x, y };
  }

  // A box of the picture on the canvas: its corner, width and height.
  placeBox([x0, y0, x1, y1]) {
    const [ax, ay] = this.place(x0, y0), [bx, by] = this.place(x1, y1);
    return [Math.min(ax, bx), Math.min(ay, by), Math.abs(bx - ax), Math.abs(by - ay)];
  }

  at(event) {
    const px = this.across(event), left = this.held ?? this.leftOf(px); // a stroke goes on in the pane where it began
    return this.toPicture(px - left, event.clientY - this.canvas.getBoundingClientRect().top);
  }

  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => this.drawSync());
  }

  drawSync() {
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    const { context: c, canvas } = this;
    // What stands around it may have come and gone between two calls of the observer.
    if (canvas.clientWidth && (canvas.clientWidth !== this.shownWidth || canvas.clientHeight !== this.shownHeight)) return this.resized();
    const dpr = canvas.width / (this.shownWidth || 1);
    c.setTransform(dpr, 0, 0, dpr, 0, 0);
    c.clearRect(0, 0, this.shownWidth, this.shownHeight);
    if (!this.base) return;
    for (const [left, picture] of this.compare === "side" ? [[0, this.other], [this.pane, this.base]] : [[0, this.base]]) {
      this.left = left;
      c.save();
      c.beginPath();
      c.rect(left, 0, this.pane, this.shownHeight);
      c.clip();
      c.translate(left, 0);
      this.drawPane(c, dpr, picture);
      c.restore();
    }
    this.left = 0;
    this.moved();
  }

  drawPane(c, dpr, picture) {
    c.save();
    c.shadowColor = "#0008";
    c.shadowBlur = 18;
    c.fillStyle = "#000";
    c.fillRect(this.x, this.y, this.turn.width * this.scale, this.turn.height * this.scale);
    c.restore();
    const blinked = this.compare === "blink" && this.blinkOn && this.other;
    if (picture) this.layer(blinked ? this.other : picture);
    if (!blinked && picture === this.base && this.overlay && this.map) this.drawMap(dpr);
    if (this.compare === "split" && this.other) {
      const x = this.split * this.shownWidth;
      c.save();
      c.beginPath();
      c.rect(0, 0, x, this.shownHeight);
      c.clip();
      this.layer(this.other);
      c.restore();
    }
    this.grid();
    this.extras(c);
    this.drawPin();
  }

  // The part of the picture that is to be seen.
  visible() {
    const a = this.toPicture(0, 0), b = this.toPicture(this.pane, this.shownHeight);
    const x0 = Math.max(0, Math.floor(Math.min(a.x, b.x))), y0 = Math.max(0, Math.floor(Math.min(a.y, b.y)));
    const x1 = Math.min(this.width, Math.ceil(Math.max(a.x, b.x))), y1 = Math.min(this.height, Math.ceil(Math.max(a.y, b.y)));
    return { x0, y0, x1, y1, empty: x1 <= x0 || y1 <= y0 };
  }

  // Draw a canvas of the picture's size, or `across` times as wide, in its place.
  layer(source, across = 1, c = this.context) {
    const { x0, y0, x1, y1, empty } = this.visible(), s = this.scale;
    if (empty) return;
    c.save();
    c.translate(this.x, this.y);
    c.scale(s, s);
    c.transform(...this.turn.matrix);
    c.imageSmoothingEnabled = s < 1;
    c.imageSmoothingQuality = "high";
    c.drawImage(source, x0 * across, y0, (x1 - x0) * across, y1 - y0, x0, y0, x1 - x0, y1 - y0);
    c.restore();
  }

  drawMap() {
    const { map, version } = this.map;
    const striped = this.channel < 0 && map.channels > 1 && map.width * map.channels < 16000;
    const sign = `${version},${striped},${this.channel},${this.palette.join()}`;
    if (this.drawnMap !== map || this.drawnSign !== sign) {
      this.drawnMap = map;
      this.drawnSign = sign;
      const across = striped ? map.channels : 1, n = map.width * map.height * across;
      const pixels = new Uint32Array(n), { palette } = this, { data } = map;
      const step = striped ? 1 : map.channels, first = striped ? 0 : Math.max(0, this.channel);
      for (let i = 0, j = first; i < n; i++, j += step) pixels[i] = palette[data[j]];
      this.mapCanvas ??= document.createElement("canvas");
      this.mapCanvas.width = map.width * across;
      this.mapCanvas.height = map.height;
      const image = new ImageData(new Uint8ClampedArray(pixels.buffer), map.width * across, map.height);
      this.mapCanvas.getContext("2d").putImageData(image, 0, 0);
      this.mapAcross = across;
    }
    this.context.globalAlpha = this.opacity;
    this.layer(this.mapCanvas, this.mapAcross);
    this.context.globalAlpha = 1;
    if (this.scale >= (this.mapAcross > 1 ? 42 : 30)) this.symbols(this.mapAcross);
  }

  // What each agent does, in its place; sideways where three agents stand side by side in a pixel.
  symbols(across) {
    const { x0, y0, x1, y1 } = this.visible(), c = this.context, s = this.scale, { map } = this.map;
    const several = across > 1, light = this.opacity < 0.45;
    c.font = `600 ${Math.min(several ? 13 : 17, several ? (s / across) * 0.62 : s / 3)}px system-ui, sans-serif`;
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.lineWidth = 3;
    c.strokeStyle = "#000a";
    for (let y = y0; y < y1; y++)
      for (let x = x0; x < x1; x++)
        for (let g = 0; g < across; g++) {
          const action = map.data[(y * map.width + x) * map.channels + (several ? g : Math.max(0, this.channel))];
          if (!this.palette[action]) continue;
          const { ink, symbol } = this.actions[action];
          c.save();
          c.translate(...this.place(x + (g + 0.5) / across, y + 0.5));
          if (several && !this.turn.swaps) c.rotate(-Math.PI / 2);
          c.fillStyle = light ? "#fff" : ink;
          if (light) c.strokeText(symbol, 0, 0);
          c.fillText(symbol, 0, 0);
          c.restore();
        }
  }

  grid() {
    if (this.scale < 10) return;
    const { x0, y0, x1, y1, empty } = this.visible(), c = this.context, s = this.scale;
    if (empty) return;
    const [left, top, width, height] = this.placeBox([x0, y0, x1, y1]);
    c.beginPath();
    for (let px = left; px < left + width + s / 2; px += s) {
      c.moveTo(Math.round(px) + 0.5, top);
      c.lineTo(Math.round(px) + 0.5, top + height);
    }
    for (let py = top; py < top + height + s / 2; py += s) {
      c.moveTo(left, Math.round(py) + 0.5);
      c.lineTo(left + width, Math.round(py) + 0.5);
    }
    c.lineWidth = 1;
    c.strokeStyle = `rgba(0,0,0,${Math.min(0.4, (s - 8) / 40)})`;
    c.stroke();
  }

  drawPin() {
    if (!this.pin) return;
    const s = Math.max(this.scale, 5) + 2, [px, py] = this.place(this.pin.x + 0.5, this.pin.y + 0.5);
    this.cased(() => this.context.strokeRect(px - s / 2, py - s / 2, s, s));
  }

  // A line that shows on everything: white on black.
  cased(stroke, colour = "#fff", dash = []) {
    const c = this.context;
    c.setLineDash([]);
    c.lineWidth = 4;
    c.strokeStyle = "#000b";
    stroke();
    c.setLineDash(dash);
    c.lineWidth = 2;
    c.strokeStyle = colour;
    stroke();
    c.setLineDash([]);
  }

  outline(box, colour, dash) {
    this.cased(() => this.context.strokeRect(...this.placeBox(box)), colour, dash);
  }

  path(points, closed, colour, dash) {
    const c = this.context;
    this.cased(() => {
      c.beginPath();
      for (const [x, y] of points) c.lineTo(...this.place(x, y)); // the first only begins
      if (closed) c.closePath();
      c.stroke();
    }, colour, dash);
  }
}
