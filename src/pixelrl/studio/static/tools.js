// Drawing regions on the picture: brush, rectangle, polygon, same operation; and looking around.

export const hints = {
  hand: "Drag to move, scroll to zoom, click a pixel to read its story.",
  brush: "Paint over what you mean. More strokes add to it.",
  erase: "Take away from the edit that is chosen in the list, or else from the last one.",
  box: "Drag a rectangle.",
  polygon: "Click corners; close with a double click, Enter, or on the first corner. Ctrl+Z takes the last one back.",
  same: "Click a pixel: all that do the same at this step are taken.",
};

// The pixels of a mask as lengths of runs inside their bounding box: out, in, out, ...
export function runs(mask, width, box) {
  const [x0, y0, x1, y1] = box, lengths = [];
  let inside = 0, length = 0;
  for (let y = y0; y < y1; y++)
    for (let x = x0; x < x1; x++) {
      const here = mask[y * width + x];
      if (here !== inside) {
        lengths.push(length);
        length = 0;
        inside = here;
      }
      length++;
    }
  lengths.push(length);
  return lengths;
}

export class Tools {
  // done(region): {box} | {polygon} | {painted: {mask, box}} | {pixel}; look(pixel). Somebody sets erased({mask, box}).
  constructor(view, { done, look, ready }) {
    Object.assign(this, { view, done, look, ready });
    this.tool = "hand";
    this.size = 24;
    this.corners = [];
    this.pointers = new Map();
    this.space = false;
    this.forget();
    const canvas = view.canvas;
    canvas.addEventListener("pointerdown", (e) => this.down(e));
    canvas.addEventListener("pointermove", (e) => this.move(e));
    canvas.addEventListener("pointerup", (e) => this.up(e));
    canvas.addEventListener("pointercancel", (e) => this.up(e, true));
    canvas.addEventListener("pointerleave", () => { this.hover = null; view.draw(); });
    canvas.addEventListener("dblclick", () => this.close());
    canvas.addEventListener("contextmenu", (e) => e.preventDefault());
    canvas.addEventListener("wheel", (e) => {
      e.preventDefault();
      const box = canvas.getBoundingClientRect();
      view.zoomAt(e.clientX - box.left, e.clientY - box.top, Math.exp(-Math.max(-240, Math.min(240, e.deltaY)) * (e.ctrlKey ? 0.01 : 0.0022)));
    }, { passive: false });
  }

  // The brush starts a new region.
  forget() {
    this.mask = null;
    this.painted = null;
  }

  choose(tool) {
    this.tool = tool;
    this.corners = [];
    this.rectangle = this.pressed = null;
    this.forget();
    this.cursor();
    this.view.draw();
  }

  cursor() {
    const hand = this.tool === "hand" || this.space;
    this.view.canvas.style.cursor = this.dragging ? "grabbing" : this.space ? "grab" : !hand && this.paints ? "none" : "crosshair";
  }

  get paints() {
    return this.tool === "brush" || this.tool === "erase";
  }

  inside(p) {
    const x = Math.floor(p.x), y = Math.floor(p.y);
    return x >= 0 && y >= 0 && x < this.view.width && y < this.view.height ? { x, y } : null;
  }

  corner(p) {
    const { view } = this;
    return [Math.max(0, Math.min(view.width, p.x)), Math.max(0, Math.min(view.height, p.y))];
  }

  down(e) {
    const { view } = this;
    view.canvas.focus({ preventScroll: true });
    try { view.canvas.setPointerCapture(e.pointerId); } catch { /* a pointer that is gone already */ }
    this.pointers.set(e.pointerId, { x: e.clientX, y: e.clientY });
    if (this.pointers.size > 1) { // two fingers move and zoom, whatever the tool
      if (this.stroke && this.mask) this.unstamp();
      this.stroke = this.rectangle = this.dragging = this.pressed = null;
      this.pinch = this.fingers();
      return;
    }
    this.start = { x: e.clientX, y: e.clientY };
    const p = view.at(e);
    if (this.tool === "hand" || this.space || e.button === 1 || e.button === 2 || !this.ready()) {
      this.dragging = { x: e.clientX, y: e.clientY, moved: false };
    } else if (this.paints) {
      if (this.tool === "erase") this.forget();
      this.former = { mask: this.mask?.slice() ?? null, painted: this.painted };
      if (!this.mask) {
        this.mask = new Uint8Array(view.width * view.height);
        this.layer = document.createElement("canvas");
        this.layer.width = view.width;
        this.layer.height = view.height;
      }
      this.stroke = p;
      this.stamp(p, p);
    } else if (this.tool === "box") {
      this.rectangle = [this.corner(p), this.corner(p)];
    } else this.pressed = p;
    this.cursor();
    view.draw();
  }

  // A corner of a polygon, or a pixel for "same". Not before the finger is up again: another one may come to zoom.
  click(p) {
    if (this.tool === "polygon") {
      const first = this.corners[0], near = first && Math.hypot(first[0] - p.x, first[1] - p.y) * this.view.scale < 10;
      if (near && this.corners.length > 2) this.close();
      else this.corners.push(this.corner(p));
    } else if (this.tool === "same") {
      const pixel = this.inside(p);
      if (pixel) this.done({ pixel: { ...pixel, part: p.x - pixel.x } });
    }
  }

  move(e) {
    const { view } = this, p = view.at(e);
    this.hover = p;
    if (this.pointers.has(e.pointerId)) this.pointers.set(e.pointerId, { x: e.clientX, y: e.clientY });
    if (this.pinch) {
      if (this.pointers.size < 2) return; // one finger has left
      const now = this.fingers(), box = view.canvas.getBoundingClientRect();
      view.panBy(now.x - this.pinch.x, now.y - this.pinch.y);
      view.zoomAt(now.x - box.left, now.y - box.top, now.far / this.pinch.far);
      this.pinch = now;
    } else if (this.dragging) {
      const d = this.dragging;
      if (d.moved || Math.hypot(e.clientX - this.start.x, e.clientY - this.start.y) > 4) {
        d.moved = true;
        view.panBy(e.clientX - d.x, e.clientY - d.y);
        d.x = e.clientX;
        d.y = e.clientY;
      }
    } else if (this.stroke) {
      for (const event of e.getCoalescedEvents?.() ?? [e]) {
        const q = view.at(event);
        this.stamp(this.stroke, q);
        this.stroke = q;
      }
    } else if (this.rectangle) this.rectangle[1] = this.corner(p);
    if (this.tool !== "hand") view.draw();
  }

  up(e, cancelled = false) {
    this.pointers.delete(e.pointerId);
    if (this.pinch) {
      this.pinch = this.pointers.size > 1 ? this.fingers() : this.pointers.size ? this.pinch : null;
      return;
    }
    if (this.dragging) {
      const pixel = this.inside(this.view.at(e));
      if (!this.dragging.moved && this.tool === "hand" && !cancelled) this.look(pixel);
      this.dragging = null;
    } else if (this.stroke) {
      this.stroke = null;
      const stroke = { mask: this.mask, box: this.painted };
      if (this.painted && this.tool === "erase") this.erased(stroke);
      else if (this.painted) this.done({ painted: stroke });
    } else if (this.rectangle) {
      const [[ax, ay], [bx, by]] = this.rectangle;
      const box = [Math.floor(Math.min(ax, bx)), Math.floor(Math.min(ay, by)), Math.ceil(Math.max(ax, bx)), Math.ceil(Math.max(ay, by))];
      this.rectangle = null;
      if (!cancelled && box[2] > box[0] && box[3] > box[1]) this.done({ box });
    } else if (this.pressed) {
      const p = this.pressed;
      this.pressed = null;
      if (!cancelled) this.click(p);
    }
    this.cursor();
    this.view.draw();
  }

  fingers() {
    const [a, b] = [...this.pointers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, far: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
  }

  close() {
    if (this.tool !== "polygon") return;
    const corners = this.corners.filter((p, i, all) => !i || p[0] !== all[i - 1][0] || p[1] !== all[i - 1][1]);
    this.corners = [];
    if (corners.length > 2) this.done({ polygon: corners.map((p) => p.map((n) => Math.round(n * 100) / 100)) });
    this.view.draw();
  }

  // Take back the last corner of a polygon that is being drawn; whether there was one.
  uncorner() {
    const there = this.corners.length > 0;
    this.corners.pop();
    this.view.draw();
    return there;
  }

  escape() {
    const busy = this.corners.length || this.rectangle;
    this.corners = [];
    this.rectangle = null;
    this.view.draw();
    return Boolean(busy);
  }

  // Discs along a line. A disc of size 1 is one pixel.
  stamp(from, to) {
    const { view, mask } = this, r = this.size / 2, length = Math.hypot(to.x - from.x, to.y - from.y);
    const count = Math.max(1, Math.ceil(length / Math.max(0.5, r / 3)));
    const touched = [Infinity, Infinity, -1, -1];
    for (let i = 0; i <= count; i++) {
      let cx = from.x + ((to.x - from.x) * i) / count, cy = from.y + ((to.y - from.y) * i) / count;
      if (this.size <= 1) { cx = Math.floor(cx) + 0.5; cy = Math.floor(cy) + 0.5; }
      const x0 = Math.max(0, Math.floor(cx - r)), x1 = Math.min(view.width, Math.ceil(cx + r));
      const y0 = Math.max(0, Math.floor(cy - r)), y1 = Math.min(view.height, Math.ceil(cy + r));
      for (let y = y0; y < y1; y++)
        for (let x = x0; x < x1; x++)
          if ((x + 0.5 - cx) ** 2 + (y + 0.5 - cy) ** 2 <= r * r + 0.01) {
            mask[y * view.width + x] = 1;
            touched[0] = Math.min(touched[0], x);
            touched[1] = Math.min(touched[1], y);
            touched[2] = Math.max(touched[2], x + 1);
            touched[3] = Math.max(touched[3], y + 1);
          }
    }
    if (touched[2] < 0) return;
    this.ink(touched);
    const p = this.painted, [x0, y0, x1, y1] = touched;
    this.painted = p ? [Math.min(p[0], x0), Math.min(p[1], y0), Math.max(p[2], x1), Math.max(p[3], y1)] : touched;
  }

  // What has been stamped since the finger came down was no stroke.
  unstamp() {
    const box = this.painted;
    Object.assign(this, this.former);
    if (this.mask && box) this.ink(box);
  }

  // Show a box of the mask as it is.
  ink([x0, y0, x1, y1]) {
    const { view, mask } = this, image = new ImageData(x1 - x0, y1 - y0), pixels = new Uint32Array(image.data.buffer);
    for (let y = y0, i = 0; y < y1; y++) for (let x = x0; x < x1; x++, i++) if (mask[y * view.width + x]) pixels[i] = this.tool === "erase" ? 0xffffffff : 0xff66d1ff;
    this.layer.getContext("2d").putImageData(image, x0, y0);
  }

  draw(c) {
    const { view } = this, amber = "#ffd166";
    if (this.stroke && this.layer) {
      c.globalAlpha = 0.5;
      view.layer(this.layer);
      c.globalAlpha = 1;
    }
    if (this.shownEdit) this.drawEdit(this.shownEdit, amber);
    if (this.rectangle) {
      const [[ax, ay], [bx, by]] = this.rectangle;
      view.outline([Math.floor(Math.min(ax, bx)), Math.floor(Math.min(ay, by)), Math.ceil(Math.max(ax, bx)), Math.ceil(Math.max(ay, by))], amber);
    }
    if (this.corners.length) {
      const points = this.hover ? [...this.corners, [this.hover.x, this.hover.y]] : this.corners;
      view.path(points, false, amber);
      for (const [px, py] of this.corners.map((corner) => view.place(...corner))) view.cased(() => c.strokeRect(px - 3, py - 3, 6, 6), amber);
    }
    if (this.paints && this.hover && !this.space) {
      const r = Math.max(2, (this.size / 2) * view.scale);
      view.cased(() => { c.beginPath(); c.arc(...view.place(this.hover.x, this.hover.y), r, 0, 7); c.stroke(); });
    }
  }

  drawEdit({ edit, box, area }, colour) {
    if (area) {
      this.view.context.globalAlpha = 0.45;
      this.view.layer(area);
      this.view.context.globalAlpha = 1;
    } else if (edit.region?.polygon) this.view.path(edit.region.polygon, true, colour, [6, 4]);
    else this.view.outline(box ?? [0, 0, this.view.width, this.view.height], colour, [6, 4]);
  }
}
