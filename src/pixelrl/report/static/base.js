"use strict";
// The data of the page, and what all its parts share. Text from the trace reaches the page as text nodes only.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const T = data.steps, N = data.actions.length, C = data.channels, G = data.agents;
const CHANNELS = data.names;
const NAMES = data.actions.map((action) => action.name);
const COLORS = data.actions.map((action) => [1, 3, 5].map((at) => parseInt(action.color.slice(at, at + 2), 16)));
const MOST_BITS = Math.log2(Math.max(2, N));

/** A new element. Attributes that are functions become event listeners; `undefined` and `false` are left out. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const swatch = (action, small = false) =>
  el("i", { class: small ? "swatch small" : "swatch", style: `background:${data.actions[action].color}`, "aria-hidden": "true" });

/** An operation's name, which explains itself to a pointer. */
const named = (action) => el("span", { title: data.actions[action].explanation || false }, NAMES[action]);

function table(caption, head, rows, className) {
  const cells = (row) => row.map((cell, i) => {
    if (cell instanceof Node && /^T[HD]$/.test(cell.nodeName)) return cell;
    return el(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : { class: "number" }, cell);
  });
  const header = head.map((name, i) => (name instanceof Node ? name : el("th", { scope: "col", class: i ? "number" : undefined }, name)));
  return el("table", { class: className },
    caption ? el("caption", {}, caption) : null,
    el("thead", {}, el("tr", {}, ...header)),
    el("tbody", {}, ...rows.map((row) => (row instanceof Node ? row : el("tr", {}, ...cells(row))))));
}

const luminance = ([r, g, b]) => 0.299 * r + 0.587 * g + 0.114 * b;

function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
}
const percent = (share) => (share === 0 ? "–" : share < 0.0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`);
const decibels = (value, digits = 2) => (value === null ? "∞" : value.toFixed(digits));
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// ---- arrays: deflated, base64, in script elements that the browser does not run

async function unpack(spec) {
  const node = $(`plane-${spec.id}`), text = atob(node.textContent);
  node.remove();
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  return spec.type === "int16" ? new Int16Array(buffer) : new Uint8Array(buffer);
}

/** Fill in a view's arrays. Values are tenths of grey levels, stored as differences from step to step. */
async function unpackView(view) {
  [view.h, view.w] = view.values.shape.slice(2);
  view.size = view.w * view.h;
  view.values = await unpack(view.values);
  const frame = C * view.size;
  for (let i = frame; i < view.values.length; i++) view.values[i] += view.values[i - frame];
  for (const name of ["actions", "reference", "unsure", "percent", "shown"]) if (view[name]) view[name] = await unpack(view[name]);
}

const [SWAP, REVERSE_ROWS, REVERSE_COLUMNS] = data.turns;

/** A pixel of the upright picture, in the coordinates of the stored one, in which edits and the --region of explain count. */
function toStored([x, y]) {
  const column = REVERSE_COLUMNS ? data.width - 1 - x : x, row = REVERSE_ROWS ? data.height - 1 - y : y;
  return SWAP ? [row, column] : [column, row];
}

/** The inverse of `toStored`. */
function toUpright([x, y]) {
  const [column, row] = SWAP ? [y, x] : [x, y];
  return [REVERSE_COLUMNS ? data.width - 1 - column : column, REVERSE_ROWS ? data.height - 1 - row : row];
}

/** The first and the last pixel of a box of the upright picture, in the coordinates of the stored one. */
function storedCorners([x0, y0, x1, y1]) {
  const [a, b] = [toStored([x0, y0]), toStored([x1 - 1, y1 - 1])];
  return [a.map((at, i) => Math.min(at, b[i])), a.map((at, i) => Math.max(at, b[i]))];
}

const tenths = (view, t, channel, i) => view.values[(t * C + channel) * view.size + i];
/** What an agent works on, in tenths: the channel's value, or of opponent colours the mean, or a difference (`color.py`). */
const along = (channel, [red, green, blue]) => [(red + green + blue) / 3, (red - blue) / Math.sqrt(6), (red + blue - 2 * green) / Math.sqrt(18)][channel];
const workedOn = (view, t, channel, i) => (data.opponent ? along(channel, [0, 1, 2].map((c) => tenths(view, t, c, i))) : tenths(view, t, channel, i));
const cleanOf = (view, channel, i) => (data.opponent ? along(channel, [0, 1, 2].map((c) => view.reference[c * view.size + i])) : view.reference[channel * view.size + i]);
const byte = (value) => Math.min(255, Math.max(0, Math.round(value / 10)));
const actionAt = (view, t, agent, i) => view.actions[((t - 1) * G + agent) * view.size + i];
const percentAt = (view, t, action, agent, i) => view.percent[(((t - 1) * N + action) * G + agent) * view.size + i];
const bitsAt = (view, t, i) => (view.unsure[(t - 1) * view.size + i] / 255) * MOST_BITS;

/** Decrease of squared error at step t, of values as written to a file; the mean over the channels if no agent is given. */
function rewardAt(view, t, i, agent = null) {
  const errors = (step) => Array.from({ length: C }, (_, c) => byte(tenths(view, step, c, i)) - byte(view.reference[c * view.size + i]));
  const [before, after] = [errors(t - 1), errors(t)];
  if (agent === null) return before.reduce((sum, error, c) => sum + error ** 2 - after[c] ** 2, 0) / C;
  // Along an opponent colour a distance is 0.577 of that in red, green and blue.
  return data.opponent ? 3 * (along(agent, before) ** 2 - along(agent, after) ** 2) : before[agent] ** 2 - after[agent] ** 2;
}

function changeAt(view, t, i) {
  let sum = 0;
  for (let c = 0; c < C; c++) sum += tenths(view, t, c, i) - tenths(view, t - 1, c, i);
  return sum / C / 10;
}

// ---- colours of numbers; light to dark, and two hues that stay apart under every kind of colour blindness

const RAMPS = {
  unsure: ["#f8f6f0", "#cfc8e2", "#9184c0", "#53428f", "#1e104d"],
  change: ["#08306b", "#5b93cc", "#f8f6f0", "#f0a254", "#8f3b00"],
  reward: ["#6b3a06", "#cf9a4a", "#f8f6f0", "#5ab4a8", "#004c44"],
};

const TABLES = Object.fromEntries(Object.entries(RAMPS).map(([name, stops]) => {
  const rgb = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return [name, Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (rgb.length - 1), low = Math.min(rgb.length - 2, Math.floor(at));
    return rgb[low].map((value, k) => Math.round(value + (rgb[low + 1][k] - value) * (at - low)));
  })];
}));

/** The size that few pixels exceed: the scale of a map of signed numbers. */
function largest(value, size) {
  const step = Math.max(1, Math.floor(size / 20000)), found = [];
  for (let i = 0; i < size; i += step) found.push(Math.abs(value(i)));
  found.sort((a, b) => a - b);
  return Math.max(1, found[Math.floor(0.985 * (found.length - 1))]);
}

function paint(canvas, w, h, color) {
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const image = new ImageData(w, h), to = image.data;
  for (let i = 0, at = 0; i < w * h; i++, at += 4) {
    const rgb = color(i);
    to[at] = rgb[0]; to[at + 1] = rgb[1]; to[at + 2] = rgb[2]; to[at + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.shown = image;
}

function colorsOf(ramp, value, scale) {
  const shades = TABLES[ramp];
  return (i) => shades[Math.min(255, Math.max(0, Math.round(127.5 + (127.5 * value(i)) / scale)))];
}

function pictureColors(view, t) {
  const rgb = [0, 0, 0];
  if (view.shown) return planeColors(view.shown, view.size, 3 * t * view.size);  // in sRGB, where values are not
  return (i) => {
    for (let k = 0; k < 3; k++) rgb[k] = byte(tenths(view, t, C === 3 ? k : 0, i));
    return rgb;
  };
}

function planeColors(bytes, size, from = 0) {
  return (i) => [bytes[from + i], bytes[from + size + i], bytes[from + 2 * size + i]];
}

function colorbar(ramp, low, high, label) {
  return el("div", { class: "colorbar" }, low, el("i", { style: `background:linear-gradient(90deg,${RAMPS[ramp].join(",")})` }), high, el("small", {}, label));
}
