// Small helpers for the page's elements.

export const $ = (selector) => document.querySelector(selector);

export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(node.style, value);
    else if (key.startsWith("aria-")) node.setAttribute(key, String(value));
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// Black or white, whichever reads better on a colour.
export function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((i) => (parseInt(colour.slice(i, i + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#000" : "#fff";
}

export function chip(action, gone = false) {
  return element("i", { class: `chip${gone ? " gone" : ""}`, title: [action.name, action.explanation].filter(Boolean).join(": "), style: { background: action.color, color: inkOn(action.color) } }, action.symbol);
}

// The operations of a session, for a person to choose from.
export const operations = ({ actions }) => actions.map(({ name, explanation }) => element("option", { value: name, title: explanation }, name));

export function swatch([r, g = r, b = r]) {
  return element("i", { class: "swatch", style: { background: `rgb(${r},${g},${b})` } });
}

export function radio(group, value) {
  for (const button of group.querySelectorAll('[role="radio"]')) {
    const on = Object.values(button.dataset)[0] === value;
    button.setAttribute("aria-checked", on);
    button.tabIndex = on ? 0 : -1;
  }
}

// Buttons that behave as radio buttons: arrow keys move the choice.
export function radios(group, chosen) {
  const buttons = [...group.querySelectorAll('[role="radio"]')];
  group.addEventListener("click", (e) => {
    const button = e.target.closest('[role="radio"]');
    if (button && !button.disabled) chosen(Object.values(button.dataset)[0]);
  });
  group.addEventListener("keydown", (e) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
    if (!by) return;
    e.preventDefault();
    e.stopPropagation();
    const shown = buttons.filter((button) => !button.hidden);
    const next = shown[(shown.indexOf(document.activeElement) + by + shown.length) % shown.length];
    next.focus();
    next.click();
  });
}

export const percent = (share) => (share === 0 ? "–" : share < 0.001 ? "<0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);
export const spaced = (count) => count.toLocaleString("en").replaceAll(",", " ");
