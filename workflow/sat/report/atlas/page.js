"use strict";
/* Everything that changes on the page. Texts of the study reach the page as textContent only. */
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const items = JSON.parse(document.getElementById("plots").textContent);
const names = data.models, n = names.length;
const byId = (id) => document.getElementById(id);
const level = `${+(100 * data.confidence).toPrecision(6)} %`;

/* --- elements and numbers */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
function show(value, share = false) {
  if (!known(value)) return "–";
  if (typeof value === "string") return value;
  if (share) return `${(100 * value).toFixed(1)} %`;
  if (Number.isInteger(value)) return value.toLocaleString("en-GB");
  const size = Math.abs(value);
  if (size === 0 || (size >= 0.01 && size < 1e6)) return value.toFixed(2);
  return size < 0.0001 || size >= 1e6 ? value.toExponential(1) : value.toPrecision(2);
}
const exact = (value) => typeof value === "number" && !Number.isInteger(value) ? String(+value.toPrecision(4)) : show(value);
const interval = (low, high, share = false) => known(low) && known(high) ? `${show(low, share)} to ${show(high, share)}` : "";

/* --- pairs */
function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  if (packed.type === "f4") return new Float32Array(bytes.buffer);
  const whole = packed.type === "u1" ? bytes : new Uint16Array(bytes.buffer);
  const missing = packed.type === "u1" ? 255 : 65535;
  return Float32Array.from(whole, (value) => (value === missing ? NaN : value));
}
const measures = new Map();
for (const one of data.pairs) measures.set(one.key, { ...one, values: unpack(one), data: null });
if (measures.has("sat_low") && measures.has("sat_high")) {
  const low = measures.get("sat_low").values, high = measures.get("sat_high").values;
  measures.set("width", { key: "width", title: "width of SAT's interval", shown: true, values: high.map((end, k) => end - low[k]) });
}
function pair(key, i, j) {
  const one = measures.get(key);
  if (!one) return NaN;
  if (one.directed) return one.values[i * n + j];
  if (i === j) return NaN;
  const [a, b] = i < j ? [i, j] : [j, i];
  return one.values[a * n - (a * (a + 1)) / 2 + (b - a - 1)];
}
if (data.tables.spectral_features) {
  const features = data.tables.spectral_features.columns.filter((column) => column.name !== "model"), rowOf = new Map(data.tables.spectral_features.columns.find((column) => column.name === "model").values.map((name, k) => [name, k]));
  const distance = (i, j) => Math.hypot(...features.map((column) => column.values[rowOf.get(names[i])] - column.values[rowOf.get(names[j])]));
  const values = new Float32Array((n * (n - 1)) / 2);
  for (let i = 0, k = 0; i < n; i++) for (let j = i + 1; j < n; j++) values[k++] = distance(i, j);
  measures.set("distance", { key: "distance", title: "distance of spectral features", shown: true, scale: "reversed", values });
}
const columns = new Map(data.columns.map((column) => [column.key, column]));
const isText = (column) => column.values.some((value) => typeof value === "string");

/* --- state */
const state = { measure: "sat", order: "tree", palette: "viridis", marked: new Set(), only: false, pair: null, layout: 0, colour: "" };
let rows = names.map((_, k) => k);
let plots = null;

function ordered() {
  const place = new Map(data.tree.map((model, k) => [model, k]));
  const rank = (model) => place.get(model);
  let order = names.map((_, k) => k);
  const column = columns.get(state.order);
  if (state.order === "name") order.sort((a, b) => (names[a] < names[b] ? -1 : 1));
  else if (column && isText(column)) {
    const key = (model) => column.values[model] ?? "";
    order.sort((a, b) => String(key(a)).localeCompare(String(key(b)), "en", { numeric: true }) || rank(a) - rank(b));
  } else if (column) {
    const key = (model) => (known(column.values[model]) ? column.values[model] : -Infinity);
    order.sort((a, b) => key(b) - key(a) || rank(a) - rank(b));
  } else order.sort((a, b) => rank(a) - rank(b));
  return state.only && state.marked.size ? order.filter((model) => state.marked.has(model)) : order;
}

/* --- the matrix */
/* Bokeh takes text between these delimiters for a formula. */
const plain = (text) => text.replaceAll("$$", "$\u200b$").replaceAll("\\(", "\\\u200b(").replaceAll("\\[", "\\\u200b[");
const brief = (text, most = 22) => plain(text.length > most ? `${text.slice(0, most - 1)}…` : text);
const find = (name) => plots.document.get_model_by_name(name);

/* What is drawn of some values: with logarithms of rates, 0 in the middle of what has a sign, and light for what is near. */
function coloured(values, scale, palette) {
  let drawn = values, low = Infinity, high = -Infinity;
  if (scale === "log") {
    const least = values.reduce((found, value) => (value > 0 && value < found ? value : found), 1);
    drawn = values.map((value) => Math.log10(value > least || Number.isNaN(value) ? value : least));
  }
  for (const value of drawn) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) [low, high] = [0, 1];
  if (scale === "diverging") [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
  if (low === high) { low -= 0.5; high += 0.5; }
  const colours = data.palettes[scale === "diverging" ? scale : palette], none = scale === "diverging" ? "Grey" : "White";
  const words = { log: " The scale is logarithmic; a rate of 0 has the colour of the lowest other one.", diverging: " Red: above 0; blue: below 0.", reversed: " Light: near." };
  const mapper = { low, high, palette: scale === "reversed" ? [...colours].reverse() : colours, nan_color: scale === "diverging" ? "#b0b0b0" : "#ffffff" };
  return { drawn, mapper, words: `${none}: no value.${words[scale] || ""}` };
}
const percent = (power) => `${+(100 * 10 ** power).toPrecision(2)} %`;
const ROLES = ["target: the images are tried on it", "source: the images are made on it"];

function drawMatrix(keepView = false) {
  rows = ordered();
  const one = measures.get(state.measure), size = rows.length;
  const values = new Float32Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) values[i * size + j] = i === j ? NaN : pair(state.measure, rows[i], rows[j]);
  }
  const { drawn, mapper, words } = coloured(values, one.scale, state.palette);
  byId("about-measure").textContent = `${one.directed
    ? "Rows are sources, on which images are made; columns are targets, which they are tried on."
    : "A model is not compared with itself."} ${words}`;
  if (!plots) return;
  const cells = find("matrix-cells"), Array2D = cells.data.image[0].constructor, figure = find("matrix");
  [figure.above[0].axis_label, figure.left[0].axis_label] = one.directed ? ROLES : ["", ""];
  find("matrix-colours").setv(mapper);
  cells.data = { image: [new Array2D(drawn, [size, size])], x: [0], y: [0], dw: [size], dh: [size] };
  if (!keepView) {
    find("matrix-x").setv({ start: 0, end: size, reset_start: 0, reset_end: size });
    find("matrix-y").setv({ start: size, end: 0, reset_start: size, reset_end: 0 });
  }
  drawTicks();
  drawMarks();
}

function drawTicks() {
  const figure = find("matrix");
  for (const [range, axis] of [[figure.x_range, figure.above[0]], [figure.y_range, figure.left[0]]]) {
    const first = Math.max(0, Math.floor(Math.min(range.start, range.end)));
    const last = Math.min(rows.length, Math.ceil(Math.max(range.start, range.end)));
    const count = last - first;
    const named = count <= 75 ? rows.slice(first, last) : [];
    axis.ticker.ticks = named.map((_, k) => first + k + 0.5);
    axis.major_label_overrides = new Map(named.map((model, k) => [first + k + 0.5, brief(names[model])]));
    axis.major_label_text_font_size = count > 40 ? "8px" : count > 25 ? "9px" : "11px";
  }
}

function drawMarks() {
  const size = rows.length, place = new Map(rows.map((model, k) => [model, k]));
  const boxes = { left: [], right: [], top: [], bottom: [] };
  const add = (left, right, top, bottom) => { boxes.left.push(left); boxes.right.push(right); boxes.top.push(top); boxes.bottom.push(bottom); };
  if (!state.only && state.marked.size < n) {
    for (const model of state.marked) {
      const k = place.get(model);
      if (k !== undefined) { add(0, size, k, k + 1); add(k, k + 1, 0, size); }
    }
  }
  if (state.pair) {
    const [i, j] = state.pair.map((model) => place.get(model));
    if (i !== undefined && j !== undefined) { add(j, j + 1, i, i + 1); add(i, i + 1, j, j + 1); }
  }
  find("matrix-marks").data = boxes;
}

function cellAt(x, y) {
  const i = Math.floor(y), j = Math.floor(x);
  return i >= 0 && j >= 0 && i < rows.length && j < rows.length ? [rows[i], rows[j]] : null;
}

function flags(i, j) {
  const found = [];
  if (measures.has("estimated") && pair("estimated", i, j) === 1) found.push("not measured, but estimated from pairs with landmarks");
  if (pair("above_noise", i, j) === 0) found.push("not above random noise of the same size");
  if (pair("at_floor", i, j) === 1) found.push("at the floor of SAT");
  return found;
}

function lines(i, j, key = state.measure) {
  const one = measures.get(key);
  const said = [`${names[i]} → ${names[j]}`.replace("→", one.directed ? "→" : "and")];
  if (i === j) return [names[i], "a model is not compared with itself"];
  said.push(`${one.title}: ${show(pair(key, i, j), one.share)}`);
  const range = key === "sat" || key === "affinity" ? interval(pair(`${key}_low`, i, j), pair(`${key}_high`, i, j)) : "";
  if (range) said.push(`${level} interval: ${range}`);
  if (measures.has("directed_rate") && known(pair("directed_rate", i, j))) {
    said.push(`rates: ${show(pair("directed_rate", i, j), true)} from ${names[i]}, ${show(pair("directed_rate", j, i), true)} from ${names[j]}`);
    said.push(`images: ${show(pair("n_both_correct", i, j))}`);
  }
  return said.concat(flags(i, j));
}

function hover(x, y, sx, sy) {
  const cell = cellAt(x, y);
  if (!cell) { leave(); return; }
  const said = lines(...cell);
  byId("readout").textContent = said.join("; ");
  tell(said, byId("matrix-plot"), sx, sy);
}
/* Say something beside a place of a plot. */
function tell(said, host, sx, sy) {
  const tip = byId("tip"), place = host.getBoundingClientRect();
  tip.textContent = said.join("\n");
  const left = place.left + sx + 16;
  tip.hidden = false;
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.max(4, Math.min(place.top + sy + 16, innerHeight - tip.offsetHeight - 8))}px`;
}
function leave() { byId("tip").hidden = true; }
function tap(x, y) {
  const cell = cellAt(x, y);
  if (!cell) return;
  if (cell[0] === cell[1]) openModel(cell[0]);
  else openPair(...cell);
}

/* --- the map */
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f"];
const MARKERS = ["circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star", "plus"];
const SHAPES = {
  circle: "M8 2a6 6 0 1 0 .01 0z", square: "M2 2h12v12h-12z", triangle: "M8 2l6 12h-12z", diamond: "M8 1l6 7l-6 7l-6 -7z",
  inverted_triangle: "M2 2h12l-6 12z", hex: "M4 1.5h8l4 6.5l-4 6.5h-8l-4 -6.5z",
  star: "M8 1l2 5h5l-4 3.5l1.5 5.5l-4.5 -3.3l-4.5 3.3l1.5 -5.5l-4 -3.5h5z", plus: "M6 1h4v5h5v4h-5v5h-4v-5h-5v-4h5z",
};
function swatch(colour, marker) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS(svg.namespaceURI, "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[marker]);
  path.setAttribute("fill", colour);
  path.setAttribute("stroke", "#333");
  svg.append(path);
  return svg;
}

/* Colour and marker of every value, and what a legend says of them. */
function looks(values, coloured, share = false) {
  const legend = [], plainLook = [COLOURS[0], "circle"];
  if (!coloured) return { look: values.map(() => plainLook), legend };
  if (values.some((value) => typeof value === "string")) {
    const groups = [...new Set(values.map((value) => value || ""))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    const place = new Map(groups.map((group, k) => [group, [COLOURS[k % COLOURS.length], MARKERS[(k + Math.floor(k / COLOURS.length)) % MARKERS.length]]]));
    for (const group of groups.slice(0, 64)) legend.push(el("span", {}, swatch(...place.get(group)), group || "not known"));
    if (groups.length > 64) legend.push(`and ${groups.length - 64} more`);
    return { look: values.map((value) => place.get(value || "")), legend };
  }
  const finite = values.filter(known), palette = data.palettes[state.palette], low = Math.min(...finite), high = Math.max(...finite);
  const colour = (value) => known(value) ? palette[Math.round((palette.length - 1) * (high > low ? (value - low) / (high - low) : 0.5))] : "#ffffff";
  if (finite.length) for (const value of [low, (low + high) / 2, high]) legend.push(el("span", {}, swatch(colour(value), "circle"), show(value, share)));
  return { look: values.map((value) => [colour(value), "circle"]), legend };
}
/* Names beside points, each where it covers no other name and no other point; one without such a place is left out, and
   stands in what pointing at its point says. */
const pen = document.createElement("canvas").getContext("2d");
function spread(figure, xs, ys, texts, crossed = false) {
  const found = { x: [], y: [], name: [], dx: [], dy: [] }, wide = figure.inner_width, high = figure.inner_height;
  if (!texts.length || !(wide > 0)) return found;
  const scale = (range, length) => (value) => ((value - range.start) / (range.end - range.start)) * length;
  const [across, up] = [scale(figure.x_range, wide), scale(figure.y_range, high)];
  const dots = xs.map((x, k) => [across(x), high - up(ys[k])]);
  const taken = dots.map(([x, y]) => [x - 6, y - 6, x + 6, y + 6]);
  const free = ([left, top, right, bottom], own) => left >= 0 && right <= wide && top >= 0 && bottom <= high
    && taken.every((box, k) => k === own || box[0] >= right || box[2] <= left || box[1] >= bottom || box[3] <= top);
  pen.font = "11px Helvetica, Arial, sans-serif";
  texts.forEach((text, k) => {
    const short = brief(text), [x, y] = dots[k], width = pen.measureText(short).width + 4;
    if (!(x >= 0 && x <= wide && y >= 0 && y <= high)) return;
    /* Beside intervals, between their arms. */
    const places = crossed ? [[5, -4], [5, 14], [-3 - width, -4], [-3 - width, 14]] : [[8, 4], [-8 - width, 4], [-width / 2, -8], [-width / 2, 18]];
    for (const [dx, dy] of places) {
      const box = [x + dx, y + dy - 10, x + dx + width, y + dy + 3];
      if (!free(box, k)) continue;
      taken.push(box);
      for (const [key, value] of Object.entries({ x: xs[k], y: ys[k], name: short, dx, dy })) found[key].push(value);
      break;
    }
  });
  return found;
}

function drawMap() {
  const layout = data.maps[state.layout], column = columns.get(state.colour);
  const shown = names.map((_, k) => k).filter((k) => known(layout.x[k]));
  const { look, legend } = looks(shown.map((k) => column?.values[k] ?? null), Boolean(column), column?.share);
  byId("legend").replaceChildren(...legend);
  byId("about-map").textContent = layout.kept;
  if (!plots) return;
  const source = find("map-points");
  source.data = {
    x: shown.map((k) => layout.x[k]), y: shown.map((k) => layout.y[k]), index: shown,
    name: shown.map((k) => names[k]), colour: look.map(([colour]) => colour), marker: look.map(([, marker]) => marker),
  };
  const figure = find("map");
  /* Distances are as long across as up. */
  const wide = figure.inner_width / figure.inner_height || 1.5;
  const ends = [source.data.x, source.data.y].map((values) => [Math.min(...values), Math.max(...values)]);
  const half = 0.58 * Math.max(ends[1][1] - ends[1][0], (ends[0][1] - ends[0][0]) / wide) || 1;
  [figure.x_range, figure.y_range].forEach((range, k) => {
    const middle = (ends[k][0] + ends[k][1]) / 2, reach = k ? half : half * wide;
    range.setv({ start: middle - reach, end: middle + reach, reset_start: middle - reach, reset_end: middle + reach });
  });
  nameMap();
  selectOnMap();
}
function nameMap() {
  const { x, y, name } = find("map-points").data;
  find("map-names").data = spread(find("map"), x, y, x.length <= 80 ? name : []);
}
function pointed(event) {
  const [first] = event.index.indices, index = find("map-points").data.index;
  if (first === undefined) { leave(); return; }
  const column = columns.get(state.colour), model = index[first];
  tell([names[model], ...(column ? [`${column.title}: ${show(column.values[model], column.share)}`] : [])], byId("map-plot"), event.geometry.sx, event.geometry.sy);
}

/* Bokeh tells of a selection later, and of ours too: what was set here is no choice of the reader. */
let selected = "[]";
function selectOnMap() {
  const source = find("map-points"), wanted = [];
  source.data.index.forEach((model, k) => { if (state.marked.has(model)) wanted.push(k); });
  selected = JSON.stringify(wanted);
  source.selected.indices = wanted;
}
function chosen(indices) {
  if (JSON.stringify(indices) === selected) return;
  selected = JSON.stringify(indices);
  const index = find("map-points").data.index;
  mark(indices.map((k) => index[k]), false);
  if (state.marked.size === 1) openModel([...state.marked][0]);
  if (state.marked.size === 2) openPair(...state.marked);
}

/* --- marks */
function mark(models, alsoOnMap = true, chart = null) {
  state.marked = new Set(models);
  charts.marked(state.marked, chart);
  byId("marked").textContent = models.length ? `${models.length} of ${n} models marked` : "";
  if (!plots) return;
  if (alsoOnMap) selectOnMap();
  if (state.only) drawMatrix(); else drawMarks();
}

/* --- panels */
function linkTo(i, j = null) {
  const text = names[j === null ? i : j];
  return el("button", { type: "button", class: "link", onclick: () => (j === null ? openModel(i) : openPair(i, j)) }, text);
}
function open(title, parts, hash) {
  byId("detail").replaceChildren(el("h3", {}, title), ...parts.filter(Boolean));
  history.replaceState(null, "", hash);
  if (plots) drawMarks();
}
function simpleTable(head, body, label) {
  const numeric = (cell) => typeof cell === "string" && /^[-–\d]/.test(cell);
  return el("table", { "aria-label": label },
    el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...body.map((cells) => el("tr", {}, ...cells.map((cell, k) => k === 0 ? el("th", { scope: "row" }, cell) : el("td", { class: numeric(cell) ? "number" : undefined }, cell))))));
}

function openModel(i) {
  state.pair = null;
  const facts = data.columns.filter((column) => known(column.values[i]) && column.values[i] !== "").map((column) => [
    column.title, show(column.values[i], column.share), column.low ? interval(column.low[i], column.high[i], column.share) : ""]);
  const others = names.map((_, j) => j).filter((j) => j !== i && known(pair("sat", i, j))).sort((a, b) => pair("sat", i, b) - pair("sat", i, a));
  const entry = (j) => [linkTo(i, j), show(pair("sat", i, j)), interval(pair("sat_low", i, j), pair("sat_high", i, j)), show(pair("affinity", i, j)), flags(i, j).join("; ")];
  const head = ["model", "SAT", `${level} interval`, "affinity", ""];
  const far = others.slice(5).slice(-5).reverse();
  const members = columns.get("cluster");
  const mates = members && known(members.values[i]) ? names.map((_, j) => j).filter((j) => j !== i && members.values[j] === members.values[i]) : [];
  const list = el("p", {}, "Also in its cluster by SAT: ");
  mates.slice(0, 30).forEach((j, k) => list.append(k ? ", " : "", linkTo(j)));
  if (mates.length > 30) list.append(` and ${mates.length - 30} more`);
  open(names[i], [
    simpleTable(["", "value", `${level} interval`], facts, "facts"),
    mates.length ? list : null,
    el("h4", {}, "Nearest"), simpleTable(head, others.slice(0, 5).map(entry), "nearest models"),
    far.length ? el("h4", {}, "Farthest") : null, far.length ? simpleTable(head, far.map(entry), "farthest models") : null,
  ], `#model=${encodeURIComponent(names[i])}`);
}

function openPair(i, j) {
  state.pair = [i, j];
  const parts = flags(i, j).map((text) => el("p", { class: "flag" }, `This pair is ${text}.`));
  const body = [];
  for (const key of ["sat", "affinity"]) {
    if (known(pair(key, i, j))) body.push([measures.get(key).title, show(pair(key, i, j)), interval(pair(`${key}_low`, i, j), pair(`${key}_high`, i, j))]);
  }
  for (const one of measures.values()) {
    if (one.measure && known(pair(one.key, i, j))) body.push([one.title, show(pair(one.key, i, j)), ""]);
  }
  parts.push(el("p", {}, linkTo(i), " · ", linkTo(j)));
  parts.push(simpleTable(["", "value", `${level} interval`], body, "similarity of the pair"));
  if (measures.has("directed_rate") && known(pair("directed_rate", i, j))) {
    const common = pair("n_both_correct", i, j);
    const ways = [[i, j], [j, i]], both = (read) => ways.map(([a, b]) => read(a, b));
    parts.push(el("h4", {}, "Both directions"), simpleTable(["made on → tried on", ...both((a, b) => `${names[a]} → ${names[b]}`)], [
      ["images that fool", ...both((a, b) => `${show(pair("directed_n_fooled", a, b))} of ${show(common)}`)],
      ["rate", ...both((a, b) => show(pair("directed_rate", a, b), true))],
      [`${level} interval`, ...both((a, b) => interval(pair("directed_rate_low", a, b), pair("directed_rate_high", a, b), true))],
      ["errors under random noise", ...both((a, b) => show(pair("directed_noise_rate", a, b), true))],
      ["above noise", ...both((a, b) => (pair("directed_above_noise", a, b) === 1 ? "yes" : "no"))],
    ], "both directions"));
    parts.push(el("h4", {}, "Adversarial examples"), ...exampleParts(i, j));
  }
  open(`${names[i]} and ${names[j]}`, parts, `#pair=${encodeURIComponent(names[i])}&${encodeURIComponent(names[j])}`);
}

function exampleParts(i, j) {
  const found = data.examples.rows.filter((row) => (row.source === names[i] && row.target === names[j]) || (row.source === names[j] && row.target === names[i]));
  if (!found.length) {
    return [el("p", { class: "hint" }, data.examples.rows.length
      ? "The page holds none of this pair: either no image qualifies, or the byte budget (atlas.example_bytes) went to nearer and farther pairs."
      : "The page holds no examples.")];
  }
  return [el("p", { class: "hint" }, "The first image, in the study's random order, of each kind. Both models are right on the clean image."), ...found.map(drawExample)];
}

function drawExample(row) {
  const uri = (image) => `data:image/png;base64,${data.examples.images[image]}`;
  const kind = row.kind === "both" ? "fools both models" : "fools only its source";
  const clean = el("img", { alt: `clean image, class ${row.label}`, src: uri(row.clean_image) });
  const adversarial = el("img", { alt: `adversarial image that ${kind}`, src: uri(row.adversarial_image) });
  const canvas = el("canvas", { role: "img", "aria-label": "perturbation, amplified" }), factor = el("figcaption", {}, "perturbation");
  Promise.all([clean.decode(), adversarial.decode()]).then(() => {
    const side = [clean.naturalWidth, clean.naturalHeight];
    const pixels = [clean, adversarial].map((image) => {
      [canvas.width, canvas.height] = side;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      return context.getImageData(0, 0, ...side);
    });
    let most = 1;
    const moved = pixels[1].data.map(() => 0), change = Int16Array.from(pixels[1].data, (value, k) => (k % 4 === 3 ? 0 : value - pixels[0].data[k]));
    change.forEach((value) => { most = Math.max(most, Math.abs(value)); });
    change.forEach((value, k) => { moved[k] = k % 4 === 3 ? 255 : 128 + Math.round((127 * value) / most); });
    canvas.getContext("2d").putImageData(new ImageData(moved, ...side), 0, 0);
    factor.textContent = `perturbation, ×${+(127 / most).toPrecision(2)} (largest: ${most} grey levels)`;
    canvas.dataset.most = most;
  }).catch(() => { factor.textContent = "perturbation: cannot be drawn here"; });
  const guess = (what, p) => `${what} (${known(p) ? show(p, true) : "probability not recorded"})`;
  return el("div", { class: "example" },
    el("p", {}, el("strong", {}, `Made on ${row.source}: ${kind}`), ` (image ${row.image}, class ${row.label})`),
    el("div", { class: "pictures" }, el("figure", {}, clean, el("figcaption", {}, "clean")), el("figure", {}, canvas, factor), el("figure", {}, adversarial, el("figcaption", {}, "adversarial"))),
    simpleTable(["predicts", "clean", "adversarial"], [
      [`${row.source} (source)`, guess(row.source_clean, row.source_clean_p), guess(row.source_adversarial, row.source_adversarial_p)],
      [`${row.target} (target)`, guess(row.target_clean, row.target_clean_p), guess(row.target_adversarial, row.target_adversarial_p)],
    ], "predictions"));
}

/* --- tables that sort and filter */
const STEP = 100, NAMES = new Set(["model", "model_a", "model_b", "source", "target", "teacher"]);
/* A model's name marks it in all plots, and opens its page. */
function cellOf(column, row) {
  const value = column.values[row], model = NAMES.has(column.name) ? names.indexOf(value) : -1;
  return model < 0 ? exact(value) : el("button", { type: "button", class: "link", onclick: () => { mark([model]); openModel(model); } }, value);
}
function fillTable(host) {
  if (host.childNodes.length) return;
  const table = data.tables[host.dataset.table], count = table.columns.length ? table.columns[0].values.length : 0;
  const numeric = table.columns.map((column) => column.values.every((value) => value === null || typeof value === "number"));
  let order = [...Array(count).keys()], sorted = null, falling = false, most = STEP, wanted = "";
  const body = el("tbody"), note = el("output", { "aria-live": "polite" });
  const more = el("button", { type: "button", onclick: () => { most += STEP; draw(); } }, "More rows");
  const head = table.columns.map((column, k) => el("th", { scope: "col", class: numeric[k] ? "number" : undefined }, el("button", { type: "button", onclick: () => sortBy(k) }, column.name)));
  const filter = el("input", { type: "search", placeholder: "text in a row", "aria-label": `Filter the table ${host.dataset.table}` });
  filter.addEventListener("input", () => { wanted = filter.value.toLowerCase(); most = STEP; draw(); });
  function sortBy(k) {
    falling = sorted === k ? !falling : numeric[k];
    sorted = k;
    const values = table.columns[k].values, sign = falling ? -1 : 1;
    order.sort((a, b) => {
      const [one, other] = [values[a], values[b]];
      if (one === null || other === null) return (one === null) - (other === null) || a - b;
      return sign * (numeric[k] ? one - other : String(one).localeCompare(String(other), "en", { numeric: true })) || a - b;
    });
    head.forEach((cell, place) => (place === k ? cell.setAttribute("aria-sort", falling ? "descending" : "ascending") : cell.removeAttribute("aria-sort")));
    draw();
  }
  function draw() {
    const fits = (row) => !wanted || table.columns.some((column) => column.values[row] !== null && String(column.values[row]).toLowerCase().includes(wanted));
    const found = order.filter(fits);
    body.replaceChildren(...found.slice(0, most).map((row) => el("tr", {}, ...table.columns.map((column, k) => el("td", { class: numeric[k] ? "number" : undefined }, cellOf(column, row))))));
    note.textContent = `${Math.min(most, found.length)} of ${found.length} rows shown`;
    more.hidden = found.length <= most;
    charts.follow(host.dataset.table, found);
  }
  host.append(el("div", { class: "controls" }, el("label", {}, "Filter ", filter), note),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table ${host.dataset.table}` }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), body)), more);
  draw();
}

/* A finger that moves over a plot on a phone scrolls the page; a button below the plot gives it back to the plot. */
function onPlot(figure, host, again) {
  let width = host.offsetWidth;
  /* Names are placed anew where the plot has another size. */
  new ResizeObserver(() => {
    if (!host.offsetWidth || host.offsetWidth === width) return;
    width = host.offsetWidth;
    setTimeout(again, 150);
  }).observe(host);
  if (!matchMedia("(max-width: 600px)").matches) return;
  for (const tool of figure.toolbar.tools) if (tool.active && !["TapTool", "HoverTool"].includes(tool.type)) tool.active = false;
}
const charts = satCharts({ data, items, names, measures, pair, columns, state, el, known, show, interval, brief, looks, swatch, spread, onPlot, tell, leave, lines, mark, openModel, openPair, coloured, ROLES });

/* --- controls */
function options(select, entries, value) {
  select.replaceChildren(...entries.map(([key, title]) => el("option", { value: key }, title)));
  select.value = value;
}
function onChange(id, change) { byId(id).addEventListener("change", (event) => change(event.target)); }

options(byId("measure"), [...measures.values()].filter((one) => one.shown).map((one) => [one.key, one.title]), "sat");
options(byId("order"), [["tree", "dendrogram"], ["name", "name"], ...data.columns.map((column) => [column.key, column.title])], "tree");
options(byId("layout"), data.maps.map((layout, k) => [k, layout.title]), 0);
options(byId("colour"), [["", "nothing"], ...data.columns.map((column) => [column.key, column.title])], columns.has("family") ? "family" : "");
state.colour = byId("colour").value;
byId("names").replaceChildren(...names.map((name) => el("option", { value: name })));
onChange("measure", (select) => { state.measure = select.value; drawMatrix(true); });
onChange("order", (select) => { state.order = select.value; drawMatrix(); });
onChange("palette", (select) => { state.palette = select.value; drawMatrix(true); drawMap(); });
onChange("only", (box) => { state.only = box.checked; drawMatrix(); });
onChange("layout", (select) => { state.layout = +select.value; drawMap(); });
onChange("colour", (select) => { state.colour = select.value; drawMap(); });
byId("clear").addEventListener("click", () => { byId("search").value = ""; state.pair = null; mark([]); });
byId("search").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  mark(wanted ? names.map((_, k) => k).filter((k) => names[k].toLowerCase().includes(wanted)) : []);
});
byId("search").addEventListener("keydown", (event) => { if (event.key === "Enter" && state.marked.size === 1) openModel([...state.marked][0]); });
byId("pair-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const [i, j] = ["pair-a", "pair-b"].map((id) => names.indexOf(byId(id).value.trim()));
  for (const [id, found] of [["pair-a", i], ["pair-b", j]]) {
    byId(id).setCustomValidity(found < 0 && (id === "pair-a" || byId(id).value.trim()) ? "This study has no such model." : "");
    if (!byId(id).reportValidity()) return;
  }
  if (j < 0 || i === j) openModel(i); else openPair(i, j);
});
for (const id of ["pair-a", "pair-b"]) byId(id).addEventListener("input", (event) => event.target.setCustomValidity(""));
for (const entry of document.querySelectorAll("details.entry")) {
  entry.addEventListener("toggle", () => { if (!entry.open) return;
    entry.querySelectorAll("[data-table]").forEach(fillTable);
    entry.querySelectorAll("[data-chart]").forEach(charts.open);
  });
}

function fromAddress() {
  const [kind, rest] = location.hash.slice(1).split(/=(.*)/s);
  const found = (rest || "").split("&").map((part) => { try { return names.indexOf(decodeURIComponent(part)); } catch { return -1; } });
  if (kind === "model" && found[0] >= 0) openModel(found[0]);
  if (kind === "pair" && found.length === 2 && found.every((k) => k >= 0)) openPair(...found);
}

const tick = (value) => (measures.get(state.measure).scale === "log" ? percent(value) : String(+value.toPrecision(6)));
window.satAtlas = { tick, percent, hover, leave, tap, chosen, pointed, state, pair, find, charts, rows: () => rows };
drawMatrix();
drawMap();
fromAddress();
addEventListener("hashchange", fromAddress);
(async () => {
  const views = [await Bokeh.embed.embed_item(items.matrix), await Bokeh.embed.embed_item(items.map)];
  const documents = views.map((view) => [...view][0].model.document);
  plots = { document: { get_model_by_name: (name) => documents.map((one) => one.get_model_by_name(name)).find(Boolean) } };
  const figure = find("matrix");
  onPlot(figure, byId("matrix-plot"), drawTicks);
  onPlot(find("map"), byId("map-plot"), drawMap);
  for (const range of [find("map").x_range, find("map").y_range]) range.change.connect(nameMap);
  for (const range of [figure.x_range, figure.y_range]) range.change.connect(() => drawTicks());
  drawMatrix();
  drawMap();
  document.documentElement.dataset.ready = "yes";
})();
})();
