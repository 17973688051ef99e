// What is said between the page and the studio: changes go there, and its state comes back.

import { download, get, post, upload } from "./api.js";
import { inkOn } from "./dom.js";
import { Film } from "./film.js";
import { attempt, blame, say } from "./messages.js";
import { inTurn, pause, token } from "./queue.js";
import { store } from "./store.js";

export const film = new Film();

const place = "pixelrl-session"; // where this tab remembers which session it shows
if (location.hash === "#start") { // the address that was printed: what was opened last is meant
  sessionStorage.removeItem(place);
  history.replaceState(null, "", "/");
}
const revisions = new Map(); // of the edits, as they were last heard of, by session
const replaced = new Map(); // "session number" of an edit: the number of the one that this tab put in its place
let sent = 0, timer = 0, latest = null;

const ready = attempt(async () => store.update({ policies: await get("/api/policies") }));

// --- What comes -----------------------------------------------------------------------------------------------------

// Take the studio's state into the store. `fresh`: it is of a picture that has just been opened.
async function receive(next, fresh = false) {
  sent++; // what was asked for before this came, and comes after it, is older
  latest = next;
  const { session } = next, { state } = store, before = state.session;
  const changes = { session, job: next.job, error: next.error };
  if (session) {
    sessionStorage.setItem(place, session.id);
    revisions.set(session.id, session.revision);
    for (const action of session.actions ?? []) action.ink = inkOn(action.color);
    const other = fresh || before?.id !== session.id || before.width !== session.width;
    const ranAnew = session.ran && (other || !before.ran || before.policy !== session.policy);
    const ranAgain = session.ran && !ranAnew && before.runs !== session.runs;
    const boxes = ranAnew || ranAgain ? [] : (next.changed ?? []);
    const moved = !other && (ranAnew || before.shown !== session.shown);
    if (other) Object.assign(changes, opened(session, state, before?.picture === session.picture));
    else if (session.ran) changes.chosen = editOf(session, state.chosen)?.number ?? state.chosen;
    if (!other && (state.message?.notes ?? session.notes.join()) !== session.notes.join()) changes.message = noted(session, state.message.seen); // what it said is not so any more
    if (ranAnew) Object.assign(changes, ran(session, state));
    if ((ranAnew || ranAgain) && session.found) Object.assign(changes, asSeen(session));
    if (boxes.length && !other) film.changed(boxes);
    else if (moved || other) film.clear();
    if (boxes.length || moved || other) changes.frames = state.frames + 1;
    if (next.error && next.error !== state.error) changes.message = { sentence: next.error, kind: "error" };
  }
  await store.update(changes);
  if (latest === next) poll(); // or else something newer came meanwhile
}

// A picture has been opened, or another stage of the same: nothing of the one before stays.
function opened(session, { policies }, same) {
  const { earlier } = session;
  const message = earlier ? offered(earlier, policies) : same ? null : noted(session);
  const policy = session.policy ?? suited(session, policies);
  return { step: 0, aim: null, pixel: null, pointed: null, chosen: null, brushed: null, policy, level: levelOf(session, policy), message };
}

// What there is to say of a picture, and perhaps of what was seen in it.
function noted({ name, found, notes }, seen = false) {
  const parts = [seen && found, ...notes].filter(Boolean);
  return parts.length ? { sentence: `${name}: ${parts.join("; ")}.`, kind: "note", notes: notes.join(), seen } : null;
}

// What was seen in the picture said which policy ran: that is the one at hand from here on.
const asSeen = (session) => ({
  policy: session.policy,
  level: levelOf(session, session.policy),
  message: noted(session, true),
});

// What a person told this policy, as it is typed; nothing if it was another that ran, or nothing was told.
export const levelOf = (session, policy) => (typeof session.level === "number" && session.policy === policy ? String(session.level) : "");

// There is a session of the same picture, with work in it.
function offered({ id, edits, policies: names }, policies) {
  const tasks = names.map((name) => policies.find((p) => p.name === name)?.title ?? name).join(", then ");
  const sentence = `There is an earlier session of this picture${edits ? ` with ${edits} edit${edits > 1 ? "s" : ""}` : ""} (${tasks}).`;
  return { sentence, kind: "note", actions: { Continue: () => resume(id), "Start anew": () => {} } };
}

// The task to begin with: the noise that is seen, or an object that was given.
function suited(session, policies) {
  const fitting = policies.filter((p) => p.fits.includes(session.channels));
  const tests = [(p) => session.region && p.object, (p) => p.as_seen, () => true];
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

function poll(wait) {
  clearTimeout(timer);
  const { session, job } = store.state;
  timer = setTimeout(async () => {
    const asked = sent;
    try {
      const next = await get(`/api/state?since=${session?.shown ?? 0}`);
      if (!session) next.session = null; // what other tabs show is not for this one
      const current = asked === sent && store.state.session?.id === session?.id;
      if (current) await receive(next); // or else an answer to a later request is there, or on its way
      else poll();
    } catch (error) {
      if (error.reason === "closed") return putAway(session, error);
      blame(error);
      poll(3000);
    }
  }, wait ?? (job || session?.waiting ? 150 : 8000));
}

// The studio had no room for this picture beside another one.
function putAway(session, error) {
  say(`${session.name}: ${error.message}.`, "note", { "Open it again": () => attempt(() => inTurn(() => reopened(session.id))) });
}

// Wait for a job; the id of the session that came of it, or null.
async function outcome(job) {
  for (;;) {
    const { outcome: found } = await get(`/api/state?job=${job}`, "");
    if (found?.error) say(found.error);
    if (found) return found.session;
    await pause(150);
  }
}

async function reopened(id) {
  const { job } = await post("/api/resume", { id });
  const found = await outcome(job);
  const next = found && (await get("/api/state", found));
  if (found && found === store.state.session?.id) await receive(next, true);
  return found;
}

// The page asks how far it is from here on.
function begun(job) {
  if (store.state.job === null) store.update({ job: { number: job, kind: "", share: 0, label: "waiting" } });
  poll();
}

// Show what comes of a job, unless this tab shows something else by then.
async function follow(job) {
  const { session } = store.state;
  begun(job);
  const found = await outcome(job);
  if (!found) return;
  const next = await get("/api/state", found);
  if (store.state.session?.id !== session?.id) return; // looked at last: another picture may come in while this is fetched
  sent++;
  await receive(next, found !== session?.id);
}

// --- What goes ------------------------------------------------------------------------------------------------------

// The edit of this number, or what this tab has put in its place meanwhile; undefined if it is gone.
export function editOf(session, number) {
  for (let n = number; session && n; n = replaced.get(`${session.id} ${n}`)) {
    const item = session.edits?.find((each) => each.number === n);
    if (item) return item;
  }
}

// Ask for a change of the session that is shown now; it is made when all before it are. Null if it was refused.
// make(session) gives {change, near} when its turn comes, of the session as it then is, whatever the tab shows by then.
export function change(make) {
  const { id } = store.state.session, mine = token();
  let made = null;
  return attempt(() => inTurn(async () => {
    sent++;
    const sending = async () => {
      const { session } = store.state, shown = session?.id === id;
      made ??= await make(shown ? session : (await get("/api/state", id)).session);
      const next = await post("/api/change", { session: id, token: mine, revision: revisions.get(id), since: shown ? session.shown : 0, ...made });
      if (made.change.type === "replace") replaced.set(`${id} ${made.change.number}`, next.added);
      return settle(next);
    };
    try {
      return await sending();
    } catch (error) { // what `make` asks of the studio is refused as the change itself is
      if (error.reason === "closed" && (await reopened(id))) return sending();
      if (error.reason === "stale") await settle(await get("/api/state", id));
      throw error;
    }
  }));
}

async function settle(next) {
  revisions.set(next.session.id, next.session.revision);
  if (store.state.session?.id === next.session.id) await receive(next);
  return next;
}

// Ask for what is no change of the edits; null if it was refused.
export async function send(path, content = {}) {
  sent++;
  const { session } = store.state;
  const next = await attempt(() => post(path, { ...content, since: session?.shown ?? 0 }));
  if (next && store.state.session?.id === session?.id) await receive(next);
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
  listSessions(); // the picture before is one of them
}

// Run a policy, when all changes have been made; another policy's session begins with the edits that it can do, or none.
// `seen` is the box of the picture that is looked at, which is done first.
export const run = (policy, level, keep, seen) => attempt(async () => {
  const { session } = store.state;
  const { job } = await inTurn(() => post("/api/run", { session: session.id, policy, level, keep, seen }));
  await follow(job);
});

export const resume = (id) => attempt(async () => {
  await ready;
  await follow((await post("/api/resume", { id })).job);
});

// Show another stage of the picture, when all changes have been made; null if that was refused.
export const visit = (id) => attempt(() => inTurn(async () => {
  sent++;
  try {
    await receive(await get("/api/state", id), true);
  } catch (error) {
    if (error.reason !== "closed") throw error;
    await follow((await post("/api/resume", { id })).job);
  }
  return store.state.session?.id === id || null;
}));

// Have a stage ready, as one that is saved, without showing it.
export const atHand = (id) => attempt(() => inTurn(async () => outcome((await post("/api/resume", { id })).job)));

// Let a policy work on the result of the last stage, as the next one.
export const goOn = (policy, level, seen) => attempt(async () => {
  const { id, stages } = store.state.session, after = stages.at(-1).id;
  const { job } = await inTurn(() => post("/api/go-on", { session: id, after, policy, level, seen }));
  await follow(job);
});

// Do those stages again that are of an older result; null if that was called off.
export const renew = () => attempt(async () => {
  const { id } = store.state.session;
  const { job } = await inTurn(() => post("/api/renew", { session: id }));
  await follow(job);
  return store.state.session.stages.some(({ older }) => older) ? null : id;
});

// Ask for what takes a while and changes nothing; whether it was done, and not called off.
async function done(path, content) {
  const { job } = await inTurn(() => post(path, content));
  begun(job);
  return Boolean(await outcome(job));
}

// Have the report written, and take it along, as `download` says; null if that was called off.
export const report = () => attempt(async () => {
  const { id } = store.state.session;
  if (await done("/api/report", { session: id })) return download("/api/report", id);
  if (store.state.message?.kind === "note") say(null);
  return null;
});

// Ask the policy again how sure it was of a pixel; null if that was called off.
export const howSure = (x, y) => attempt(async () => {
  const { id } = store.state.session;
  return (await done("/api/sure", { session: id, x, y })) ? get("/api/sure", id) : null;
});

export const listSessions = () => attempt(async () => store.update({ sessions: await get("/api/sessions") }));

// Take a session out of the list; it stays there as one that can be brought back.
export const forget = (id) => attempt(async () => {
  await post("/api/forget", { id });
  mark(id, true);
  return id;
});
export const restore = (id) => attempt(async () => {
  await post("/api/restore", { id });
  mark(id, false);
  return id;
});
const mark = (id, forgotten) => store.update({ sessions: store.state.sessions.map((s) => (s.picture === id ? { ...s, forgotten } : s)) });

// What this tab showed before it was loaded again, or else what was used last.
async function first() {
  const mine = sessionStorage.getItem(place);
  if (!mine) return get("/api/state", "");
  try {
    return await get("/api/state", mine);
  } catch (error) {
    if (error.reason !== "closed") throw error;
    const found = await outcome((await post("/api/resume", { id: mine })).job);
    const next = await get("/api/state", found ?? "");
    return found ? next : { ...next, session: null }; // what was used last is another picture than this tab's
  }
}

export async function start() {
  listSessions();
  await ready;
  const next = await first();
  if (!store.state.session) await receive(next, true); // or else a picture was opened meanwhile
}
