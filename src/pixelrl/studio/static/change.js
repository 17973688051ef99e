// The panel for changing: what would be done, where, and at which steps; and what is drawn for it.

import { post, Refused } from "./api.js";
import { $, element, operations, radio, radios } from "./dom.js";
import { look } from "./look.js";
import { attempt, say } from "./messages.js";
import { view } from "./stage.js";
import { allSteps, showSteps, stepButtons, toggled } from "./steps.js";
import { phase, store } from "./store.js";
import { change } from "./sync.js";
import { hints, runs, Tools } from "./tools.js";

export const tools = new Tools(view, { done: drawn, look: (pixel) => attempt(() => look(pixel)), ready: () => phase(store.state) === "ran" });

// The next stroke of the brush begins something new.
export function letGo() {
  tools.forget();
  store.update({ brushed: null });
}

export function chooseTool(tool) {
  tools.choose(tool);
  store.update({ tool, tab: tool === "hand" ? "look" : "change", brushed: null });
}

export function chooseDeed(deed) {
  if (store.state.tool === "hand") chooseTool("brush");
  tools.forget();
  store.update({ deed, tab: "change", brushed: null });
}

export const setSize = (size) => store.update({ size: Math.max(1, Math.min(200, size)) });

// At which steps it would be done. Unless others were picked, an operation is forced at the step that is looked at, and
// forbidden at all of them; who stops, stops from a step on.
function stepsOf({ session, deed, steps, step }) {
  const all = allSteps(session);
  if (deed === "stop") return all.filter((n) => n >= steps.stop);
  if (deed === "force") return steps.force ? all.filter((n) => steps.force.has(n)) : [Math.max(1, step)];
  return steps.forbid && deed === "forbid" ? all.filter((n) => steps.forbid.has(n)) : all;
}

function pickStep(n) {
  const { session, deed, steps } = store.state, chosen = n ? toggled(stepsOf(store.state), n) : new Set(allSteps(session));
  letGo();
  store.update({ steps: { ...steps, [deed]: deed === "stop" ? n : chosen } });
}

// --- What is drawn --------------------------------------------------------------------------------------------------

// The edit that the panel describes, but for its region.
function described(state, action) {
  const { session, deed, tool, operation, where: only } = state, where = {};
  const steps = stepsOf(state), edit = { steps: steps.length === session.steps ? "all" : steps };
  if (deed !== "protect" && tool !== "same") {
    if (only.action) where.action = [only.action];
    if (only.low !== "" || only.high !== "") where.brightness = [Number(only.low || 0), Number(only.high || 255)];
  }
  if (action && deed !== "protect") where.action = [action];
  if (deed === "forbid") delete where.action; // only who would do it can be forbidden to
  if (deed === "force" && where.action?.[0] === operation)
    throw new Refused(`Nothing would change: these pixels do ${operation} already. Choose another operation.`);
  if (Object.keys(where).length) edit.where = where;
  const forbidden = action ?? operation; // of what does the same, that which it does
  if (deed === "forbid" && forbidden === "do nothing" && session.mode === "replay")
    throw new Refused("Nothing would change: in replay, what is forbidden becomes “do nothing”. Choose Live to forbid that.");
  edit.do = { protect: { force: "do nothing" }, force: { force: operation }, forbid: { forbid: [forbidden] }, stop: "stop" }[deed];
  return edit;
}

// What was drawn, as a region that edits may have (none: the whole picture), and where its middle is.
async function regionOf({ session, step, channel: chosen, overlay }, { box, polygon, painted, pixel: start }) {
  const middle = ([x0, y0, x1, y1]) => [(x0 + x1) / 2, (y0 + y1) / 2];
  if (box) return { region: { box }, near: middle(box) };
  if (polygon) return { region: { polygon }, near: polygon[0] };
  if (painted) {
    const kept = await post("/api/mask", { session: session.id, ...painted });
    return { region: { mask: kept.mask }, near: middle(painted.box) };
  }
  if (!start) return {};
  const { x, y, part } = start;
  if (step === 0) throw new Refused("Choose a step first: no operation led to the input.");
  const channel = session.agents === 1 ? 0 : chosen >= 0 ? chosen : overlay ? Math.min(session.agents - 1, Math.floor(part * session.agents)) : 0;
  const same = await post("/api/same", { session: session.id, step, x, y, channel });
  return { region: { mask: same.mask }, near: [x, y], action: same.action };
}

// Further strokes of the same brush belong to the same edit, if that is still the last one.
const joined = (stroke, session) => stroke?.number && session?.edits.at(-1)?.number === stroke.number;

// What is meant is settled now; it is sent when all that was drawn before has been.
async function drawn(shape) {
  const { state } = store;
  if (phase(state) !== "ran") return;
  say(null);
  if (shape.painted) shape = { painted: { box: shape.painted.box, runs: runs(shape.painted.mask, state.session.width, shape.painted.box) } };
  const forObject = state.deed === "object", everywhere = state.extent === "everywhere" && state.deed !== "protect" && !forObject;
  const stroke = shape.painted && !forObject ? (state.brushed ?? { number: null }) : null;
  store.update({ chosen: null, ...(stroke && { brushed: stroke }) });
  const next = await change(async (session) => {
    const { region, near, action } = await regionOf(state, shape);
    if (forObject) return { change: { type: "tell", region: region ?? {} } };
    const edit = described(state, action);
    if (region && !(action && everywhere)) edit.region = region;
    const made = joined(stroke, session) ? { type: "replace", number: stroke.number, edit } : { type: "append", edit };
    return near ? { change: made, near } : { change: made };
  });
  if (!next) return letGo();
  if (stroke) stroke.number = next.added;
  if (shape.painted) view.draw();
}

// --- The panel ------------------------------------------------------------------------------------------------------

store.subscribe(["session"], ({ session }) => {
  $("#panel").hidden = $("#tools").hidden = !session?.ran;
  if (!session?.ran) return;
  const names = session.actions.map(({ name }) => name).join();
  if ($("#operation").dataset.names !== names) {
    $("#operation").dataset.names = names;
    $("#operation").replaceChildren(...operations(session));
    $("#where-action").replaceChildren(element("option", { value: "" }, "anything"), ...operations(session));
  }
  $("[data-deed=stop]").hidden = session.steps === 1; // it would be Protect
  if ($("#steps").children.length !== session.steps + 1) $("#steps").replaceChildren(...stepButtons(session, pickStep));
});
store.subscribe(["session", "steps", "step", "deed"], (state) => {
  const { session, deed } = state, stop = deed === "stop";
  if (!session?.ran) return;
  showSteps($("#steps"), $("#steps-name"), stepsOf(state), stop);
  $("#steps [data-n='1']").hidden = stop; // it would be Protect
});
store.subscribe(["session", "operation", "where"], ({ session, operation, where }) => {
  $("#operation").value = operation;
  $("#operation-said").textContent = session?.actions?.find(({ name }) => name === operation)?.explanation ?? "";
  $("#where-action").value = where.action;
});
store.subscribe(["tool", "deed", "extent"], ({ tool, deed, extent }) => {
  radio($("#tools"), tool);
  radio($(".deeds"), deed);
  radio($("#extent-field"), extent);
  const simple = deed === "protect" || deed === "object"; // at all steps, and whatever would be done
  $("#operation-field").hidden = deed !== "force" && (deed !== "forbid" || tool === "same");
  $("#operation-said").hidden = $("#operation-field").hidden;
  $("#where-action-field").hidden = deed === "forbid";
  $("#steps-field").hidden = simple;
  $("#condition").hidden = simple || tool === "same";
  $("#size-field").hidden = tool !== "brush" && tool !== "erase";
  $("#extent-field").hidden = simple || tool !== "same";
  $("#tool-hint").textContent = tool === "hand" ? "Choose a tool on the left, and draw where it should be done."
    : tool === "same" && deed === "forbid" ? "Click a pixel: what it does at this step is forbidden to all that do the same." : hints[tool];
});
store.subscribe(["size"], ({ size }) => {
  tools.size = size;
  $("#size").value = size;
  $("#size-said").textContent = `${size} px`;
  view.draw();
});
store.subscribe(["tab"], ({ tab }) => {
  for (const which of ["look", "change"]) {
    $(`#${which}`).hidden = which !== tab;
    $(`#tab-${which}`).setAttribute("aria-selected", which === tab);
  }
});
store.subscribe(["session"], ({ session, tool }, before) => {
  if (session?.id !== before.session?.id) tools.choose(tool);
  else if (session?.ran !== before.session?.ran) tools.forget();
});

// --- Wiring ---------------------------------------------------------------------------------------------------------

$("#operation").onchange = (e) => { letGo(); store.update({ operation: e.target.value }); };
for (const [id, name] of [["#where-action", "action"], ["#low", "low"], ["#high", "high"]])
  $(id).onchange = (e) => { letGo(); store.update({ where: { ...store.state.where, [name]: e.target.value } }); };
$("#size").oninput = (e) => setSize(Number(e.target.value));
$("#box-form").onsubmit = (e) => { e.preventDefault(); const form = new FormData(e.target); drawn({ box: ["x0", "y0", "x1", "y1"].map((n) => Number(form.get(n))) }); };
$("#whole").onclick = () => { letGo(); drawn({}); };
$("#tab-look").onclick = () => (store.state.tool === "hand" ? store.update({ tab: "look" }) : chooseTool("hand"));
$("#tab-change").onclick = () => store.update({ tab: "change" });
radios($("#tools"), chooseTool);
radios($(".deeds"), chooseDeed);
radios($("#extent-field"), (extent) => { letGo(); store.update({ extent }); });
