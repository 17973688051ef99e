// The sections below: shares, steps, worth, what if, notes. Then everything is started.

const svg = (tag, attributes, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const indexOfMost = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
const many = () => (G > 1 ? "agents (one per channel of every pixel)" : "pixels");

function startText() {
  const told = Object.entries(data.condition).map(([name, value]) => `, told ${name} ${Number(value.toFixed(2))}`).join("")
    + (data.legibility === null ? "" : `, told legibility ${Number(data.legibility.toFixed(2))} (0: best quality, 1: plainest maps)`);
  const gain = data.psnr && data.psnr[0] !== null && data.psnr[T] !== null
    ? ` PSNR went from ${decibels(data.psnr[0])} to ${decibels(data.psnr[T])} dB.` : "";
  const [x0, y0, x1, y1] = data.views[0].box;
  const part = data.views.length > 1 ? ` Pixel by pixel, this page shows a region of ${x1 - x0} × ${y1 - y0}.` : "";
  const shown = data.channels === 3 ? "colour" : data.channels === 1 ? "grey" : `${data.channels}-channel`;
  $("lede").append(el("strong", {}, data.policy),
    ` worked on a ${shown} picture of ${data.width} × ${data.height} pixels in ${plural(T, "step")}${told}. `
    + `At each step every ${G > 1 ? "channel of every pixel" : "pixel"} chose one of ${plural(N, "operation")}.${gain}${part}`);
  for (const section of document.querySelectorAll("main section:not([hidden])"))
    $("sections").append(el("a", { href: `#${section.id}` }, section.querySelector("h2").textContent.replace("?", "")));
}

// ---- shares

function startShares() {
  if (T === 0) {
    $("when-text").textContent = "There was no step: the result is the input.";
    return;
  }
  const first = indexOfMost(data.shares[0]), last = indexOfMost(data.shares[T - 1]);
  $("when-text").textContent = `At the first step ${NAMES[first]} was chosen most (${percent(data.shares[0][first])}), `
    + `at the last ${NAMES[last]} (${percent(data.shares[T - 1][last])}). Each column holds the choices of all ${many()}.`;
  const draw = () => $("share-chart").replaceChildren(shareChart($("share-chart").clientWidth));
  draw();
  window.addEventListener("resize", draw);
  const rows = data.order.map((action) => [el("th", { scope: "row" }, swatch(action, true), named(action)),
    ...data.shares.map((row) => percent(row[action]))]);
  $("share-table").append(table("Share of all choices", ["operation", ...data.shares.map((_, t) => `step ${t + 1}`)], rows, "wide"));
}

function shareChart(room) {
  const height = 320, left = 46, top = 8, gap = T > 12 ? 4 : room > 900 ? 24 : 12;
  const column = Math.max(3, Math.min(196, (room - left) / T - gap)), right = left + T * (column + gap);
  const chart = svg("svg", { width: right, height: height + 34, role: "img", "aria-label": "Share of every operation at every step; the numbers are in the table below" });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const y = top + height * (1 - share);
    chart.append(svg("line", { x1: left - 6, x2: right, y1: y, y2: y, stroke: "#e3dfd6" }),
      svg("text", { x: left - 12, y: y + 4, "text-anchor": "end", fill: "#66625a" }, `${100 * share} %`));
  }
  data.shares.forEach((row, t) => {
    const x = left + t * (column + gap) + gap / 2;
    let y = top + height;
    for (const action of [...data.order].reverse()) {
      const tall = height * row[action];
      if (tall === 0) continue;
      y -= tall;
      const words = `${NAMES[action]}\u2002${percent(row[action])}`;
      const part = svg("g", {}, svg("title", {}, `step ${t + 1}: ${words}`),
        svg("rect", { x, y, width: column, height: Math.max(0.4, tall - (tall > 3 ? 1 : 0)), fill: data.actions[action].color, stroke: "rgb(0 0 0 / 18%)", "stroke-width": 0.5 }));
      const label = column > 150 ? words : column > 84 ? NAMES[action] : "";
      if (tall > 14 && label) part.append(svg("text", { x: x + 8, y: y + tall / 2 + 3.5, "font-size": 11.5, fill: luminance(COLORS[action]) < 140 ? "#fff" : "#1d1c1a" }, label));
      chart.append(part);
    }
    if (T <= 24 || (t + 1) % 5 === 0)
      chart.append(svg("text", { x: x + column / 2, y: top + height + 20, "text-anchor": "middle", fill: "#1d1c1a" }, T > 10 ? `${t + 1}` : `step ${t + 1}`));
  });
  return chart;
}

// ---- steps

function startSteps() {
  if (T === 0) {
    $("steps-section").hidden = true;
    return;
  }
  const means = data.changes.map((change) => change.mean), most = indexOfMost(means);
  $("steps-text").textContent = `Step ${most + 1} changed the picture most: by ${means[most].toFixed(1)} grey levels on average, in `
    + `${percent(data.changes[most].share)} of its pixels.`
    + (data.entropy ? ` The policy was least sure at step ${indexOfMost(data.entropy) + 1}.` : "")
    + (data.bits.includes(null) ? "" : ` To write all maps down takes ${data.bits.reduce((sum, value) => sum + value, 0).toFixed(1)} bits per pixel.`);
  const bar = (value, text, scale) => el("td", { class: "barcell" }, el("span", { class: "value" }, text),
    el("i", { class: "bar", style: `width:${Math.max(0, (45 * value) / (scale || 1)).toFixed(1)}%` }));
  const rows = data.changes.map((change, t) => el("tr", { class: t === most ? "most" : undefined },
    el("th", { scope: "row" }, `${t + 1}`),
    bar(change.mean, change.mean.toFixed(2), Math.max(...means)),
    bar(change.share, percent(change.share), 1),
    bar(data.alike[t] ?? 0, data.alike[t] === null ? "–" : percent(data.alike[t]), 1),
    bar(data.bits[t] ?? 0, data.bits[t] === null ? "–" : data.bits[t].toFixed(2), Math.max(...data.bits)),
    ...(data.entropy ? [bar(data.entropy[t], data.entropy[t].toFixed(2), MOST_BITS)] : []),
    ...(data.psnr ? [el("td", { class: "number" }, decibels(data.psnr[t + 1])), el("td", { class: "number" }, gainOf(t))] : [])));
  const head = ["step", el("th", { scope: "col" }, "mean change, grey levels"), el("th", { scope: "col" }, "pixels changed"),
    el("th", { scope: "col" }, "neighbours that agree"), el("th", { scope: "col" }, "bits per pixel of the map"),
    ...(data.entropy ? [el("th", { scope: "col" }, `mean entropy, bits (at most ${MOST_BITS.toFixed(1)})`)] : []), ...(data.psnr ? ["PSNR, dB", "gain, dB"] : [])];
  $("step-table").append(table("", head, rows, "wide"));
}

const gainOf = (t) => (data.psnr[t] === null || data.psnr[t + 1] === null ? "–" : signed(data.psnr[t + 1] - data.psnr[t], 2));

// ---- worth

function startWorth() {
  if (!data.worth || T === 0) return;
  $("worth").hidden = false;
  const finite = data.worth.every((row) => row.every((value) => value !== null));
  if (!finite) {
    $("worth-text").textContent = "The picture equals the clean one before or after some step, so the gain in dB is infinite and cannot be shared out.";
    return;
  }
  const totals = NAMES.map((_, action) => data.worth.reduce((sum, row) => sum + row[action], 0));
  const gain = totals.reduce((sum, value) => sum + value, 0);
  const used = data.order.filter((action) => data.shares.some((row) => row[action] > 0)).sort((a, b) => totals[b] - totals[a]);
  $("worth-text").textContent = `From ${decibels(data.psnr[0])} to ${decibels(data.psnr[T])} dB, a ${gain > 0 ? "gain" : "loss"} of `
    + `${Math.abs(gain).toFixed(2)} dB. ${gain > 0 ? gainSaid(totals, gain) : ""}`;
  const low = Math.min(0, ...totals), high = Math.max(0, ...totals), span = high - low || 1, zero = (-100 * low) / span;
  const rows = used.map((action) => {
    const value = totals[action], length = (100 * Math.abs(value)) / span;
    const bar = el("i", { style: `background:${data.actions[action].color};left:${value < 0 ? zero - length : zero}%;width:${Math.max(0.4, length)}%` });
    return [el("th", { scope: "row" }, swatch(action, true), named(action)), el("td", { class: "grow" }, el("div", { class: "diverging", style: `--zero:${zero}%` }, bar)),
      signed(value, 2), ...data.worth.map((row, t) => (data.shares[t][action] ? signed(row[action], 2) : "–"))];
  });
  rows.push(el("tr", { class: "total" }, el("th", { scope: "row" }, "all"), el("td"), el("td", { class: "number" }, signed(gain, 2)),
    ...data.worth.map((_, t) => el("td", { class: "number" }, gainOf(t)))));
  const head = ["operation", el("th"), "dB", ...data.worth.map((_, t) => `step ${t + 1}`)];
  $("worth-table").append(table("", head, rows, "wide"));
}

/** With which operations the gain came. */
function gainSaid(totals, gain) {
  const [first, second] = NAMES.map((_, action) => action).sort((a, b) => totals[b] - totals[a]);
  const named = (action) => `${NAMES[action]} (${signed(totals[action], 2)} dB)`;
  if (totals[first] > gain / 2) return `Most of it came with ${named(first)}.`;
  return `No operation brought half of it; the largest parts came with ${named(first)} and ${named(second)}.`;
}

// ---- what if

async function startWhatIf() {
  const view = data.views[0], where = data.views.length > 1 ? " in the region" : "";
  if (!data.without.length) {
    $("what-if-body").hidden = true;
    $("what-if-text").textContent = NAMES.includes("do nothing") ? "No operation but “do nothing” was chosen."
      : "The operations do not include “do nothing”, so there is nothing to put in the place of another.";
    return;
  }
  $("what-if-text").textContent = "Every agent that chose the operation does nothing instead, at every step; all others do what they did, and nobody reacts. "
    + "(A policy without the operation would choose another in its place, so this usually overstates the loss.) "
    + `Beside each operation: ${data.psnr ? "by how much PSNR would differ" : "the mean difference in grey levels"}${where} without it.`;
  const effect = (entry) => (entry.psnr === undefined || entry.psnr === null || entry.psnr_with === null ? null : entry.psnr - entry.psnr_with);
  const sorted = [...data.without].sort((a, b) => (effect(a) ?? 0) - (effect(b) ?? 0) || b.mean - a.mean);
  for (const entry of sorted) {
    const loss = effect(entry), text = loss === null ? entry.mean.toFixed(2) : `${signed(loss, 2)} dB`;
    const input = el("input", { type: "radio", name: "without", value: entry.action, change: () => showWithout(view, entry, effect(entry)) });
    $("without").append(el("label", {}, input, swatch(entry.action), named(entry.action), el("span", { class: "effect" }, text)));
  }
  $("without").querySelector("input").checked = true;
  await showWithout(view, sorted[0], effect(sorted[0]));
}

async function showWithout(view, entry, loss) {
  if (!entry.values) entry.values = Promise.all([unpack(entry.difference), entry.shown ? unpack(entry.shown) : null]);
  const [difference, shown] = await entry.values, name = NAMES[entry.action], result = pictureColors(view, T);
  const difference3 = (i, k) => difference[(C === 3 ? k : 0) * view.size + i];
  paint($("result"), view.w, view.h, result);
  paint($("other"), view.w, view.h, shown ? planeColors(shown, view.size) : (i) => result(i).map((value, k) => Math.min(255, Math.max(0, value + difference3(i, k)))));
  const mean = (i) => { let sum = 0; for (let c = 0; c < C; c++) sum += difference[c * view.size + i]; return sum / C; };
  const scale = largest((i) => mean(i), view.size);
  paint($("difference"), view.w, view.h, colorsOf("change", mean, scale));
  $("result-caption").replaceChildren(el("strong", {}, "Result"), entry.psnr_with ? `, ${decibels(entry.psnr_with)} dB` : "");
  $("other-caption").replaceChildren(el("strong", {}, `Without ${name}`), loss === null ? "" : `, ${decibels(entry.psnr)} dB`);
  $("difference-caption").replaceChildren(el("strong", {}, "Difference"),
    `, ${entry.mean.toFixed(2)} grey levels on average; ${percent(entry.share)} of the pixels differ.`);
  $("difference-scale").replaceChildren(colorbar("change", `−${scale.toFixed(0)}`, `+${scale.toFixed(0)}`, "grey levels; orange: brighter without it"));
  $("result").setAttribute("aria-label", "The result");
  $("other").setAttribute("aria-label", `The result if every ${name} had been do nothing`);
  $("difference").setAttribute("aria-label", `Difference: mean ${entry.mean.toFixed(2)} grey levels, ${percent(entry.share)} of the pixels`);
  sharpen();
}

// ---- notes

function startNotes() {
  const [[x0, y0], [x1, y1]] = storedCorners(data.views[0].box), notes = [];
  if (data.orientation !== 1) notes.push("The photo is shown upright, as its orientation tag asks. Coordinates count the pixels as they are stored in the file, as edits and the --region of explain do.");
  if (data.profile) notes.push("Pictures are shown in sRGB, by the colour profile of the file. Values are those of the file, which the operations work on.");
  if (data.views.length > 1) notes.push(`The picture is large. Pixel by pixel, this page shows the region x ${x0} to ${x1}, y ${y0} to ${y1}; of the whole it shows an `
    + `overview in which a dot stands for ${data.views[1].shrink} x ${data.views[1].shrink} pixels (their mean value, their most frequent choice). `
    + "Shares, changes, entropy, PSNR and worth count the whole picture; “what if” counts the region, replayed with a margin as wide as the filters reach.");
  if (data.doubt) notes.push(data.doubt);
  else if (data.agreement !== null) notes.push("A trace records what was done, not what else was considered. The probabilities were computed again for this page: the policy was "
    + `asked at every step, on the recorded picture. Its favourite was the recorded choice in ${(100 * data.agreement).toFixed(data.agreement > 0.9995 ? 0 : 1)} % of the cases`
    + (data.agreement > 0.995 ? "." : "; where it was not, the trace was edited, sampled, or made by another version of the policy."));
  if (data.psnr === null) notes.push("No clean picture was given (--reference), so this page says what was done, and not whether it was right: no PSNR, rewards or worth.");
  notes.push("Values are in grey levels from 0 to 255, rounded to a tenth; between steps they are not clipped, so they may lie outside."
    + (data.entropy ? " Probabilities are rounded to whole percents." : ""));
  notes.push("A pixel counts as changed if its value moved by at least 0.05 grey levels."
    + (data.entropy ? ` Entropy is 0 bits where the policy was certain and ${MOST_BITS.toFixed(1)} where all ${N} operations seemed alike to it; being unsure between two that do nearly the same costs nothing.` : ""));
  notes.push("Bits per pixel say how much there is to read in a map: what it takes to write down the operation of a pixel if those of its left "
    + "and upper neighbours are known. 0 is one operation everywhere; a map in which every pixel differs from the next for no visible reason takes 2 and more.");
  notes.push("Everything on this page is in this one file. It loads nothing and sends nothing.");
  for (const note of notes) $("notes").append(el("li", {}, note));
}

async function start() {
  if (typeof DecompressionStream === "undefined") throw new Error("this browser cannot inflate data; use one of 2023 or later");
  startShares();
  startSteps();
  startWorth();
  startNotes();
  startText();
  await Promise.all(data.views.map(unpackView));
  startLook();
  await startWhatIf();
  if (data.doubt) {
    $("notice").hidden = false;
    $("notice").textContent = data.doubt;
  }
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  $("notice").hidden = false;
  $("notice").textContent = `The page could not be drawn: ${error.message}.`;
});
