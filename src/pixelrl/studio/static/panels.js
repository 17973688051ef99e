// What stands around the picture: time line, operations, a pixel's story, the list of edits.

import { picture } from "./api.js";

export const $ = (selector) => document.querySelector(selector);

export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(node.style, value);
    else if (key.startsWith("aria-")) node.setAttribute(key, String(value));
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// Black or white, whichever reads better on a colour.
export function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((i) => (parseInt(colour.slice(i, i + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#000" : "#fff";
}

export function chip(action, gone = false) {
  return element("i", { class: `chip${gone ? " gone" : ""}`, title: action.name, style: { background: action.color, color: inkOn(action.color) } }, action.symbol);
}

export function radio(group, value) {
  for (const button of group.querySelectorAll('[role="radio"]')) {
    const on = Object.values(button.dataset)[0] === value;
    button.setAttribute("aria-checked", on);
    button.tabIndex = on ? 0 : -1;
  }
}

// Buttons that behave as radio buttons: arrow keys move the choice.
export function radios(group, chosen) {
  const buttons = [...group.querySelectorAll('[role="radio"]')];
  group.addEventListener("click", (e) => {
    const button = e.target.closest('[role="radio"]');
    if (button && !button.disabled) chosen(Object.values(button.dataset)[0]);
  });
  group.addEventListener("keydown", (e) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
    if (!by) return;
    e.preventDefault();
    e.stopPropagation();
    const shown = buttons.filter((button) => !button.hidden);
    const next = shown[(shown.indexOf(document.activeElement) + by + shown.length) % shown.length];
    next.focus();
    next.click();
  });
}

export const percent = (share) => (share === 0 ? "–" : share < 0.001 ? "<0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);

export class TimeLine {
  constructor(chosen) {
    this.list = $("#timeline ol");
    this.chosen = chosen;
    this.asked = 0;
  }

  build(steps) {
    this.list.replaceChildren(
      ...Array.from({ length: steps + 1 }, (_, step) =>
        element("li", {}, element("button", { "data-step": step, onclick: () => this.chosen(step), title: step ? `After step ${step} (key ${step})` : "The input (Home)" },
          element("span", { class: "thumb" }, element("img", { alt: "", draggable: "false" })),
          element("span", { class: "shares" }),
          element("span", { class: "caption" }, step === 0 ? "Input" : step === steps ? `Step ${step} · result` : `Step ${step}`)))));
  }

  select(step) {
    for (const button of this.list.querySelectorAll("button")) {
      const here = Number(button.dataset.step) === step;
      button.setAttribute("aria-current", here ? "step" : "false");
      if (here) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  shares(session) {
    this.list.querySelectorAll(".shares").forEach((bar, step) => {
      if (!step) return;
      const row = session.shares[step - 1];
      bar.replaceChildren(...row.map((share, i) => element("i", { style: { flexGrow: share, background: session.actions[i].color } })));
    });
  }

  async thumbs(from = 0) {
    const asked = ++this.asked;
    for (const [step, image] of [...this.list.querySelectorAll("img")].entries()) {
      if (step < from) continue;
      const address = await picture(`/api/thumb/${step}`);
      if (asked !== this.asked) return URL.revokeObjectURL(address);
      if (image.src) URL.revokeObjectURL(image.src);
      image.src = address;
    }
  }
}

export function legend(session, step, hidden, toggled) {
  const list = $("#legend"), row = step ? session.shares[step - 1] : null;
  $("#of-step").textContent = step ? `that led to step ${step}` : "";
  const most = row ? Math.max(...row) : 1;
  list.replaceChildren(...session.actions.map((action, i) => {
    const share = row ? row[i] : 0;
    return element("li", { class: row && !share ? "unused" : "" },
      element("label", {}, element("input", { type: "checkbox", checked: !hidden.has(action.name), onchange: (e) => toggled(action.name, e.target.checked) }),
        chip(action), element("span", { class: "name" }, action.name),
        element("span", { class: "bar" }, element("i", { style: { width: `${(100 * share) / most}%`, background: action.color } })),
        element("span", { class: "share" }, row ? percent(share) : "")));
  }));
}

const letters = ["R", "G", "B"];
const number = (value) => (Math.abs(value - Math.round(value)) < 0.005 ? String(Math.round(value)) : value.toFixed(1));

export function story(session, pixel, step, chosen) {
  const place = $("#story");
  if (!pixel) return place.replaceChildren(element("p", { class: "hint" }, "Click a pixel to read its story."));
  const colours = pixel.values[0].length, agents = session.agents;
  const head = element("tr", {}, element("th", { scope: "col" }, "Step"), element("th", { "aria-label": "colour" }),
    ...(colours === 3 ? letters : ["Value"]).map((name) => element("th", { scope: "col" }, name)),
    ...(agents === 1 ? [element("th", { scope: "col", class: "wide" }, "Operation")] : []));
  const rows = pixel.values.map((values, t) => {
    const byte = values.map((v) => Math.round(Math.max(0, Math.min(255, v))));
    const swatch = element("i", { class: "swatch", style: { background: `rgb(${colours === 3 ? byte.join() : [byte[0], byte[0], byte[0]].join()})` } });
    const done = (g) => {
      if (!t) return "";
      const now = session.actions[pixel.actions[t - 1][g]], was = session.actions[pixel.recorded[t - 1][g]];
      const name = element("span", { class: agents === 1 ? "name" : "unseen" }, now.name);
      return now === was ? element("span", {}, chip(now), name) : element("span", { title: `edited: ${now.name} instead of ${was.name}` }, chip(was, true), chip(now), name);
    };
    return element("tr", { class: t === step ? "now" : "", onclick: () => chosen(t) },
      element("th", { scope: "row" }, t ? String(t) : "in"), element("td", {}, swatch),
      ...values.map((v, g) => element("td", {}, element("b", {}, number(v)), ...(agents > 1 ? [done(g)] : []))),
      ...(agents === 1 ? [element("td", {}, done(0))] : []));
  });
  place.replaceChildren(element("table", { class: agents > 1 ? "per-channel" : "" }, element("thead", {}, head), element("tbody", {}, ...rows)));
}

export function deedSaid(edit) {
  if (edit.do === "stop") return "Stop";
  if (edit.do.force === "do nothing" && edit.steps === "all" && !edit.where) return "Protect";
  return edit.do.force ? `Force ${edit.do.force}` : `Forbid ${edit.do.forbid.join(", ")}`;
}

export function whereSaid({ edit, pixels }) {
  const region = edit.region ?? {};
  const what = region.polygon ? "polygon" : region.box ? "rectangle" : region.mask ? "region" : "whole picture";
  const size = pixels == null ? "" : `, ${pixels.toLocaleString("en").replaceAll(",", " ")} px`;
  const steps = edit.steps === "all" || !edit.steps ? "all steps" : `step${edit.steps.length > 1 ? "s" : ""} ${edit.steps.join(", ")}`;
  const where = [];
  if (edit.where?.action) where.push(`where ${[].concat(edit.where.action).join(", ")}`);
  if (edit.where?.brightness) where.push(`grey ${edit.where.brightness.join("–")}`);
  return [what + size, steps, ...where].join(" · ");
}

export function edits(session, { moved, removed, pointed }) {
  const items = session.edits ?? [];
  $("#edit-count").textContent = items.length ? String(items.length) : "";
  $("#no-edits").hidden = items.length > 0;
  $("#edits").replaceChildren(...items.map((item, i) => {
    const said = deedSaid(item.edit);
    const button = (label, text, off, act) => element("button", { class: "icon small", "aria-label": `${label} edit ${i + 1}, ${said}`, title: label, disabled: off, onclick: act }, text);
    return element("li", { tabindex: "0", "aria-label": `${said}, ${whereSaid(item)}`, onpointerenter: () => pointed(item), onpointerleave: () => pointed(null), onfocusin: () => pointed(item), onfocusout: () => pointed(null), onkeydown: (e) => { if (e.key === "Delete") removed(i); } },
      element("span", { class: "said" }, element("b", {}, said), element("small", {}, whereSaid(item))),
      button("Earlier", "↑", i === 0, () => moved(i, i - 1)), button("Later", "↓", i === items.length - 1, () => moved(i, i + 1)),
      button("Delete", "✕", false, () => removed(i)));
  }));
}
