// The panel for looking: the story of a pixel, and the operations that led to a step.

import { get } from "./api.js";
import { $, chip, element, percent, swatch } from "./dom.js";
import { attempt } from "./messages.js";
import { goTo, setOverlay, view } from "./stage.js";
import { phase, store } from "./store.js";

// --- A pixel --------------------------------------------------------------------------------------------------------

// Read the story of a pixel {x, y}; of none if it is null.
export async function look(at) {
  const aim = phase(store.state) === "ran" ? at : null;
  store.update(aim ? { aim } : { aim, pixel: null });
  if (!aim) return;
  const pixel = await get(`/api/pixel?x=${aim.x}&y=${aim.y}`);
  if (store.state.aim === aim) store.update({ pixel }); // or else another was chosen meanwhile: an answer may come late
}

// Go to a pixel that may lie outside the picture, or out of sight.
export async function lookAt(x, y) {
  const { session } = store.state;
  if (phase(store.state) !== "ran") return;
  const clip = (value, most) => Math.max(0, Math.min(most - 1, Math.round(Number(value) || 0)));
  await look({ x: clip(x, session.width), y: clip(y, session.height) });
  const { pixel } = store.state;
  if (pixel) view.reveal(pixel.x, pixel.y);
}

export function walk(dx, dy) {
  const { aim, session } = store.state;
  if (phase(store.state) !== "ran") return;
  if (!aim) return lookAt(Math.floor(session.width / 2), Math.floor(session.height / 2));
  const [x, y] = view.turn.storedStep(dx, dy);
  return lookAt(aim.x + x, aim.y + y);
}

for (const id of ["#pixel-x", "#pixel-y"]) $(id).onchange = () => attempt(() => lookAt($("#pixel-x").value, $("#pixel-y").value));

store.subscribe(["frames"], ({ aim }) => { if (aim) attempt(() => look({ ...aim })); });

const SHORT = { red: "R", green: "G", blue: "B", brightness: "Bright", "blue to red": "B–R", "green to magenta": "G–M" };
/** The heads of columns, one for each agent of a pixel. */
export const heads = (session) => session.agent_names.map((name) => element("th", { scope: "col", title: name }, SHORT[name] ?? name));
const number = (value) => (Math.abs(value - Math.round(value)) < 0.005 ? String(Math.round(value)) : value.toFixed(1));

store.subscribe(["pixel", "step"], ({ session, pixel, step }, before) => {
  const place = $("#story");
  if (!pixel) return place.replaceChildren(element("p", { class: "hint" }, "Click a pixel to read its story."));
  if (pixel !== before.pixel) {
    $("#pixel-x").value = pixel.x;
    $("#pixel-y").value = pixel.y;
  }
  const colours = pixel.values[0].length, agents = session.agents;
  const apart = agents === 3 && session.agent_names[0] !== "red"; // agents that work on something else than what stands in the file
  const head = element("tr", {}, element("th", { scope: "col" }, "Step"), element("th", { "aria-label": "colour" }),
    ...(colours === 3 ? ["R", "G", "B"] : ["Value"]).map((name) => element("th", { scope: "col" }, name)), ...(apart ? heads(session) : []),
    ...(agents === 1 ? [element("th", { scope: "col", class: "operation" }, "Operation")] : []));
  const rows = pixel.values.map((values, t) => {
    const done = (g) => {
      if (!t) return "";
      const now = session.actions[pixel.actions[t - 1][g]], was = session.actions[pixel.recorded[t - 1][g]];
      const name = element("span", { class: agents === 1 ? "name" : "unseen", title: now.explanation }, now.name);
      return now === was ? element("span", {}, chip(now), name) : element("span", { title: `edited: ${now.name} instead of ${was.name}` }, chip(was, true), chip(now), name);
    };
    return element("tr", { class: t === step ? "now" : "", onclick: () => goTo(t) },
      element("th", { scope: "row" }, t ? String(t) : "in"), element("td", {}, swatch(pixel.seen[t])),
      ...values.map((v, g) => element("td", {}, element("b", {}, number(v)), ...(agents > 1 && !apart ? [done(g)] : []))),
      ...(apart ? session.agent_names.map((_, g) => element("td", {}, done(g))) : []),
      ...(agents === 1 ? [element("td", { class: "operation" }, done(0))] : []));
  });
  place.replaceChildren(element("table", { class: agents === 1 ? "" : apart ? "per-channel apart" : "per-channel" }, element("thead", {}, head), element("tbody", {}, ...rows)));
});

// --- Operations -----------------------------------------------------------------------------------------------------

function hide(names) {
  store.update({ hidden: new Set(names) });
}

function toggle(name, on) {
  const hidden = new Set(store.state.hidden);
  hidden[on ? "delete" : "add"](name);
  hide(hidden);
  if (!store.state.overlay) setOverlay(true);
}

function legendRow(action) {
  return element("li", { title: action.explanation },
    element("label", {}, element("input", { type: "checkbox", onchange: (e) => toggle(action.name, e.target.checked) }),
      chip(action), element("span", { class: "name" }, action.name),
      element("span", { class: "bar" }, element("i", { style: { background: action.color } })), element("span", { class: "share" })));
}

let listed = null;
store.subscribe(["session", "step", "hidden"], ({ session, step, hidden }) => {
  if (!session?.ran) return;
  const row = step ? session.shares[step - 1] : null, most = row ? Math.max(...row) : 1;
  const names = session.actions.map(({ name }) => name).join();
  if (names !== listed) $("#legend").replaceChildren(...session.actions.map(legendRow)); // not at each poll: somebody may be in it
  listed = names;
  $("#of-step").textContent = step ? `that led to step ${step}` : "";
  for (const [i, item] of [...$("#legend").children].entries()) {
    const share = row ? row[i] : 0;
    item.className = row && !share ? "unused" : "";
    item.querySelector("input").checked = !hidden.has(session.actions[i].name);
    item.querySelector(".bar i").style.width = `${(100 * share) / most}%`;
    item.querySelector(".share").textContent = row ? percent(share) : "";
  }
});

store.subscribe(["session"], ({ session }) => {
  if (!session?.ran) return;
  $("#pixel-x").max = session.width - 1;
  $("#pixel-y").max = session.height - 1;
  const names = session.agent_names;
  $("#channel").hidden = session.agents === 1;
  if ([...$("#channel").options].slice(1).map((option) => option.text).join() !== names.join())
    $("#channel").replaceChildren(element("option", { value: -1 }, "all three"), ...names.map((name, i) => element("option", { value: i }, name)));
});
store.subscribe(["overlay"], ({ overlay }) => { $("#overlay").checked = overlay; });
store.subscribe(["session", "channel"], ({ channel }) => { $("#channel").value = channel; });

$("#overlay").onchange = (e) => setOverlay(e.target.checked);
$("#opacity").oninput = (e) => {
  store.update({ opacity: e.target.value / 100 });
  if (!store.state.overlay) setOverlay(true);
};
$("#channel").onchange = (e) => store.update({ channel: Number(e.target.value) });
$("#all").onclick = () => hide([]);
$("#none").onclick = () => hide(store.state.session.actions.map(({ name }) => name));
