// Steps, and the row of buttons with which they are picked: in the panel for changing, and for an edit that was made.

import { element } from "./dom.js";

export const allSteps = ({ steps }) => Array.from({ length: steps }, (_, i) => i + 1);

// These steps with another one, or without it if it was one of them; never none.
export function toggled(steps, n) {
  const picked = new Set(steps);
  picked[picked.has(n) && picked.size > 1 ? "delete" : "add"](n);
  return picked;
}

// pick(n) is called with the step, or with 0 for all of them.
export const stepButtons = (session, pick) => [
  ...allSteps(session).map((n) => element("button", { type: "button", "data-n": n, onclick: () => pick(n) }, String(n))),
  element("button", { type: "button", class: "all", onclick: () => pick(0) }, "All"),
];

// Show which steps an edit applies to. Who stops, stops from the first of them on.
export function showSteps(row, name, steps, stop) {
  const first = Math.min(...steps);
  name.textContent = stop ? "From step" : "Steps";
  row.querySelector(".all").hidden = stop;
  for (const button of row.querySelectorAll("[data-n]")) {
    const n = Number(button.dataset.n);
    button.setAttribute("aria-pressed", stop ? n === first : steps.includes(n));
    button.classList.toggle("also", stop && n > first);
  }
}
