// The studio: what the page knows, and what happens when.

import { get, Gone, post, Refused, upload } from "./api.js";
import { Film } from "./film.js";
import { keys } from "./keys.js";
import { TheObject } from "./object.js";
import { $, edits, element, inkOn, legend, radio, radios, story, TimeLine } from "./panels.js";
import { Saving } from "./saving.js";
import { hints, runs, Tools } from "./tools.js";
import { View } from "./view.js";

const view = new View($("#canvas")), film = new Film();
const timeline = new TimeLine((step) => goTo(step));
let policies = [], session = null, state = null, revision = 0;
let step = 0, tool = "hand", deed = "protect", extent = "touching", compare = "off", pixel = null, aim = null;
let chosenSteps = new Set(), brushed = null, polling = 0;
const hidden = new Set(), tools = new Tools(view, { done: drawn, look, ready: () => Boolean(session?.ran) });
const object = new TheObject(view, { ask: (settings) => { if ("region" in settings) letGo(); return send("/api/ask", settings); }, choose: () => chooseDeed("object") });
const saving = new Saving({ session: () => session, say, attempt });
view.extras = (c) => { object.draw(c); tools.draw(c); };

const ready = attempt(async () => (policies = await get("/api/policies")));

// --- Messages --------------------------------------------------------------------------------------------------

function say(sentence, kind = "error") {
  const box = $("#message");
  box.hidden = !sentence;
  box.className = kind;
  box.querySelector("span").textContent = sentence ?? "";
}
$("#message button").onclick = () => say(null);

// Do something that may be refused; the reason is shown.
async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    say(error.message);
    if (!(error instanceof Gone) && error.constructor.name !== "Refused") console.error(error);
    return null;
  }
}

// --- State -----------------------------------------------------------------------------------------------------

async function take(next, fresh = false) {
  if (!next) return;
  const before = session;
  state = next;
  session = next.session;
  for (const action of session?.actions ?? []) action.ink = inkOn(action.color);
  const other = fresh || before?.id !== session?.id || before?.width !== session?.width;
  const ranAnew = session?.ran && (other || !before?.ran || before.policy !== session.policy);
  const ranAgain = session?.ran && !ranAnew && before.runs !== session.runs;
  document.body.classList.toggle("loaded", Boolean(session));
  $("#empty").hidden = Boolean(session);
  for (const id of ["#canvas", "#tools", "#run-form", "#view-tools", "#session-tools"]) $(id).hidden = !session;
  for (const id of ["#timeline", "#panel"]) $(id).hidden = !session?.ran;
  working(next.job);
  if (!session) return poll();
  if (other) opened();
  if (ranAnew) ran();
  const changed = next.changed?.length && !ranAnew && !ranAgain ? next.changed : [];
  const moved = session.revision !== revision;
  revision = session.revision;
  if (changed.length) film.changed(changed);
  else if (moved && !other && !ranAnew) film.clear();
  if (next.error) say(next.error);
  controls();
  attempt(() => object.take(session));
  if (session.ran) {
    timeline.shares(session);
    legend(session, step, hidden, toggle);
    edits(session, { moved: reorder, removed: remove, pointed: (item) => { tools.shownEdit = item; view.draw(); } });
  }
  const anew = changed.length || moved || ranAnew;
  if (anew || other || !view.base) await show();
  if (state !== next) return; // meanwhile something newer came
  if (anew && session.ran) {
    thumbsSoon();
    if (aim) attempt(() => look(aim));
  }
  poll();
}

function poll() {
  clearTimeout(polling);
  const soon = state?.job || session?.waiting;
  polling = setTimeout(async () => {
    const asked = sent;
    try {
      const next = await get(`/api/state?since=${revision}`);
      if (asked === sent) await take(next); // or else an answer to a later request is there, or on its way
      else poll();
    } catch (error) {
      say(error.message);
      polling = setTimeout(poll, 3000);
    }
  }, soon ? 150 : 8000);
}

let sent = 0;
async function send(path, content = {}) {
  sent++;
  const next = await attempt(() => post(path, { ...content, since: revision }));
  if (next) await take(next);
  return next;
}

let thumbsAt = 0;
function thumbsSoon() {
  clearTimeout(thumbsAt);
  thumbsAt = setTimeout(() => attempt(() => timeline.thumbs()), 350);
}

function opened() {
  film.clear();
  timeline.list.replaceChildren();
  view.base = view.other = view.map = null;
  view.width = session.width;
  view.height = session.height;
  view.pin = pixel = aim = null;
  revision = session.revision;
  step = 0;
  tools.choose(tool);
  say(session.notes.length ? `${session.name}: ${session.notes.join("; ")}.` : null, "note");
  document.title = `${session.name} · PixelRL studio`;
  fillPolicies();
  view.resized();
  view.fit();
}

function ran() {
  film.clear();
  revision = session.revision;
  timeline.build(session.steps);
  step = session.steps;
  chosenSteps = new Set(Array.from({ length: session.steps }, (_, i) => i + 1));
  letGo();
  if (deed === "object" && !session.object) deed = "protect";
  deedFields();
  const options = () => session.actions.map(({ name }) => element("option", { value: name }, name));
  const former = $("#operation").value;
  $("#operation").replaceChildren(...options());
  $("#operation").value = session.actions.some((a) => a.name === former) ? former : session.actions[0].name;
  $("#where-action").replaceChildren(element("option", { value: "" }, "anything"), ...options());
  $("#steps").replaceChildren(...[...chosenSteps].map((n) => element("button", { type: "button", "data-n": n, "aria-pressed": true, onclick: () => pickStep(n) }, String(n))),
    element("button", { type: "button", class: "all", onclick: () => pickStep(0) }, "All"));
  const names = ["red", "green", "blue"];
  $("#channel").hidden = session.agents === 1;
  $("#channel").replaceChildren(element("option", { value: -1 }, "all three"), ...names.slice(0, session.agents).map((name, i) => element("option", { value: i }, name)));
  view.channel = session.agents === 1 ? 0 : -1;
  $("#pixel-x").max = session.width - 1;
  $("#pixel-y").max = session.height - 1;
  view.resized();
}

function fillPolicies() {
  const choice = $("#policy"), colours = session.channels;
  choice.replaceChildren(...policies.map((p) => element("option", { value: p.name, disabled: p.channels > 1 && p.channels !== colours }, `${p.name.replaceAll("-", " ")}${p.channels > 1 && p.channels !== colours ? " (colour pictures)" : ""}`)));
  const fitting = policies.filter((p) => p.channels === colours || p.channels === 1);
  const fit = (...tests) => tests.map((test) => fitting.find(test)).find(Boolean)?.name;
  const best = session.policy ?? fit((p) => session.region && p.object, (p) => p.channels === colours && p.condition, (p) => p.condition, () => true);
  choice.value = best ?? "";
  $("#level").value = typeof session.level === "number" && session.policy ? session.level : "";
  levelField();
}

// Of the policy that ran, the panel of its object holds the level.
const levelInPanel = () => Boolean(session?.object) && $("#policy").value === session.policy;

function levelField() {
  const condition = levelInPanel() ? null : policies.find((p) => p.name === $("#policy").value)?.condition;
  $("#level-field").hidden = !condition;
  if (condition) {
    $("#level-name").textContent = condition.name;
    const noise = condition.high === null;
    $("#level-field").title = noise ? `In ${condition.unit}; left empty, it is estimated.` : `A number ${condition.unit}; left empty, ${condition.usual}.`;
    $("#level").min = condition.low;
    $("#level").max = condition.high ?? "";
    $("#level").placeholder = noise ? "auto" : condition.usual;
  }
  const told = session?.policy === $("#policy").value && condition ? session.condition?.[condition.name] : undefined;
  $("#level-said").textContent = told !== undefined && session.level === "auto" && $("#level").value === "" ? `${$("#level").max ? "" : "estimated "}${told < 100 ? told.toFixed(1) : Math.round(told)}` : "";
}

function controls() {
  levelField();
  $("#undo").disabled = !session.undo;
  $("#redo").disabled = !session.redo;
  $("#session-tools").hidden = $("#tools").hidden = !session.ran;
  radio($("[aria-label='How edits are applied']"), session.mode);
  $("#run").textContent = session.ran ? "Run again" : "Run";
  $("#run").classList.toggle("primary", !session.ran || $("#policy").value !== session.policy);
  $("#run").disabled = Boolean(state.job && state.job.kind !== "live");
  if (session.ran) {
    const reacting = state.job?.kind === "live";
    $("#truth").textContent = session.exact ? (session.edits.length ? (session.mode === "live" ? "The policy's reaction to your edits." : "The exact result with your edits.") : "As the policy did it.")
      : reacting ? "The policy is reacting to what you changed…" : session.waiting ? "A preview; the exact result follows." : "A preview; saving computes the exact result.";
    $("#truth").classList.toggle("exact", session.exact);
  }
}

function working(job) {
  $("#working").hidden = !job;
  if (!job) return;
  $("#working-said").textContent = job.kind === "live" ? `The policy reacts: ${job.label}` : job.label[0].toUpperCase() + job.label.slice(1);
  $("#working .track").classList.toggle("unsure", job.share === 0);
  $("#working .track i").style.width = `${100 * job.share}%`;
}

// --- The picture -----------------------------------------------------------------------------------------------

let showing = 0;
async function show() {
  const turn = ++showing;
  timeline.select(step);
  const against = $("#against").value;
  await attempt(async () => {
    const base = await film.frame("shown", session.ran ? step : 0);
    if (turn !== showing || !base) return;
    view.base = base;
    view.other = null;
    if (session.ran && (compare !== "off" || peeking))
      view.other = await film.frame(against === "plain" ? "plain" : "shown", against === "input" ? 0 : against === "before" ? Math.max(0, step - 1) : step);
    if (turn !== showing) return;
    if (view.overlay && session.ran && step > 0) {
      const map = await film.map(step);
      if (turn !== showing || !map) return;
      view.map = { map: map.map, version: map.version };
    } else view.map = null;
    palette();
    view.compare = peeking ? "blink" : compare;
    if (peeking) view.blinkOn = true;
    view.draw();
  });
  badge();
}

function palette() {
  if (!session?.ran) return;
  view.actions = session.actions;
  view.palette = Uint32Array.from(session.actions, ({ name, color }) =>
    hidden.has(name) ? 0 : 0xff000000 | (parseInt(color.slice(5, 7), 16) << 16) | (parseInt(color.slice(3, 5), 16) << 8) | parseInt(color.slice(1, 3), 16));
}

const againstNames = { input: "Input", plain: "No edits", before: "Step before" };
function badge() {
  const box = $("#badge"), here = !session?.ran ? "Input" : step === 0 ? "Input" : step === session.steps ? `Result` : `After step ${step}`;
  const blinked = view.compare === "blink" && view.blinkOn && view.other;
  box.hidden = !session?.ran || (compare === "split" && !peeking);
  box.textContent = blinked ? againstNames[$("#against").value] : here + (view.overlay && step ? " · operations" : "");
  $("#divider").hidden = compare !== "split" || peeking || !session?.ran;
  $("#left-name").textContent = againstNames[$("#against").value];
  $("#right-name").textContent = here;
  $("#view-tools .segments").hidden = $("#view-tools label").hidden = !session?.ran;
}

function goTo(next) {
  if (!session?.ran) return;
  step = Math.max(0, Math.min(session.steps, next));
  legend(session, step, hidden, toggle);
  if (pixel) story(session, pixel, step, goTo);
  show();
}

function setOverlay(on) {
  view.overlay = on;
  $("#overlay").checked = on;
  if (on && step === 0 && session?.ran) return goTo(1);
  show();
}

function toggle(name, on) {
  hidden[on ? "delete" : "add"](name);
  palette();
  if (!view.overlay) setOverlay(true);
  view.draw();
}

function setCompare(next) {
  compare = next;
  radio($("[aria-label=Comparison]"), compare);
  show();
}

let peeking = false;
function peek(on) {
  if (on === peeking || !session?.ran) return;
  peeking = on;
  if (!on) view.blinkOn = false;
  show();
}
setInterval(() => {
  if (compare !== "blink" || peeking) return;
  view.blinkOn = !view.blinkOn;
  badge();
  view.draw();
}, 700);

async function look(at) {
  aim = session?.ran ? at : null;
  if (!aim) {
    pixel = view.pin = null;
    story(session, null);
    return view.draw();
  }
  const told = await get(`/api/pixel?x=${at.x}&y=${at.y}`);
  if (aim !== at) return; // meanwhile another pixel was chosen: an answer may come late
  pixel = told;
  view.pin = { x: told.x, y: told.y };
  $("#pixel-x").value = told.x;
  $("#pixel-y").value = told.y;
  story(session, pixel, step, goTo);
  view.draw();
}
for (const id of ["#pixel-x", "#pixel-y"])
  $(id).onchange = () => attempt(async () => {
    const clip = (value, most) => Math.max(0, Math.min(most - 1, Math.round(Number(value) || 0)));
    await look({ x: clip($("#pixel-x").value, session.width), y: clip($("#pixel-y").value, session.height) });
    if (pixel) view.reveal(pixel.x, pixel.y);
  });

view.moved = () => {
  const text = view.scale >= 1 ? `${Math.round(view.scale * 100)} %` : `${(view.scale * 100).toFixed(0)} %`;
  if ($("#zoom").textContent !== text) $("#zoom").textContent = text;
  $("#divider").style.left = `${view.split * 100}%`;
};

// --- Edits -----------------------------------------------------------------------------------------------------

function chooseTool(next) {
  tool = next;
  tools.choose(next);
  brushed = null;
  radio($("#tools"), tool);
  tab(tool === "hand" ? "look" : "change");
  deedFields();
}

function chooseDeed(next) {
  deed = next;
  if (tool === "hand") chooseTool("brush");
  tab("change");
  deedFields();
}

function deedFields() {
  radio($(".deeds"), deed);
  radio($("#extent-field"), extent);
  $("#operation-field").hidden = deed !== "force" && deed !== "forbid";
  $("#steps-field").hidden = deed === "protect" || deed === "object";
  $("#condition").hidden = deed === "protect" || deed === "object" || tool === "same";
  $("#size-field").hidden = tool !== "brush";
  $("#extent-field").hidden = tool !== "same" || deed === "protect" || deed === "object";
  $("#tool-hint").textContent = tool === "hand" ? "Choose a tool on the left, and draw where it should be done." : hints[tool];
  letGo();
}

function pickStep(n) {
  if (n) chosenSteps[chosenSteps.has(n) && chosenSteps.size > 1 ? "delete" : "add"](n);
  else chosenSteps = new Set(Array.from({ length: session.steps }, (_, i) => i + 1));
  for (const button of $("#steps").querySelectorAll("[data-n]")) button.setAttribute("aria-pressed", chosenSteps.has(Number(button.dataset.n)));
  letGo();
}

// The edit that the panel describes, but for its region.
function described(action = null) {
  const operation = $("#operation").value, where = {};
  const all = deed === "protect" || chosenSteps.size === session.steps;
  const edit = { steps: all ? "all" : [...chosenSteps].sort((a, b) => a - b) };
  if (deed !== "protect" && tool !== "same") {
    if ($("#where-action").value) where.action = [$("#where-action").value];
    if ($("#low").value !== "" || $("#high").value !== "") where.brightness = [Number($("#low").value || 0), Number($("#high").value || 255)];
  }
  if (action && deed !== "protect") where.action = [action];
  if (Object.keys(where).length) edit.where = where;
  edit.do = { protect: { force: "do nothing" }, force: { force: operation }, forbid: { forbid: [operation] }, stop: "stop" }[deed];
  return edit;
}

const everywhere = () => extent === "everywhere" && deed !== "protect" && deed !== "object";
const list = () => session.edits.map(({ edit }) => edit);

// What was drawn, as a region that edits may have (none: the whole picture), and where its middle is.
async function regionOf({ box, polygon, painted, pixel: start }) {
  const middle = ([x0, y0, x1, y1]) => [(x0 + x1) / 2, (y0 + y1) / 2];
  if (box) return { region: { box }, near: middle(box) };
  if (polygon) return { region: { polygon }, near: polygon[0] };
  if (painted) {
    const kept = await post("/api/mask", { box: painted.box, runs: runs(painted.mask, session.width, painted.box) });
    return { region: { mask: kept.mask }, near: middle(painted.box) };
  }
  if (!start) return {};
  const { x, y, part } = start;
  if (step === 0) throw new Refused("Choose a step first: no operation led to the input.");
  const channel = session.agents === 1 ? 0 : view.channel >= 0 ? view.channel : view.overlay ? Math.min(session.agents - 1, Math.floor(part * session.agents)) : 0;
  const same = await post("/api/same", { step, x, y, channel });
  return { region: { mask: same.mask }, near: [x, y], action: same.action };
}

async function drawn(shape) {
  if (!session?.ran) return;
  say(null);
  const found = await attempt(() => regionOf(shape));
  if (!found) return;
  const { region, near, action } = found, edit = described(action);
  if (region && (!action || !everywhere())) edit.region = region;
  let next = [...list(), edit];
  if (shape.painted && deed !== "object") {
    // Further strokes of the same brush belong to the same edit, if that is still the last one.
    if (brushed && list().at(-1)?.region?.mask === brushed) next = [...list().slice(0, -1), edit];
    brushed = region.mask;
  }
  const sent = await (deed === "object" ? send("/api/ask", { region: region ?? {} }) : send("/api/edits", { edits: next, near }));
  if (!sent) letGo();
  else if (shape.painted) view.draw();
}

// The next stroke of the brush begins something new.
function letGo() {
  brushed = null;
  tools.forget();
}

const replaceEdits = (next) => { letGo(); tools.shownEdit = null; return send("/api/edits", { edits: next }); };
const remove = (index) => replaceEdits(list().filter((_, i) => i !== index));
function reorder(from, to) {
  const next = list();
  next.splice(to, 0, ...next.splice(from, 1));
  return replaceEdits(next);
}
async function history(path) {
  if (!session?.ran) return;
  letGo();
  await send(path);
}

// --- Opening, running, saving ------------------------------------------------------------------------------------

async function open(file) {
  if (!file) return;
  say(null);
  document.body.classList.add("opening");
  sent++;
  await ready;
  const next = await attempt(() => upload(file));
  document.body.classList.remove("opening");
  if (next) await take(next, true);
}

async function run() {
  const level = levelInPanel() ? session.level : $("#level-field").hidden || $("#level").value === "" ? "auto" : Number($("#level").value);
  say(null);
  sent++;
  const next = await attempt(() => post("/api/run", { policy: $("#policy").value, level, since: revision }));
  if (next) await take(next);
}

async function offer() {
  const sessions = (await attempt(() => get("/api/sessions"))) ?? [];
  const said = (s) => [s.policy?.replaceAll("-", " "), s.edits ? `${s.edits} edit${s.edits > 1 ? "s" : ""}` : "no edits", new Date(1000 * s.changed).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })].join(" · ");
  $("#recent").hidden = !sessions.length;
  $("#recent ul").replaceChildren(...sessions.slice(0, 6).map((s) => element("li", {},
    element("button", { class: "resume", onclick: async () => { await ready; send("/api/resume", { id: s.id }); } }, element("b", {}, s.name), element("small", {}, said(s))),
    element("button", { class: "icon small", "aria-label": `Forget ${s.name}`, title: "Forget this session", onclick: async () => { await attempt(() => post("/api/forget", { id: s.id })); offer(); } }, "✕"))));
}

// --- Wiring ------------------------------------------------------------------------------------------------------

function tab(name) {
  for (const which of ["look", "change"]) {
    $(`#${which}`).hidden = which !== name;
    $(`#tab-${which}`).setAttribute("aria-selected", which === name);
  }
}
const setMode = (mode) => session?.ran && mode !== session.mode && send("/api/mode", { mode });
const setSize = (size) => { tools.size = Math.max(1, Math.min(200, size)); $("#size").value = tools.size; $("#size-said").textContent = `${tools.size} px`; view.draw(); };

$("#open").onclick = $("#open-large").onclick = () => $("#file").click();
$("#file").onchange = (e) => { open(e.target.files[0]); e.target.value = ""; };
$("#run-form").onsubmit = (e) => { e.preventDefault(); run(); };
$("#policy").onchange = () => { levelField(); controls(); };
$("#level").oninput = levelField;
$("#cancel").onclick = () => { letGo(); return send("/api/cancel"); };
$("#undo").onclick = () => history("/api/undo");
$("#redo").onclick = () => history("/api/redo");
$("#help-open").onclick = () => $("#help").showModal();
$("#zoom").onclick = () => (view.fitted ? view.zoomTo(1) : view.fit());
$("#zoom-in").onclick = () => view.zoomTo(view.scale * 1.5);
$("#zoom-out").onclick = () => view.zoomTo(view.scale / 1.5);
$("#against").onchange = () => (compare === "off" ? setCompare("split") : show());
$("#overlay").onchange = (e) => setOverlay(e.target.checked);
$("#opacity").oninput = (e) => { view.opacity = e.target.value / 100; if (!view.overlay) setOverlay(true); view.draw(); };
$("#channel").onchange = (e) => { view.channel = Number(e.target.value); view.draw(); };
$("#all").onclick = () => { hidden.clear(); legend(session, step, hidden, toggle); palette(); view.draw(); };
$("#none").onclick = () => { for (const a of session.actions) hidden.add(a.name); legend(session, step, hidden, toggle); palette(); view.draw(); };
$("#size").oninput = (e) => setSize(Number(e.target.value));
for (const id of ["#operation", "#where-action", "#low", "#high"]) $(id).onchange = letGo;
$("#box-form").onsubmit = (e) => { e.preventDefault(); const form = new FormData(e.target); drawn({ box: ["x0", "y0", "x1", "y1"].map((n) => Number(form.get(n))) }); };
$("#whole").onclick = () => { letGo(); drawn({}); };
for (const which of ["look", "change"]) $(`#tab-${which}`).onclick = () => { tab(which); if (which === "look" && tool !== "hand") chooseTool("hand"); };
radios($("#tools"), chooseTool);
radios($(".deeds"), chooseDeed);
radios($("#extent-field"), (value) => { extent = value; radio($("#extent-field"), value); });
radios($("[aria-label=Comparison]"), setCompare);
radios($("[aria-label='How edits are applied']"), setMode);

const divider = $("#divider");
const splitAt = (share) => { view.split = Math.max(0.02, Math.min(0.98, share)); divider.setAttribute("aria-valuenow", Math.round(100 * view.split)); view.draw(); };
divider.onpointerdown = (e) => divider.setPointerCapture(e.pointerId);
divider.onpointermove = (e) => { if (divider.hasPointerCapture(e.pointerId)) { const box = $("#stage").getBoundingClientRect(); splitAt((e.clientX - box.left) / box.width); } };
divider.onkeydown = (e) => { const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[e.key]; if (by) { e.preventDefault(); splitAt(view.split + by); } };

let dragged = 0;
window.addEventListener("dragenter", (e) => { e.preventDefault(); dragged++; $("#over").hidden = false; });
window.addEventListener("dragleave", () => { if (--dragged <= 0) { dragged = 0; $("#over").hidden = true; } });
window.addEventListener("dragover", (e) => e.preventDefault());
window.addEventListener("drop", (e) => { e.preventDefault(); dragged = 0; $("#over").hidden = true; open(e.dataTransfer.files[0]); });

keys({
  open: () => $("#file").click(), save: () => session?.ran && saving.save("picture"), undo: () => history("/api/undo"), redo: () => history("/api/redo"),
  walk: (dx, dy, by) => attempt(async () => {
    if (!session?.ran) return;
    const from = aim ?? { x: Math.floor(session.width / 2) - dx * by, y: Math.floor(session.height / 2) - dy * by };
    await look({ x: Math.max(0, Math.min(session.width - 1, from.x + dx * by)), y: Math.max(0, Math.min(session.height - 1, from.y + dy * by)) });
    if (pixel) view.reveal(pixel.x, pixel.y);
  }),
  step: goTo, by: (n) => goTo(step + n), brush: (n) => setSize(tools.size + n * Math.max(1, Math.round(tools.size / 8))),
  zoom: (n) => view.zoomTo(view.scale * 1.5 ** n), fit: () => (view.fitted ? view.zoomTo(1) : view.fit()), help: () => $("#help").showModal(),
  escape: () => { saving.menu(false); if (!tools.escape()) { if (tool !== "hand") chooseTool("hand"); else attempt(() => look(null)); } },
  enter: () => tools.close(), space: (on) => { tools.space = on; tools.cursor(); }, tool: (t) => session?.ran && chooseTool(t), deed: (d) => session?.ran && chooseDeed(d),
  overlay: () => session?.ran && setOverlay(!view.overlay), compare: () => session?.ran && setCompare({ off: "split", split: "blink", blink: "off" }[compare]),
  peek, mode: () => setMode(session?.mode === "live" ? "replay" : "live"),
});

chooseTool("hand");
setSize(24);
setCompareButtons();
function setCompareButtons() { radio($("[aria-label=Comparison]"), compare); }
attempt(async () => {
  offer();
  await ready;
  const first = await get("/api/state");
  if (!session) await take(first, true); // or else a picture was opened meanwhile
});
