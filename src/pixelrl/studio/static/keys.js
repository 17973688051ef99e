// Keyboard shortcuts, and the panel that lists them.

import { $, element } from "./dom.js";

export const table = [
  [["Ctrl+O"], "Open a picture"],
  [[",", "."], "Step before, step after"],
  [["1", "…", "9", "Home"], "Go to a step, to the input"],
  [["H", "B", "E", "R", "G", "A"], "Look, brush, eraser, rectangle, polygon, same operation"],
  [["P", "F", "K", "S"], "Protect, force, forbid, stop"],
  [["[", "]"], "Smaller, larger brush"],
  [["Enter", "Esc"], "Close a polygon; let go"],
  [["O"], "Operations over the picture"],
  [["C"], "Single, split, side by side, blink"],
  [["X"], "Hold it to see the other picture"],
  [["+", "−", "0"], "Zoom in, out; fit, and again for 100 %"],
  [["Space"], "Hold it and drag to move the picture"],
  [["←", "↑", "→", "↓"], "From pixel to pixel (on the picture)"],
  [["Ctrl+Z", "Ctrl+Shift+Z"], "Undo (in a polygon, the last corner), redo"],
  [["L"], "Replay or live"],
  [["Ctrl+S"], "Save the result"],
];

export function keys(acts) {
  $("#keys").replaceChildren(element("dl", {}, ...table.flatMap(([key, what]) => [
    element("dt", {}, ...key.flatMap((part) => (part === "…" ? [" … "] : [element("kbd", {}, part), " "]))), element("dd", {}, what)])));

  document.addEventListener("keydown", (e) => {
    const typing = e.target.closest?.("input:not([type=checkbox]):not([type=range]), select, textarea");
    const control = e.ctrlKey || e.metaKey;
    if (document.querySelector("dialog[open]")) return;
    if (control) {
      const act = { o: "open", s: "save", z: e.shiftKey ? "redo" : "undo", y: "redo" }[e.key.toLowerCase()];
      if (act && !(typing && act !== "open" && act !== "save")) {
        e.preventDefault();
        acts[act]();
      }
      return;
    }
    if (typing || e.altKey || (e.target.type === "range" && /^(Home|End)$/.test(e.key))) return;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (arrows[e.key] && e.target.id === "canvas") {
      e.preventDefault();
      acts.walk(...arrows[e.key].map((n) => n * (e.shiftKey ? 10 : 1)));
      return;
    }
    if (/^[1-9]$/.test(e.key)) return acts.step(Number(e.key));
    const onButton = e.target.closest?.("button, summary, a, [role=slider]");
    if ((e.key === " " || e.key === "Enter") && onButton) return;
    const simple = {
      ",": () => acts.by(-1), ".": () => acts.by(1), Home: () => acts.step(0), End: () => acts.step(Infinity),
      "[": () => acts.brush(-1), "]": () => acts.brush(1), "+": () => acts.zoom(1), "=": () => acts.zoom(1), "-": () => acts.zoom(-1), "−": () => acts.zoom(-1),
      0: () => acts.fit(), "?": () => acts.help(), Escape: () => acts.escape(), Enter: () => acts.enter(), " ": () => acts.space(true),
    }[e.key] ?? {
      h: () => acts.tool("hand"), b: () => acts.tool("brush"), e: () => acts.tool("erase"), r: () => acts.tool("box"), g: () => acts.tool("polygon"), a: () => acts.tool("same"),
      p: () => acts.deed("protect"), f: () => acts.deed("force"), k: () => acts.deed("forbid"), s: () => acts.deed("stop"),
      o: () => acts.overlay(), c: () => acts.compare(), x: () => acts.peek(true), l: () => acts.mode(),
    }[e.key.toLowerCase()];
    if (simple) {
      if (e.key === " ") e.preventDefault();
      simple();
    }
  });
  document.addEventListener("keyup", (e) => {
    if (e.key === " ") acts.space(false);
    if (e.key.toLowerCase() === "x") acts.peek(false);
  });
  window.addEventListener("blur", () => { acts.space(false); acts.peek(false); });
}
