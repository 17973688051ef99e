// What is said between the page and the studio: changes go there, and its state comes back.

import { get, post, upload } from "./api.js";
import { inkOn } from "./dom.js";
import { Film } from "./film.js";
import { attempt, say } from "./messages.js";
import { phase, store } from "./store.js";

export const film = new Film();

let sent = 0, timer = 0, latest = null;

const ready = attempt(async () => store.update({ policies: await get("/api/policies") }));

// --- What comes -----------------------------------------------------------------------------------------------------

// Take the studio's state into the store. `fresh`: it is of a picture that has just been opened.
async function receive(next, fresh = false) {
  latest = next;
  const { session } = next, { state } = store, before = state.session;
  const changes = { session, job: next.job, error: next.error };
  if (session) {
    for (const action of session.actions ?? []) action.ink = inkOn(action.color);
    const other = fresh || before?.id !== session.id || before.width !== session.width;
    const ranAnew = session.ran && (other || !before.ran || before.policy !== session.policy);
    const ranAgain = session.ran && !ranAnew && before.runs !== session.runs;
    const boxes = ranAnew || ranAgain ? [] : (next.changed ?? []);
    const moved = !other && (ranAnew || before.revision !== session.revision);
    if (other) Object.assign(changes, opened(session, state));
    if (ranAnew) Object.assign(changes, ran(session, state));
    if (boxes.length && !other) film.changed(boxes);
    else if (moved || other) film.clear();
    if (boxes.length || moved || other) changes.frames = state.frames + 1;
    if (next.error && next.error !== state.error) changes.message = { sentence: next.error, kind: "error" };
  }
  await store.update(changes);
  if (latest === next) poll(); // or else something newer came meanwhile
}

// A picture has been opened: nothing of the one before stays.
function opened(session, { policies }) {
  const message = session.notes.length ? { sentence: `${session.name}: ${session.notes.join("; ")}.`, kind: "note" } : null;
  const policy = session.policy ?? suited(session, policies);
  return { step: 0, aim: null, pixel: null, shownEdit: null, brushed: null, policy, level: levelOf(session, policy), message };
}

// What a person told this policy, as it is typed; nothing if it was another that ran, or nothing was told.
export const levelOf = (session, policy) => (typeof session.level === "number" && session.policy === policy ? String(session.level) : "");

// The policy to begin with.
function suited(session, policies) {
  const fitting = policies.filter((p) => p.channels === session.channels || p.channels === 1);
  const tests = [(p) => session.region && p.object, (p) => p.channels === session.channels && p.condition, (p) => p.condition, () => true];
  return tests.map((test) => fitting.find(test)).find(Boolean)?.name ?? "";
}

// What most agents do, but for nothing: a first choice that spoils no picture.
function usual({ actions, shares }) {
  const sums = actions.map(({ name }, i) => (name === "do nothing" ? -1 : shares.reduce((sum, row) => sum + row[i], 0)));
  return actions[sums.indexOf(Math.max(...sums))].name;
}

// A policy has been run, another one than before.
function ran(session, { deed, operation, where }) {
  const names = session.actions.map(({ name }) => name);
  return {
    step: session.steps,
    steps: { force: null, forbid: null, stop: Math.min(2, session.steps) },
    brushed: null,
    deed: deed === "object" && !session.object ? "protect" : deed,
    operation: names.includes(operation) ? operation : usual(session),
    where: { ...where, action: "" },
    channel: session.agents === 1 ? 0 : -1,
  };
}

function poll() {
  clearTimeout(timer);
  const { session, job } = store.state;
  timer = setTimeout(async () => {
    const asked = sent;
    try {
      const next = await get(`/api/state?since=${session?.revision ?? 0}`);
      if (asked === sent) await receive(next); // or else an answer to a later request is there, or on its way
      else poll();
    } catch (error) {
      say(error.message);
      timer = setTimeout(poll, 3000);
    }
  }, job || session?.waiting ? 150 : 8000);
}

// --- What goes ------------------------------------------------------------------------------------------------------

// Ask for a change; null if it was refused.
export async function send(path, content = {}) {
  sent++;
  const next = await attempt(() => post(path, { ...content, since: store.state.session?.revision ?? 0 }));
  if (next) await receive(next);
  return next;
}

export async function open(file) {
  if (!file) return;
  say(null);
  document.body.classList.add("opening");
  sent++;
  await ready;
  const next = await attempt(() => upload(file));
  document.body.classList.remove("opening");
  if (next) await receive(next, true);
}

export async function resume(id) {
  await ready;
  return send("/api/resume", { id });
}

export function history(path) {
  if (phase(store.state) === "ran") return send(path);
}

export const listSessions = () => attempt(async () => store.update({ sessions: await get("/api/sessions") }));

export async function forget(id) {
  await attempt(() => post("/api/forget", { id }));
  return listSessions();
}

export async function start() {
  listSessions();
  await ready;
  const first = await get("/api/state");
  if (!store.state.session) await receive(first, true); // or else a picture was opened meanwhile
}
