// All that the page knows, in one place. Views subscribe to the names that they show; only `update` changes anything.

let state = {
  // Told by the studio.
  policies: [], // what can be run
  sessions: [], // those on the disk that are offered
  session: null, // the picture at hand, its run and its edits
  job: null, // what the studio is working on
  cancelled: null, // number of the job that was cancelled last
  error: null, // why its last job failed
  frames: 0, // counts up whenever what the frames show has changed

  // What is to be run.
  policy: "",
  level: "", // as it was typed

  // How the picture is looked at.
  step: 0,
  compare: "off", // "split", "side", "blink"
  against: "input", // "plain", "before"
  peeking: false, // the other picture, while a key is held
  overlay: false, // the operations over the picture
  opacity: 0.75,
  channel: -1, // whose operations; -1: of all agents of a pixel, side by side
  hidden: new Set(), // names of operations
  aim: null, // {x, y}: the pixel that was asked for
  pixel: null, // its story, as soon as it is there
  sure: null, // {x, y, percent}: how sure the policy was of a pixel, once it has been asked

  // What would be done to what is drawn.
  tab: "look", // "change"
  tool: "hand", // "brush", "box", "polygon", "same"
  size: 24, // of the brush, in pixels
  deed: "protect", // "force", "forbid", "stop", "object"
  operation: "",
  steps: { force: null, forbid: null, stop: 2 }, // sets of numbers, or null where none were picked; stop: the first
  extent: "touching", // "everywhere"
  where: { action: "", low: "", high: "" },
  brushed: null, // {number}: the edit to which the next stroke of the brush belongs, once it is there
  pointed: null, // number of the edit that is pointed at in the list
  chosen: null, // number of the edit that was chosen there

  message: null, // {sentence, kind, actions}
};

const views = [];

export const store = {
  get state() {
    return state;
  },

  // draw(state, before) is called whenever one of these names has changed.
  subscribe(names, draw) {
    views.push({ names, draw });
  },

  // Draw all views for the first time.
  begin() {
    for (const { draw } of views) draw(state, state);
  },

  // Returns a promise: all views have drawn.
  update(changes) {
    const before = state;
    state = { ...state, ...changes };
    const changed = views.filter(({ names }) => names.some((name) => state[name] !== before[name]));
    return Promise.all(changed.map(({ draw }) => draw(state, before)));
  },
};

// How far a person has come: "empty", "opened" (a picture without a run) or "ran".
export const phase = ({ session }) => (!session ? "empty" : session.ran ? "ran" : "opened");
