"use strict";
// All text of rows goes through textContent: nothing that a row says is ever read as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const number = new Intl.NumberFormat("en-US");
const format = (value, digits = 0) => value == null ? "–" : new Intl.NumberFormat("en-US", { maximumFractionDigits: digits }).format(value);
const short = (value) => value == null ? "–" : value < 10000 ? format(value) : new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(value);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) name === "class" ? (element.className = value) : element.setAttribute(name, value);
  element.append(...children.filter((child) => child != null));
  return element;
}
function draw(tag, attributes = {}, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text != null) element.textContent = text;
  return element;
}
function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 90) return format(seconds, seconds < 10 ? 1 : 0) + " s";
  if (seconds < 5400) return format(seconds / 60, 1) + " min";
  return format(seconds / 3600, 1) + " h";
}
const plural = (count, word) => `${format(count)} ${word}${count === 1 ? "" : "s"}`;
const codeOf = (reason) => reason.split(":")[0];
const isDoubt = (reason) => codeOf(reason) === "infrastructure" || doubtful.has(reason);
const doubtful = new Set(data.rows.filter((row) => row.verdict === "undecided").map((row) => row.reason));

// ---------------------------------------------------------------- head
$("run-name").textContent = data.name;
$("run-state").textContent = data.totals.complete ? "complete" : "unfinished";
if (!data.totals.complete) $("run-state").classList.add("open");

function tiles() {
  const totals = data.totals;
  const share = totals.rows_in ? (100 * totals.accepted) / totals.rows_in : null;
  const entries = [
    ["", short(totals.rows_in), "rows in"],
    ["kept", short(totals.accepted), "accepted" + (share == null ? "" : ` · ${format(share, 1)} % of rows in`)],
    ["drop", short(totals.rejected), "rejected, with a reason"],
    ["doubt", short(totals.undecided), "undecided"],
    ["", totals.tokens ? short(totals.tokens) : "–", "tokens"],
    ["", duration(totals.seconds), "of work"],
  ];
  for (const [kind, value, label] of entries) $("tiles").append(make("div", { class: "tile " + kind }, make("b", {}, value), make("span", {}, label)));
}

// ---------------------------------------------------------------- Sankey
function sankey() {
  const steps = data.steps.filter((step) => step.has_rows && step.stage !== "publish");
  if (!steps.length) return;
  const byName = new Map(steps.map((step) => [step.name, step]));
  const depth = new Map();
  for (const step of steps) depth.set(step.name, Math.max(-1, ...step.inputs.filter((n) => byName.has(n)).map((n) => depth.get(n))) + 1);
  const columns = [];
  for (const step of steps) (columns[depth.get(step.name)] ||= []).push(step);
  const width = Math.max(900, 130 * columns.length + 120), barWidth = 9, left = 8, right = 120;
  const gap = (width - left - right) / Math.max(1, columns.length);
  const room = 210, dropGap = 74;
  const most = Math.max(...columns.map((column) => column.reduce((sum, step) => sum + step.rows, 0)));
  const scale = most ? room / most : 0;
  const thick = (rows) => (rows ? Math.max(1.5, rows * scale) : 0);
  const svg = draw("svg", { role: "img", "aria-label": "Sankey diagram of the funnel; the table below holds the same numbers" });
  const bands = draw("g"), nodes = draw("g"), labels = draw("g");
  let bottom = 0;
  const place = new Map();
  columns.forEach((column, index) => {
    let y = 54;
    for (const step of column) {
      const height = Math.max(2, thick(step.rows));
      place.set(step.name, { x: left + index * gap, y, height, out: y, enter: y });
      y += height + dropGap + 60;
    }
  });
  const tip = (element, text) => { element.append(draw("title", {}, text)); return element; };
  const ribbon = (x0, y0, x1, y1, h0, h1, kind, text) => {
    const middle = (x0 + x1) / 2;
    const path = `M${x0},${y0}C${middle},${y0} ${middle},${y1} ${x1},${y1}L${x1},${y1 + h1}C${middle},${y1 + h1} ${middle},${y0 + h0} ${x0},${y0 + h0}Z`;
    bands.append(tip(draw("path", { d: path, class: "band " + kind }), text));
  };
  for (const step of steps) {
    const at = place.get(step.name);
    const readers = steps.filter((other) => other.inputs.includes(step.name));
    nodes.append(tip(draw("rect", { x: at.x, y: at.y, width: barWidth, height: at.height, rx: 2, class: "node" }), `${step.name}: ${format(step.rows)} rows in`));
    labels.append(draw("text", { x: at.x, y: at.y - 24, "font-size": 13, "font-weight": 620 }, step.name + (step.recorded ? " ◦" : "")));
    labels.append(draw("text", { x: at.x, y: at.y - 8, "font-size": 12, class: "soft" }, format(step.rows)));
    // What goes on leaves at the top, what is dropped falls away beneath it.
    const kept = thick(step.accepted);
    if (readers.length) {
      // Readers that share the rows out leave one under the other; readers that all take everything leave together.
      const shares = readers.map((reader) => Math.min(step.accepted, reader.rows));
      const apart = shares.reduce((sum, rows) => sum + rows, 0) <= step.accepted;
      let leave = at.y;
      readers.forEach((reader, index) => {
        const to = place.get(reader.name), h = thick(shares[index]);
        ribbon(at.x + barWidth, leave, to.x, to.enter, h, h, "", `${step.name} → ${reader.name}: ${format(shares[index])} rows`);
        to.enter += h;
        if (apart) leave += h;
      });
    } else {
      ribbon(at.x + barWidth, at.y, at.x + gap - 14, at.y, kept, kept, "", `${step.name}: ${format(step.accepted)} accepted`);
      labels.append(draw("text", { x: at.x + gap - 8, y: at.y + kept / 2 + 1, "font-size": 15, "font-weight": 680, "dominant-baseline": "middle" }, format(step.accepted)));
      labels.append(draw("text", { x: at.x + gap - 8, y: at.y + kept / 2 + 17, "font-size": 11, class: "soft", "dominant-baseline": "middle" }, "accepted"));
    }
    let from = at.y + kept, sink = at.y + at.height + 40, x1 = at.x + gap * 0.5;
    for (const [kind, rows] of [["drop", step.rejected], ["doubt", step.undecided]]) {
      if (!rows) continue;
      const h = thick(rows);
      ribbon(at.x + barWidth, Math.min(from, at.y + at.height - h), x1, sink, h, h, kind, `${step.name}: ${format(rows)} ${kind === "drop" ? "rejected" : "undecided"}\n` + Object.entries(step.reasons).filter(([r]) => isDoubt(r) === (kind === "doubt")).slice(0, 8).map(([r, n]) => `${r}  ${format(n)}`).join("\n"));
      nodes.append(draw("rect", { x: x1, y: sink, width: 4, height: Math.max(h, 1.5), rx: 1.5, class: "node " + kind }));
      labels.append(draw("text", { x: x1 + 9, y: sink + h / 2 + 1, "font-size": 12, "dominant-baseline": "middle", class: "soft" }, "−" + format(rows)));
      from += h; sink += Math.max(h, 12) + 6;
    }
    bottom = Math.max(bottom, sink, at.y + at.height);
  }
  svg.setAttribute("viewBox", `0 14 ${width} ${bottom}`);
  svg.append(bands, nodes, labels);
  $("sankey").append(svg);
  const legend = make("div", { class: "legend" });
  for (const [kind, text] of [["", "goes on"], ["drop", "rejected"]]) legend.append(make("span", {}, make("i", { class: kind }), text));
  const doubt = make("i"); doubt.style.background = "var(--doubt)"; legend.append(make("span", {}, doubt, "undecided"));
  if (data.steps.some((step) => step.recorded)) legend.append(make("span", {}, "◦ recorded answers were replayed, no model ran"));
  $("sankey").append(legend);
}

function funnelTable() {
  const table = $("funnel-table");
  const head = ["step", "rows in", "kept", "%", "rejected", "undecided", "tokens", "seconds", "reasons"];
  table.append(make("thead", {}, make("tr", {}, ...head.map((text) => make("th", text === "reasons" ? { class: "why" } : {}, text)))));
  const body = make("tbody");
  for (const step of data.steps) {
    const name = make("td", {}, step.name, step.recorded ? make("span", { class: "tag" }, "recorded") : null, step.complete ? null : make("span", { class: "tag" }, "so far"));
    const cells = step.has_rows
      ? [format(step.rows), format(step.accepted), step.rows ? format((100 * step.accepted) / step.rows, 1) : "–", format(step.rejected), format(step.undecided)]
      : ["–", "–", "–", "–", "–"];
    cells.push(step.tokens ? format(step.tokens) : "–", step.seconds == null ? "–" : format(step.seconds, 1));
    const why = Object.entries(step.reasons).slice(0, 4).map(([reason, rows]) => `${reason} ${format(rows)}`).join(", ");
    body.append(make("tr", {}, name, ...cells.map((text) => make("td", {}, text)), make("td", { class: "why" }, why)));
  }
  table.append(body);
}

// ---------------------------------------------------------------- reasons
function bar(label, parts, total, most, kind, onclick) {
  const track = make("span", { class: "track" });
  for (const [title, rows] of parts) {
    const fill = make("span", { class: "fill", title: `${title}: ${format(rows)}` });
    fill.style.width = `${Math.max(0.4, (100 * rows) / most)}%`;
    track.append(fill);
  }
  const element = make(onclick ? "button" : "div", { class: "bar " + kind, title: label, ...(onclick ? { type: "button" } : {}) }, make("code", {}, label), track, make("span", { class: "n" }, format(total)));
  if (onclick) element.addEventListener("click", onclick);
  return element;
}
function reasons() {
  const entries = Object.entries(data.reasons).map(([reason, steps]) => [reason, Object.entries(steps), Object.values(steps).reduce((a, b) => a + b, 0)]).sort((a, b) => b[2] - a[2]);
  const box = $("reason-bars");
  if (!entries.length) return box.append(make("p", { class: "empty" }, "No row was dropped."));
  const most = entries[0][2];
  for (const [reason, parts, total] of entries.slice(0, 20)) {
    box.append(bar(reason, parts, total, most, isDoubt(reason) ? "doubt" : "", () => { browse({ reason }); }));
  }
  if (entries.length > 20) box.append(make("p", { class: "note" }, `and ${plural(entries.length - 20, "rarer reason")}, all in the rows below`));
}

// ---------------------------------------------------------------- histograms
function histogram(box, title, series, axis, note) {
  const width = 420, height = 150, base = 122, top = 6;
  const shares = series.map(([, made]) => made.counts.map((count) => (made.n ? count / made.n : 0)));
  const most = Math.max(0.0001, ...shares.flat());
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, width: "100%" });
  const bins = series[0][1].counts.length, step = width / bins;
  svg.append(draw("line", { x1: 0, x2: width, y1: base, y2: base, stroke: "var(--line)" }));
  series.forEach(([name, made, colour], index) => {
    shares[index].forEach((share, bin) => {
      if (!share) return;
      const h = Math.max(1, (base - top) * (share / most)), slot = Math.min(26, (step - 2) / series.length);
      const start = bin * step + (step - slot * series.length) / 2; // narrow bars stand in the middle of a wide bin
      const rect = draw("rect", { x: start + index * slot, y: base - h, width: Math.max(1, slot - (series.length > 1 ? 0.5 : 0)), height: h, rx: 1.5, fill: `var(--${colour})` });
      rect.append(draw("title", {}, `${name}: ${format(made.counts[bin])} (${format(100 * share, 1)} %)`));
      svg.append(rect);
    });
  });
  const made = series[0][1];
  for (const share of [0, 0.5, 1]) {
    const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
    const counted = Math.abs(made.low % 1) === 0.5, whole = counted && made.high - made.low === bins; // one bin per whole number
    if (whole && bins < 3 && share === 0.5) continue;
    const value = counted ? Math.round(made.low + 0.5 + share * (made.high - made.low - 1)) : made.low + share * (made.high - made.low);
    const x = whole ? step / 2 + share * (width - step) : share * width;
    svg.append(draw("text", { x, y: 140, "font-size": 12, "text-anchor": whole ? "middle" : anchor, class: "faint" }, axis(value) + (share === 1 && series.length > 1 ? "+" : "")));
  }
  const legend = make("div", { class: "legend" });
  for (const [name, item, colour] of series) {
    if (!item.n) continue;
    const middle = item.p50 == null ? "" : ` · median ${note(item.p50)}, 99 % below ${note(item.p99)}`;
    legend.append(make("span", {}, make("i", { class: { kept: "", drop: "drop", accent: "plain" }[colour] }), `${name} (${format(item.n)})${middle}`));
  }
  box.append(make("figure", { class: "card" }, make("h3", {}, title), svg, legend));
}
function shape() {
  const box = $("histograms");
  const plain = (value) => format(value, Math.abs(value) < 10 ? 2 : 0);
  for (const [title, made] of Object.entries({ ...data.lengths, ...data.difficulty })) {
    if (made.kept) histogram(box, title, [["kept", made.kept, "kept"], ["dropped", made.dropped, "drop"]], plain, plain);
  }
  if (data.distance.counts) histogram(box, "nearest seed of generated problems (cosine of word pairs)", [["problems", data.distance, "accent"]], plain, plain);
  const diversity = Object.entries(data.diversity);
  if (diversity.length) {
    const list = make("dl", { class: "facts" });
    for (const [name, value] of diversity) list.append(make("dt", {}, name), make("dd", {}, format(value, Number.isInteger(value) ? 0 : 3)));
    box.append(make("div", { class: "card" }, make("h3", {}, "Diversity of accepted rows"), list));
  }
  if (data.patterns.programs) {
    const { programs, patterns, skeletons, commonest } = data.patterns;
    const card = make("div", { class: "card" }, make("h3", {}, `What ${plural(programs, "accepted program")} are made of`));
    for (const [name, count] of Object.entries(patterns).filter(([, n]) => n).sort((a, b) => b[1] - a[1]).slice(0, 12)) {
      const item = bar(name, [[name, count]], count, programs, "small wide kept");
      item.lastChild.textContent = `${format((100 * count) / programs)} %`;
      card.append(item);
    }
    card.append(make("p", { class: "note small" }, `${plural(skeletons, "distinct syntax tree")} by node types; the commonest is that of ${plural(commonest, "program")}.`));
    box.append(card);
  }
  if (data.imports.programs) {
    const card = make("div", { class: "card" }, make("h3", {}, `Imports of ${plural(data.imports.programs, "accepted program")}`));
    const entries = [["none", data.imports.none], ...Object.entries(data.imports.modules)].filter(([, n]) => n).sort((a, b) => b[1] - a[1]).slice(0, 9);
    for (const [module, count] of entries) card.append(bar(module, [[module, count]], count, entries[0][1], "small kept"));
    box.append(card);
  }
  if (data.sources.length) {
    const sums = new Map();
    for (const [source, licence, , rows] of data.sources) { const key = (source || "generated program") + (licence ? ` · ${licence}` : ""); sums.set(key, (sums.get(key) || 0) + rows); }
    const entries = [...sums].sort((a, b) => b[1] - a[1]).slice(0, 9);
    const card = make("div", { class: "card" }, make("h3", {}, "Sources and licences of accepted rows"));
    for (const [name, rows] of entries) { card.append(bar(name, [[name, rows]], rows, entries[0][1], "small kept above")); }
    box.append(card);
  }
}
// ---------------------------------------------------------------- map and contamination
const COLOURS = ["#2f7ed8", "#0d9a82", "#c4523a", "#b07d12", "#8a55c9", "#4f9d3a", "#c2467f", "#5b6f8a", "#d9822b", "#2aa3b8", "#8c6d5a", "#6a7f1f"];
function map() {
  const { points, clusters, method } = data.map;
  if (!points) return;
  $("map").hidden = false;
  const width = 720, height = 520, edge = 16;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Map of ${plural(points.length, "problem")} in ${plural(clusters.length, "cluster")}` });
  const byId = new Map(data.rows.map((row) => [row.id, row]));
  for (const [x, y, cluster, id] of points) {
    const row = byId.get(id);
    const dot = draw("circle", { cx: edge + x * (width - 2 * edge), cy: edge + y * (height - 2 * edge), r: points.length > 400 ? 3.6 : 4.6, class: "dot", fill: COLOURS[cluster % COLOURS.length], "data-cluster": cluster });
    if (row) {
      dot.append(draw("title", {}, (row.problem || "").slice(0, 300)));
      dot.addEventListener("click", () => browse({}, id));
    }
    svg.append(dot);
  }
  const light = (cluster) => { for (const dot of svg.querySelectorAll(".dot")) dot.classList.toggle("dim", cluster != null && Number(dot.dataset.cluster) !== cluster); };
  clusters.forEach(({ words, rows }, cluster) => {
    const swatch = make("i");
    swatch.style.background = COLOURS[cluster % COLOURS.length];
    const item = make("li", { tabindex: "0" }, swatch, make("span", {}, words.join(", ") || "no common word"), make("small", {}, format(rows)));
    item.addEventListener("mouseenter", () => light(cluster));
    item.addEventListener("focus", () => light(cluster));
    item.addEventListener("mouseleave", () => light(null));
    item.addEventListener("blur", () => light(null));
    $("map-legend").append(item);
  });
  $("map-plot").append(svg, make("p", { class: "note small" }, `${plural(points.length, "problem")}; vectors: ${method}; t-SNE and k-means.`));
}
function contamination() {
  const { steps, benchmarks, examples } = data.contamination;
  if (!benchmarks) return;
  $("contamination").hidden = false;
  const entries = Object.entries(benchmarks).map(([name, kinds]) => [name, Object.entries(kinds), Object.values(kinds).reduce((a, b) => a + b, 0)]).sort((a, b) => b[2] - a[2]);
  const total = entries.reduce((sum, [, , n]) => sum + n, 0);
  $("contamination-lead").textContent = `${steps.length ? `Checked by ${steps.join(", ")}: ` : ""}${total ? `${plural(total, "row")} met an item of a benchmark; certain matches are rejected, borderline ones undecided.` : "no row met an item of a benchmark."}`;
  if (!total) return;
  const counts = make("div", { class: "card" }, make("h3", {}, "Rows per benchmark"));
  for (const [name, kinds, n] of entries) counts.append(bar(name, kinds, n, entries[0][2], "small"));
  const found = make("div", { class: "card" }, make("h3", {}, "What matched"));
  for (const { id, item, kind, span } of examples.slice(0, 8)) {
    const quote = make("button", { class: "quote", type: "button" }, make("span", {}, make("span", { class: "pill" }, kind), make("small", { class: "note" }, ` ${item}`)), make("q", {}, span));
    quote.addEventListener("click", () => browse({}, id));
    found.append(quote);
  }
  $("contamination-cards").append(counts, found);
}
function costs() {
  const box = $("costs");
  const panels = [["Seconds per step", (step) => step.seconds, (v) => duration(v)], ["Tokens per step", (step) => step.tokens || null, (v) => short(v)]];
  for (const [title, pick, show] of panels) {
    const entries = data.steps.map((step) => [step.name, pick(step)]).filter(([, value]) => value != null);
    if (!entries.length) continue;
    const most = Math.max(...entries.map(([, value]) => value)) || 1;
    const card = make("div", { class: "card" }, make("h3", {}, title));
    for (const [name, value] of entries) { const item = bar(name, [[name, value]], value, most, "small plain"); item.lastChild.textContent = show(value); card.append(item); }
    box.append(card);
  }
  if (data.runtimes.n) {
    const power = (value) => { const s = 10 ** value; return s >= 1 ? format(s) + " s" : s >= 0.001 ? format(s * 1000, 1) + " ms" : format(s * 1e6) + " µs"; };
    const note = (s) => power(Math.log10(Math.max(s, 1e-6)));
    histogram(box, `CPU time of ${plural(data.runtimes.n, "execution")} (log scale)`, [["executions", data.runtimes, "accent"]], power, note);
  }
}

function models() {
  for (const [step, text] of Object.entries(data.evaluations)) {
    $("models").hidden = false;
    const card = make("div", { class: "card scroll" }, make("h3", {}, step));
    // The comparison is Markdown of ours: its tables become tables, all else stays text.
    let table = null;
    for (const line of text.split("\n")) {
      if (line.startsWith("|")) {
        const cells = line.slice(1).replace(/\|\s*$/, "").split("|").map((cell) => cell.trim().replace(/\\(.)/g, "$1"));
        if (cells.every((cell) => /^:?-+:?$/.test(cell))) continue;
        if (!table) { table = make("table"); card.append(table); }
        table.append(make("tr", {}, ...cells.map((cell) => make(table.children.length ? "td" : "th", {}, cell))));
      } else {
        table = null;
        if (line.trim()) card.append(line.startsWith("#") ? make("h3", {}, line.replace(/^#+\s*/, "")) : make("p", { class: "note" }, line));
      }
    }
    $("evaluations").append(card);
  }
}

// ---------------------------------------------------------------- examples
function examples() {
  const seen = new Set();
  const chosen = [];
  for (const row of [...data.rows].sort((a, b) => (a.verdict === "accepted" ? 0 : 1) - (b.verdict === "accepted" ? 0 : 1))) {
    const key = row.verdict === "accepted" ? "accepted" : codeOf(row.reason) + row.step;
    if (seen.has(key)) continue;
    seen.add(key);
    chosen.push(row);
  }
  for (const row of chosen.slice(0, 18)) {
    const text = row.problem || row.code || "(no text)";
    const detail = row.verdict === "accepted" ? `answer ${row.output_text ?? ""}` : row.output_text ? `program ${row.output_text} · solution ${row.predicted_answer ?? "–"} · expected ${row.expected_answer ?? "–"}` : `at ${row.step}`;
    const card = make("button", { class: "card", type: "button" }, make("span", {}, make("span", { class: "pill " + row.verdict }, row.reason || row.verdict), make("span", { class: "tag" }, row.step)), make("p", {}, text), make("small", { class: "note" }, detail));
    card.addEventListener("click", () => browse({}, row.id));
    $("example-cards").append(card);
  }
}

// ---------------------------------------------------------------- row browser
const ROW = 64;
const state = { query: "", verdicts: new Set(["accepted", "rejected", "undecided"]), step: "", reason: "", shown: [], selected: null };
const haystacks = data.rows.map((row) => [row.id, row.reason, row.problem, row.code, row.solution, row.output_text, row.predicted_answer, row.expected_answer, row.source, row.domain].filter(Boolean).join("\n").toLowerCase());

function controls() {
  $("rows-lead").textContent = data.rows.length < data.rows_total
    ? `${plural(data.rows.length, "row")} of ${format(data.rows_total)}: an even sample of every step, verdict and reason. Each carries its receipt.`
    : `All ${plural(data.rows.length, "row")}, each with its receipt. Arrow keys move through the list.`;
  for (const verdict of ["accepted", "rejected", "undecided"]) {
    const count = data.rows.filter((row) => row.verdict === verdict).length;
    const chip = make("button", { class: "chip " + verdict, type: "button", "aria-pressed": "true", "data-verdict": verdict }, `${verdict} ${format(count)}`);
    chip.addEventListener("click", () => {
      // A first click on one of three shows that one alone, which is what one nearly always wants.
      if (state.verdicts.size === 3) state.verdicts = new Set([verdict]);
      else if (state.verdicts.has(verdict)) state.verdicts.delete(verdict);
      else state.verdicts.add(verdict);
      if (!state.verdicts.size) state.verdicts = new Set(["accepted", "rejected", "undecided"]);
      filter();
    });
    $("verdict-chips").append(chip);
  }
  const options = (select, first, values) => { select.append(make("option", { value: "" }, first)); for (const value of values) select.append(make("option", { value }, value)); };
  options($("step-filter"), "every step", [...new Set(data.rows.map((row) => row.step))]);
  options($("reason-filter"), "every reason", [...new Set(data.rows.map((row) => row.reason).filter(Boolean))].sort());
  $("step-filter").addEventListener("change", (event) => { state.step = event.target.value; filter(); });
  $("reason-filter").addEventListener("change", (event) => { state.reason = event.target.value; filter(); });
  let timer = 0;
  $("search").addEventListener("input", (event) => { clearTimeout(timer); timer = setTimeout(() => { state.query = event.target.value.trim().toLowerCase(); filter(); }, 60); });
  $("list").addEventListener("scroll", () => requestAnimationFrame(paint), { passive: true });
  $("list").addEventListener("keydown", (event) => {
    const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -1e9, End: 1e9 }[event.key];
    if (!move || !state.shown.length) return;
    event.preventDefault();
    const at = state.shown.indexOf(state.selected);
    select(state.shown[Math.max(0, Math.min(state.shown.length - 1, at + move))], true);
  });
  new ResizeObserver(() => paint()).observe($("list"));
}
function filter() {
  for (const chip of $("verdict-chips").children) chip.setAttribute("aria-pressed", String(state.verdicts.has(chip.dataset.verdict)));
  const words = state.query.split(/\s+/).filter(Boolean);
  state.shown = [];
  data.rows.forEach((row, index) => {
    if (!state.verdicts.has(row.verdict) || (state.step && row.step !== state.step) || (state.reason && row.reason !== state.reason)) return;
    if (words.every((word) => haystacks[index].includes(word))) state.shown.push(index);
  });
  $("hits").textContent = plural(state.shown.length, "row");
  $("list-space").style.height = state.shown.length * ROW + "px";
  $("list").scrollTop = 0;
  select(state.shown.includes(state.selected) ? state.selected : state.shown[0] ?? null, false);
}
function paint() {
  // Only the rows in sight exist: 5,000 rows cost as much as 20.
  const list = $("list"), first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(state.shown.length, first + Math.ceil(list.clientHeight / ROW) + 9);
  const box = $("list-rows");
  box.style.transform = `translateY(${first * ROW}px)`;
  box.replaceChildren(...state.shown.slice(first, last).map((index) => {
    const row = data.rows[index];
    const element = make("div", { class: "row " + row.verdict, role: "option", "aria-selected": String(index === state.selected) },
      make("div", {}, (row.problem || row.code || "(no text)").slice(0, 160)),
      make("div", { class: "sub" }, `${row.id} · ${row.step}${row.reason ? " · " + row.reason : ""}`));
    element.addEventListener("click", () => select(index, false));
    return element;
  }));
  if (!state.shown.length) box.replaceChildren(make("p", { class: "empty" }, "No row matches."));
}
function select(index, scroll) {
  state.selected = index;
  if (scroll && index != null) {
    const list = $("list"), at = state.shown.indexOf(index) * ROW;
    if (at < list.scrollTop) list.scrollTop = at;
    else if (at + ROW > list.scrollTop + list.clientHeight) list.scrollTop = at + ROW - list.clientHeight;
  }
  paint();
  detail(index == null ? null : data.rows[index]);
}
function browse(filters, id) {
  Object.assign(state, { query: "", step: "", reason: "", verdicts: new Set(["accepted", "rejected", "undecided"]) }, filters);
  $("search").value = state.query; $("step-filter").value = state.step; $("reason-filter").value = state.reason;
  filter();
  if (id) { const index = data.rows.findIndex((row) => row.id === id); if (index >= 0) select(index, true); }
  $("rows").scrollIntoView();
}
const TOKENS = /(#.*)|("""[\s\S]*?"""|'''[\s\S]*?'''|f?"(?:\\.|[^"\\\n])*"|f?'(?:\\.|[^'\\\n])*')|\b(and|as|assert|break|class|continue|def|del|elif|else|except|finally|for|from|if|import|in|is|lambda|not|or|pass|raise|return|try|while|with|yield|None|True|False)\b|\b(\d[\d_.eE]*)\b/g;
function code(text) {
  const box = make("pre");
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    box.append(text.slice(end, match.index), make("span", { class: match[1] ? "c" : match[2] ? "s" : match[3] ? "k" : "n" }, match[0]));
    end = match.index + match[0].length;
  }
  box.append(text.slice(end));
  return box;
}
function detail(row) {
  const box = $("detail");
  box.scrollTop = 0;
  if (!row) return box.replaceChildren(make("p", { class: "empty" }, "Nothing to show."));
  const parts = [make("header", {}, make("span", { class: "pill " + row.verdict }, row.verdict), row.reason ? make("span", { class: "pill " + row.verdict }, row.reason) : null, make("span", { class: "id" }, `${row.id} at ${row.step}`))];
  const block = (title, element) => parts.push(make("h4", {}, title), element);
  if (row.problem) block("Problem", make("p", { class: "text" }, row.problem));
  const answers = [["program printed", row.output_text], ["solution says", row.predicted_answer], ["seed says", row.expected_answer]].filter(([, value]) => value);
  if (answers.length) { const grid = make("div", { class: "answers" }); for (const [name, value] of answers) grid.append(make("div", {}, make("span", {}, name), make("b", {}, value.slice(0, 400)))); block("Answers", grid); }
  if (row.solution) block("Solution", make("p", { class: "text" }, row.solution));
  if (row.code) block("Program", code(row.code));
  if (row.stdout && row.stdout.trim() !== (row.output_text || "").trim()) { const pre = make("pre", {}, row.stdout); block("Printed", pre); }
  const facts = ["source", "licence", "domain", "problem_origin", "status", "unified_by", "answer_rule", "judge_verdict", "pass_rate", "attempts", "difficulty_model", "solve_rate", "variant", "contaminated_by", "contaminated_kind", "contaminated_span", "layout"].filter((name) => row[name]);
  const list = make("dl", { class: "facts" });
  for (const name of facts) list.append(make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, row[name]));
  if (row.parents) list.append(make("dt", {}, "parents"), make("dd", {}, row.parents.join(", ")));
  if (row.family) list.append(make("dt", {}, "family"), make("dd", {}, row.family));
  if (list.children.length) block("Facts", list);
  const chain = make("ol", { class: "receipt" });
  row.receipts.forEach((receipt, index) => {
    const { stage, version, ...rest } = receipt;
    const facts = make("dl");
    for (const [key, value] of Object.entries(rest)) facts.append(make("dt", {}, key), make("dd", {}, typeof value === "string" ? value : JSON.stringify(value)));
    chain.append(make("li", { class: index === row.receipts.length - 1 ? "last " + row.verdict : "" }, make("b", {}, String(stage)), make("small", {}, ` version ${version}`), facts));
  });
  if (row.receipts.length) block("Receipt", chain);
  box.replaceChildren(...parts);
}

$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});
tiles(); sankey(); funnelTable(); reasons(); shape(); map(); contamination(); costs(); models(); examples(); controls(); filter();
document.documentElement.dataset.ready = "true";
