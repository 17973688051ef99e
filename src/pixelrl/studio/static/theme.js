// Light or dark: as the system asks for, or as a person chose, which the browser remembers.

import { $, radio, radios } from "./dom.js";

const place = "pixelrl-theme", schemes = { system: "", light: "light", dark: "dark" };

// A browser may keep nothing at all for a page; then the choice lasts as long as the page.
function remembered() {
  try {
    return localStorage.getItem(place);
  } catch {
    return null;
  }
}

let chosen = "system";
function show(theme) {
  chosen = Object.hasOwn(schemes, theme ?? "") ? theme : "system";
  document.documentElement.style.colorScheme = schemes[chosen]; // empty: as the style sheet has it, the system's
  radio($("#theme"), chosen);
}

function choose(theme) {
  show(theme);
  try {
    localStorage.setItem(place, theme);
  } catch {} // see above
}

const dark = () => chosen === "dark" || (chosen === "system" && matchMedia("(prefers-color-scheme: dark)").matches);

show(remembered());
window.addEventListener("storage", ({ key, newValue }) => { if (key === place) show(newValue); }); // of another tab
radios($("#theme"), choose);
$("#theme-turn").onclick = () => choose(dark() ? "light" : "dark");
