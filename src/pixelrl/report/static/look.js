// Step by step: a picture and a map, and the pixel that is looked at.

const look = { view: null, step: Math.min(1, T), layer: "actions", channel: 0, x: 0, y: 0, held: false, kept: null, over: null };

const LAYERS = {
  actions: "operations",
  unsure: "unsure",
  change: "change",
  reward: "reward",
};

function choice(parent, name, options, chosen, pick) {
  for (const [value, label] of options) {
    const input = el("input", { type: "radio", name, value, checked: value === chosen, change: () => pick(value) });
    $(parent).append(el("label", {}, input, el("span", {}, label)));
  }
  $(parent).hidden = options.length < 2;
}

function startLook() {
  look.view = data.views[0];
  choice("steps", "step", Array.from({ length: T + 1 }, (_, t) => [t, t === 0 ? "input" : `${t}`]), look.step, goToStep);
  const layers = Object.entries(LAYERS).filter(([name]) => name === "actions" || T > 0);
  const possible = { actions: true, unsure: Boolean(look.view.unsure), change: true, reward: Boolean(look.view.reference) };
  choice("layers", "layer", layers.filter(([name]) => possible[name]), "actions", (layer) => { look.layer = layer; drawLook(); });
  choice("channels", "channel", CHANNELS.map((name, i) => [i, name]), 0, (channel) => { look.channel = channel; drawLook(); });
  if (G === 1) $("channels-label").textContent = "Values of";
  const labels = { region: "region, pixel by pixel", whole: "whole picture" };
  choice("views", "view", data.views.map((view, i) => [i, labels[view.name]]), 0, (i) => showView(data.views[i]));
  startLegend();
  for (const canvas of [$("picture"), $("map")]) {
    canvas.addEventListener("pointermove", (event) => { if (!look.held && event.pointerType === "mouse") moveTo(...pixelUnder(event)); });
    canvas.addEventListener("click", hold);
    canvas.addEventListener("keydown", onKey);
  }
  for (const id of ["at-x", "at-y"]) $(id).addEventListener("input", () => {
    const [x0, y0] = look.view.box, s = look.view.shrink;
    if ($("at-x").value === "" || $("at-y").value === "") return;
    const [x, y] = toUpright([$("at-x").valueAsNumber, $("at-y").valueAsNumber]);
    moveTo(Math.floor((x - x0) / s), Math.floor((y - y0) / s), id);
  });
  $("hold").addEventListener("click", () => setHeld(!look.held));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") setHeld(false); });
  window.addEventListener("resize", sharpen);
  showView(look.view);
}

function showView(view) {
  const [oldX, oldY] = look.view.box.map((at, i) => at + (i === 0 ? look.x : look.y) * look.view.shrink);
  const first = look.view === view;
  look.view = view;
  for (const id of ["picture-stage", "map-stage"]) $(id).style.maxWidth = `calc(62vh * ${view.w / view.h})`;
  if (view.name === "whole" && look.layer === "reward") document.querySelector('input[name="layer"][value="actions"]').click();
  const rewards = document.querySelector('input[name="layer"][value="reward"]');
  if (rewards) rewards.disabled = view.name === "whole";
  const [low, high] = storedCorners(view.box);
  [$("at-x").min, $("at-y").min] = low;
  [$("at-x").max, $("at-y").max] = high;
  if (first) [look.x, look.y] = [view.w >> 1, view.h >> 1];
  else [look.x, look.y] = [(oldX - view.box[0]) / view.shrink, (oldY - view.box[1]) / view.shrink].map(Math.floor);
  const [fx0, fy0, fx1, fy1] = data.views[0].box;
  for (const frame of document.querySelectorAll(".frame")) {
    frame.hidden = view.name !== "whole";
    const sides = { left: fx0 / data.width, top: fy0 / data.height, width: (fx1 - fx0) / data.width, height: (fy1 - fy0) / data.height };
    for (const [side, share] of Object.entries(sides)) frame.style[side] = `${100 * share}%`;
  }
  drawLook();
  sharpen();
}

/** Enlarged pixels keep their edges, shrunk ones are averaged. */
function sharpen() {
  for (const canvas of document.querySelectorAll(".stage canvas, .trio canvas"))
    canvas.style.imageRendering = canvas.clientWidth > 1.5 * canvas.width ? "pixelated" : "auto";
}

function goToStep(step) {
  look.step = Math.min(T, Math.max(0, step));
  document.querySelector(`input[name="step"][value="${look.step}"]`).checked = true;
  drawLook();
}

function pixelUnder(event) {
  const box = event.currentTarget.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * look.view.w, ((event.clientY - box.top) / box.height) * look.view.h].map(Math.floor);
}

function hold(event) {
  const [x, y] = pixelUnder(event), same = x === look.x && y === look.y;
  setHeld(!(look.held && same));
  moveTo(x, y);
  standBy(event.currentTarget);
}

/** Where the page is narrow, the pixel's story stands below the picture that was tapped, which stays where it is. */
function standBy(canvas) {
  const before = canvas.getBoundingClientRect().top;
  document.querySelector(".look").dataset.tapped = canvas.id;
  window.scrollBy({ top: canvas.getBoundingClientRect().top - before, behavior: "instant" });
  if (matchMedia("(max-width: 1100px)").matches) $("story").scrollIntoView({ block: "nearest" });
}

function setHeld(held) {
  look.held = held;
  $("hold").setAttribute("aria-pressed", held);
  $("hold").textContent = held ? "held" : "hold";
}

function onKey(event) {
  const far = event.shiftKey ? 10 : 1;
  const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
  if (moves[event.key]) {
    setHeld(true);
    moveTo(look.x + moves[event.key][0], look.y + moves[event.key][1]);
    speak();
  } else if (event.key === "," || event.key === "PageUp") goToStep(look.step - 1);
  else if (event.key === "." || event.key === "PageDown") goToStep(look.step + 1);
  else return;
  event.preventDefault();
}

function moveTo(x, y, typedInto = null) {
  look.x = Math.min(look.view.w - 1, Math.max(0, x));
  look.y = Math.min(look.view.h - 1, Math.max(0, y));
  drawPixel(typedInto);
}

// ---- the two pictures

function drawLook() {
  const { view, step } = look, agent = Math.min(look.channel, G - 1);
  paint($("picture"), view.w, view.h, pictureColors(view, step));
  $("scale").hidden = look.layer === "actions" || step === 0;
  $("legend").hidden = $("legend-hint").hidden = !$("scale").hidden;
  let text = "";
  if (step === 0) {
    paint($("map"), view.w, view.h, () => [241, 238, 231]);
    text = "No step yet.";
  } else if (look.layer === "actions") {
    drawActions();
    const whose = G > 1 ? ` of ${CHANNELS[agent]}` : "";
    text = `Each ${view.shrink > 1 ? "dot: the most frequent choice of its pixels" : "pixel in the colour of the operation that it chose"}${whose}.`;
  } else if (look.layer === "unsure") {
    paint($("map"), view.w, view.h, (i) => TABLES.unsure[view.unsure[(step - 1) * view.size + i]]);
    text = "How unsure the policy was.";
    $("scale").replaceChildren(colorbar("unsure", "0", MOST_BITS.toFixed(1), "entropy of the probabilities in bits; 0: certain, darkest: all operations alike"));
  } else {
    const value = look.layer === "change" ? (i) => changeAt(view, step, i) : (i) => rewardAt(view, step, i);
    const scale = largest(value, view.size), round = scale.toFixed(scale < 10 ? 1 : 0);
    paint($("map"), view.w, view.h, colorsOf(look.layer, value, scale));
    const words = look.layer === "change" ? "change in grey levels; blue: darker, orange: brighter"
      : "decrease of squared error, grey levels squared; brown: worse, turquoise: better";
    text = look.layer === "change" ? "What the step changed." : "Where the step helped, and where it hurt.";
    $("scale").replaceChildren(colorbar(look.layer, `−${round}`, `+${round}`, words));
  }
  const shrunk = view.shrink > 1 ? `, ${view.shrink} x ${view.shrink} pixels a dot` : "";
  const gain = data.psnr ? ` PSNR ${decibels(data.psnr[step])} dB${data.views.length > 1 ? ", whole picture" : ""}.` : "";
  $("picture-caption").replaceChildren(el("strong", {}, step === 0 ? "Input" : step === T ? `After step ${step}: the result` : `After step ${step}`), `${shrunk}.${gain}`);
  $("map-caption").replaceChildren(el("strong", {}, step === 0 ? "Map" : `Step ${step}, ${LAYERS[look.layer]}.`), ` ${text}`);
  $("picture").setAttribute("aria-label", step === 0 ? "The input picture" : `The picture after step ${step} of ${T}`);
  $("map").setAttribute("aria-label", `Map of step ${step}: ${LAYERS[look.layer]}. ${text}`);
  drawLegend();
  drawPixel();
}

function drawActions() {
  const { view, step } = look, agent = Math.min(look.channel, G - 1), alone = look.over ?? look.kept;
  const behind = alone !== null && luminance(COLORS[alone]) > 170 ? 45 : 248;  // light operations stand out on dark
  const colors = COLORS.map((rgb, i) => (alone === null || alone === i ? rgb : rgb.map((value) => Math.round(0.1 * value + 0.9 * behind))));
  paint($("map"), view.w, view.h, (i) => colors[actionAt(view, step, agent, i)]);
}

function startLegend() {
  for (const action of data.order) {
    const only = (over) => () => { look.over = over; if (look.step && look.layer === "actions") { drawActions(); drawLoupes(); } };
    $("legend").append(el("li", {}, el("button", {
      type: "button", "data-action": action, "aria-pressed": "false",
      pointerenter: only(action), pointerleave: only(null), focus: only(action), blur: only(null),
      click: () => { look.kept = look.kept === action ? null : action; drawLook(); },
    }, swatch(action), named(action), el("span", { class: "share" }))));
  }
}

function drawLegend() {
  $("legend-hint").textContent = look.step === 0 ? "The operations:"
    : `Share of all choices at step ${look.step}. Point at an operation to see where it was chosen; click to keep that view.`;
  for (const button of $("legend").querySelectorAll("button")) {
    const action = Number(button.dataset.action), share = look.step === 0 ? null : data.shares[look.step - 1][action];
    button.lastChild.textContent = share === null ? "" : percent(share);
    button.classList.toggle("unused", share === 0);
    button.setAttribute("aria-pressed", look.kept === action);
  }
}

// ---- one pixel

function drawPixel(typedInto = null) {
  const { view, x, y } = look, [x0, y0] = view.box;
  const stored = toStored([x0 + x * view.shrink, y0 + y * view.shrink]);
  // What is being typed stays: of a picture on its side, the other number may be the one that follows.
  for (const [i, id] of ["at-x", "at-y"].entries()) if (typedInto !== id) $(id).value = stored[i];
  for (const marker of document.querySelectorAll(".marker")) {
    marker.hidden = false;
    marker.style.left = `${(100 * (x + 0.5)) / view.w}%`;
    marker.style.top = `${(100 * (y + 0.5)) / view.h}%`;
  }
  drawLoupes();
  drawStory();
  drawOdds();
}

function drawLoupes() {
  const side = 13, zoom = 11, middle = 6;
  for (const name of ["picture", "map"]) {
    const from = $(name).shown, context = $(`loupe-${name}`).getContext("2d");
    for (let row = 0; row < side; row++) for (let column = 0; column < side; column++) {
      const x = look.x + column - middle, y = look.y + row - middle, at = 4 * (y * from.width + x);
      const inside = x >= 0 && y >= 0 && x < from.width && y < from.height;
      context.fillStyle = inside ? `rgb(${from.data[at]},${from.data[at + 1]},${from.data[at + 2]})` : "#f1eee7";
      context.fillRect(zoom * column, zoom * row, zoom, zoom);
    }
    context.lineWidth = 2;
    context.strokeStyle = "#000";
    context.strokeRect(zoom * middle - 2, zoom * middle - 2, zoom + 4, zoom + 4);
    context.strokeStyle = "#fff";
    context.strokeRect(zoom * middle, zoom * middle, zoom, zoom);
  }
}

/** What happened to the pixel, for the agent of the chosen channel. */
function drawStory() {
  const { view, channel } = look, agent = Math.min(channel, G - 1), i = look.y * view.w + look.x;
  const value = (t) => (workedOn(view, t, channel, i) / 10).toFixed(1);
  const rewards = Boolean(view.reference) && view.shrink === 1, odds = Boolean(view.percent);
  const row = (t, ...cells) => el("tr", { class: t === look.step ? "now" : undefined, "data-step": t },
    el("th", { scope: "row" }, t === 0 ? "" : `${t}`), ...cells);
  const rows = [row(0, el("td", {}, "input"), el("td", { class: "number" }, value(0)),
    ...(odds ? [el("td")] : []), ...(rewards ? [el("td")] : []))];
  for (let t = 1; t <= T; t++) {
    const action = actionAt(view, t, agent, i);
    rows.push(row(t, el("td", {}, swatch(action, true), named(action)), el("td", { class: "number" }, value(t)),
      ...(odds ? [el("td", { class: "number" }, `${percentAt(view, t, action, agent, i)} %`)] : []),
      ...(rewards ? [el("td", { class: "number" }, signed(rewardAt(view, t, i, channel), 0))] : [])));
  }
  const head = ["step", el("th", { scope: "col" }, "operation"), "value", ...(odds ? ["prob."] : []), ...(rewards ? ["reward"] : [])];
  const clean = rewards ? ` The clean value is ${(cleanOf(view, channel, i) / 10).toFixed(1)}.` : "";
  const dot = view.shrink > 1 ? `Mean of ${view.shrink} x ${view.shrink} pixels: v` : "V";
  $("story").replaceChildren(table(`${dot}alues${C > 1 ? ` of ${CHANNELS[channel]}` : ""} after each step, in grey levels.${clean}`, head, rows));
}

function drawOdds() {
  const { view, channel } = look, agent = Math.min(channel, G - 1), i = look.y * view.w + look.x;
  if (!view.percent || T === 0) {
    const why = data.doubt ? "The policy's probabilities are not shown; the notice above says why."
      : T === 0 ? "" : "Probabilities are kept for the region only, not for the whole picture.";
    $("odds").replaceChildren(el("p", { class: "hint" }, why));
    return;
  }
  const steps = Array.from({ length: T }, (_, k) => k + 1);
  const rows = data.order.map((action) => el("tr", {}, el("th", { scope: "row" }, swatch(action, true), named(action)),
    ...steps.map((t) => {
      const p = percentAt(view, t, action, agent, i), chosen = actionAt(view, t, agent, i) === action;
      return el("td", {
        class: chosen ? "chosen" : undefined, "aria-label": `${p} percent${chosen ? ", chosen" : ""}`,
        style: `background:rgb(11 92 107 / ${Math.round(0.85 * p)}%);color:${p > 55 ? "#fff" : p ? "inherit" : "#a8a399"}`,
      }, p ? `${p}` : "·");
    })));
  const bits = steps.map((t) => el("td", {}, bitsAt(view, t, i).toFixed(1)));
  rows.push(el("tr", { class: "bits" }, el("th", { scope: "row" }, "unsure, bits"), ...bits));
  $("odds").replaceChildren(table("Probabilities in percent, by step; the choice is outlined.", ["", ...steps.map(String)], rows));
}

function speak() {
  const { view, step, channel } = look, i = look.y * view.w + look.x, agent = Math.min(channel, G - 1);
  const value = (workedOn(view, step, channel, i) / 10).toFixed(1);
  $("spoken").textContent = `x ${$("at-x").value}, y ${$("at-y").value}: ${step ? `${NAMES[actionAt(view, step, agent, i)]}, ` : ""}value ${value}`;
}
