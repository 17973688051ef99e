// The bar at the top, what the studio is working on, and how true the picture is.

import { letGo, tools } from "./change.js";
import { $, element, radio, radios } from "./dom.js";
import { say } from "./messages.js";
import { view } from "./stage.js";
import { phase, store } from "./store.js";
import { change, levelOf, run as runPolicy, send } from "./sync.js";

// --- What is to be run ----------------------------------------------------------------------------------------------

// Of the policy that ran, the panel of its object holds the level.
const levelInPanel = ({ session, policy }) => Boolean(session?.object) && policy === session.policy;

// The tasks for pictures of so many channels. Of several policies for one task, those for other pictures are named apart.
export function tasks(policies, channels) {
  const fits = (p) => p.fits.includes(channels);
  const twins = (p) => policies.filter((other) => other !== p && other.title === p.title && fits(other));
  const spare = (p) => !fits(p) || (channels === 1 && p.channels > 1); // of two that fit, the one for colour
  const bySeen = (p) => !p.as_seen && twins(p).some((other) => other.as_seen);
  return policies.filter((p) => !(spare(p) && twins(p).length && !bySeen(p))).map((p) => {
    const apart = !fits(p) ? " (colour pictures)" : bySeen(p) ? ` (${p.channels > 1 ? "colour" : "grey"} policy)` : p.channels === 1 && channels > 1 && twins(p).length ? ", each colour by itself" : "";
    return element("option", { value: p.name, title: p.about, disabled: !fits(p) }, p.title + apart);
  });
}

function policies({ policies: all, session, policy }) {
  if (!session) return;
  const key = `${session.channels} ${all.map((p) => p.name)}`;
  if ($("#policy").dataset.key !== key) {
    $("#policy").dataset.key = key;
    $("#policy").replaceChildren(...tasks(all, session.channels));
  }
  $("#policy").value = policy;
  $("#policy").title = all.find((p) => p.name === policy)?.about ?? "";
}

function level(state) {
  const { session, policy, level: typed } = state, field = $("#level");
  const condition = levelInPanel(state) ? null : state.policies.find((p) => p.name === policy)?.condition;
  $("#level-field").hidden = field.disabled = !condition;
  if (!condition) return;
  const estimated = condition.usual === null, left = estimated ? "it is estimated" : condition.usual;
  const told = session?.policy === policy && session.level === "auto" ? session.condition?.[condition.name] : undefined;
  $("#level-name").textContent = condition.name;
  $("#level-field").title = `${condition.help} In ${condition.unit}; left empty, ${left}.`;
  field.min = condition.low;
  field.max = condition.high ?? "";
  field.placeholder = !estimated ? condition.usual : told === undefined ? "auto" : `auto: ${told < 100 ? told.toFixed(1) : Math.round(told)}`;
  if (field.value !== typed && !field.validity.badInput) field.value = typed;
}

function run() {
  const { state } = store, { session, policy, level: typed } = state;
  const asked = levelInPanel(state) ? session.level : $("#level-field").hidden || typed === "" ? "auto" : Number(typed);
  say(null);
  const start = (keep) => {
    const { x0, y0, x1, y1, empty } = view.visible();
    return runPolicy(policy, asked, keep, empty ? null : [x0, y0, x1, y1]);
  };
  if (!session.ran || policy === session.policy || !session.edits.length) return start(false);
  const dialog = $("#keep"), count = session.edits.length;
  $("#keep-said").textContent = `There ${count > 1 ? `are ${count} edits` : "is one edit"} in this session. Another task begins a session of its own; this one stays in the list of sessions, with its edits.`;
  dialog.onclose = () => { if (dialog.returnValue) start(dialog.returnValue === "keep"); };
  dialog.returnValue = "";
  dialog.showModal();
}

store.subscribe(["policies", "session", "policy", "level"], (state) => {
  policies(state);
  level(state);
});
$("#policy").onchange = (e) => store.update({ policy: e.target.value, level: levelOf(store.state.session, e.target.value) });
$("#level").oninput = (e) => store.update({ level: e.target.value });
$("#run-form").onsubmit = (e) => { e.preventDefault(); run(); };

// --- The buttons ----------------------------------------------------------------------------------------------------

store.subscribe(["session", "policy", "job"], ({ session, policy, job }) => {
  const ran = session?.ran;
  document.body.classList.toggle("loaded", Boolean(session));
  $("#run-form").hidden = !session;
  $("#session-tools").hidden = !ran;
  $("#run").textContent = !ran ? "Run" : policy === session.policy ? "Run again" : "Run instead";
  $("#run").classList.toggle("primary", !ran || policy !== session.policy);
  $("#run").disabled = Boolean(job && job.kind !== "live");
  if (!session) return;
  document.title = `${session.name} · PixelRL studio`;
  $("#undo").disabled = !session.undo;
  $("#redo").disabled = !session.redo;
  radio($("[aria-label='How edits are applied']"), session.mode);
});

export function setMode(mode) {
  const { session } = store.state;
  if (phase(store.state) === "ran" && mode !== session.mode) return change(() => ({ change: { type: "switch", mode } }));
}
function travel(type) {
  if (phase(store.state) === "ran") return change(() => ({ change: { type } }));
}
export function undo() {
  if (tools.uncorner()) return;
  letGo();
  return travel("undo");
}
export function redo() {
  letGo();
  return travel("redo");
}
radios($("[aria-label='How edits are applied']"), setMode);
$("#undo").onclick = undo;
$("#redo").onclick = redo;
$("#help-open").onclick = () => $("#help").showModal();

// --- What it is working on ------------------------------------------------------------------------------------------

store.subscribe(["job", "cancelled"], ({ job, cancelled }) => {
  $("#working").hidden = !job;
  if (!job) return;
  const ending = job.cancelling || job.number === cancelled;
  $("#cancel").disabled = ending;
  const doing = job.kind === "live" ? `The policy reacts: ${job.label}` : job.label[0].toUpperCase() + job.label.slice(1);
  $("#working-said").textContent = ending ? "Cancelling…" : job.left ? `${doing} · ${job.left}` : doing;
  $("#working .track").classList.toggle("unsure", job.share === 0);
  $("#working .track i").style.width = `${100 * job.share}%`;
});
$("#cancel").onclick = () => {
  letGo();
  store.update({ cancelled: store.state.job?.number });
  return send("/api/cancel");
};

function truth({ exact, edits, mode, waiting }, job) {
  if (exact && !edits.length) return "As the policy did it.";
  if (exact) return mode === "live" ? "The policy's reaction to your edits." : "The exact result with your edits.";
  if (job?.kind === "live") return "The policy is reacting to what you changed…";
  if (mode === "live" && !waiting) return "The policy's reaction was given up; change something, save, or switch to replay.";
  return waiting ? "A preview; the exact result follows." : "A preview; saving computes the exact result.";
}
store.subscribe(["session", "job"], ({ session, job }) => {
  if (!session?.ran) return;
  $("#truth").textContent = truth(session, job);
  $("#truth").classList.toggle("exact", session.exact);
});
