// The page: its parts, and the keys that reach them. See store.js for what the page knows, sync.js for how it learns it.

import "./areas.js";
import { chooseDeed, chooseTool, setSize, tools } from "./change.js";
import { $ } from "./dom.js";
import "./edits.js";
import "./export.js";
import { redo, setMode, undo } from "./header.js";
import { keys } from "./keys.js";
import "./layer.js";
import { look, walk } from "./look.js";
import { attempt } from "./messages.js";
import { TheObject } from "./object.js";
import { chooseFile } from "./opening.js";
import "./plainer.js";
import { menu, save } from "./saving.js";
import "./stages.js";
import { fitOrWhole, goTo, peek, setCompare, setOverlay, view } from "./stage.js";
import { phase, store } from "./store.js";
import { start } from "./sync.js";
import "./sure.js";
import "./timeline.js";
import "./value.js";

const object = new TheObject(view);
view.extras = (c) => {
  object.draw(c);
  tools.draw(c);
};

const ran = () => phase(store.state) === "ran";

function leave() {
  menu(false);
  if (tools.escape()) return;
  if (store.state.tool !== "hand") chooseTool("hand");
  else attempt(() => look(null));
}

keys({
  open: chooseFile,
  save: () => save("picture"),
  undo,
  redo,
  walk: (dx, dy) => attempt(() => walk(dx, dy)),
  step: goTo,
  by: (n) => goTo(store.state.step + n),
  brush: (n) => setSize(store.state.size + n * Math.max(1, Math.round(store.state.size / 8))),
  zoom: (n) => view.zoomTo(view.scale * 1.5 ** n),
  fit: fitOrWhole,
  help: () => $("#help").showModal(),
  escape: leave,
  enter: () => tools.close(),
  space: (on) => { tools.space = on; tools.cursor(); },
  tool: (tool) => ran() && chooseTool(tool),
  deed: (deed) => ran() && chooseDeed(deed),
  overlay: () => ran() && setOverlay(!store.state.overlay),
  compare: () => ran() && setCompare({ off: "split", split: "side", side: "blink", blink: "off" }[store.state.compare]),
  peek,
  mode: () => setMode(store.state.session?.mode === "live" ? "replay" : "live"),
});

store.begin();
attempt(start);
