// The list of edits.

import { letGo } from "./change.js";
import { $, element, spaced } from "./dom.js";
import { store } from "./store.js";
import { change, editOf } from "./sync.js";

function said(edit) {
  if (edit.do === "stop") return "Stop";
  if (edit.do.force === "do nothing" && edit.steps === "all" && !edit.where) return "Protect";
  return edit.do.force ? `Force ${edit.do.force}` : `Forbid ${edit.do.forbid.join(", ")}`;
}

function whereSaid({ edit, pixels }) {
  const region = edit.region ?? {};
  const what = region.polygon ? "polygon" : region.box ? "rectangle" : region.mask ? "region" : "whole picture";
  const size = pixels == null ? "" : `, ${spaced(pixels)} px`;
  const all = edit.steps === "all" || !edit.steps;
  const steps = all ? "all steps" : edit.do === "stop" ? `from step ${Math.min(...edit.steps)}` : `step${edit.steps.length > 1 ? "s" : ""} ${edit.steps.join(", ")}`;
  const where = [];
  if (edit.where?.action) where.push(`where ${[].concat(edit.where.action).join(", ")}`);
  if (edit.where?.brightness) where.push(`grey ${edit.where.brightness.join("–")}`);
  const soft = [...(edit.share < 1 ? [`${Math.round(100 * edit.share)}\u00a0% of the pixels`] : []), ...(edit.feather ? [`feather ${edit.feather} px`] : [])];
  return [...(edit.off ? ["off"] : []), what + size, steps, ...where, ...soft].join(" · ");
}

const open = '<svg viewBox="0 0 20 20"><path d="M2 10s3-5 8-5 8 5 8 5-3 5-8 5-8-5-8-5z"/><circle cx="10" cy="10" r="2.3"/></svg>';
const closed = '<svg viewBox="0 0 20 20"><path d="M2 9s3 5 8 5 8-5 8-5M5 13l-1.5 2M10 14v2.5M15 13l1.5 2"/></svg>';

const point = (item) => store.update({ pointed: item?.number ?? null });
const choose = ({ number }) => store.update({ chosen: store.state.chosen === number ? null : number });

// make(item, items) gives the change, of the edit and the list as they are when all changes before have been made.
function alter(item, make) {
  letGo();
  point(null);
  return change((session) => ({ change: make(editOf(session, item.number) ?? item, session.edits) }));
}
const turn = (item) => alter(item, ({ number, edit: { off, ...edit } }) => ({ type: "replace", number, edit: off ? edit : { ...edit, off: true } }));
const remove = (item) => alter(item, ({ number }) => ({ type: "remove", number }));
function move(item, later) {
  return alter(item, ({ number }, items) => {
    const at = items.findIndex((each) => each.number === number), next = later ? at + 2 : at > 0 ? at - 1 : 1; // the first one stays
    return { type: "move", number, before: items[next]?.number ?? null };
  });
}

function row(item, i, items) {
  const what = said(item.edit);
  const button = (label, text, off, act) => element("button", { class: "icon small", "aria-label": `${label} edit ${i + 1}, ${what}`, title: label, disabled: off, onclick: (e) => { e.stopPropagation(); act(); } }, text);
  const eye = () => {
    const icon = element("button", { class: "icon small eye", "aria-label": `Apply edit ${i + 1}, ${what}`, "aria-pressed": !item.edit.off, title: "Apply, or switch off without deleting", onclick: (e) => { e.stopPropagation(); turn(item); } });
    icon.innerHTML = item.edit.off ? closed : open;
    return icon;
  };
  return element("li", {
    class: item.edit.off ? "off" : "", tabindex: "0", "data-number": item.number, "aria-label": `${what}, ${whereSaid(item)}`, title: "Click it to change it, to keep its area in sight, and to erase from it (E)",
    onclick: () => choose(item), onpointerenter: () => point(item), onpointerleave: () => point(null), onfocusin: () => point(item), onfocusout: () => point(null),
    onkeydown: (e) => {
      if (e.key === "Delete") remove(item);
      if (e.key === "Enter" && e.target === e.currentTarget) choose(item);
    },
  },
    eye(), element("span", { class: "said" }, element("b", {}, what), element("small", {}, whereSaid(item))),
    button("Earlier", "↑", i === 0, () => move(item, false)), button("Later", "↓", i === items.length - 1, () => move(item, true)),
    button("Delete", "✕", false, () => remove(item)));
}

let listed = "";
store.subscribe(["session"], ({ session }) => {
  const items = session?.edits ?? [], key = JSON.stringify(items);
  if (key === listed) return; // not at each poll: somebody may be in it
  listed = key;
  const focused = document.activeElement?.closest?.("#edits li")?.dataset.number, label = document.activeElement?.getAttribute?.("title");
  $("#edit-count").textContent = items.length ? String(items.length) : "";
  $("#no-edits").hidden = items.length > 0;
  $("#edits").replaceChildren(...items.map((item, i) => row(item, i, items)));
  const same = focused && $(`#edits [data-number="${editOf(session, Number(focused))?.number}"]`);
  if (same) (same.querySelector(`[title="${label}"]:not([disabled])`) ?? same).focus();
});
store.subscribe(["session", "chosen"], ({ chosen }) => {
  for (const item of $("#edits").children) item.setAttribute("aria-current", Number(item.dataset.number) === chosen);
});
