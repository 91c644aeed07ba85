// Makes elements. Text is always text: nothing that a model, a provider or an app wrote becomes markup.

const SVG = "http://www.w3.org/2000/svg";
// Those of meshd/host/plain_text.py.
const CONTROLS =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const LINE_ENDS = /\r\n|[\r\u2028\u2029]/g;

// Text from outside, without characters that control how text is shown. Newlines and tabs stay.
export function plain(value) {
  return String(value ?? "").replace(LINE_ENDS, "\n").replace(CONTROLS, "\ufffd");
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : name.startsWith("aria-") ? plain(value) : value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) element.append(child instanceof Node ? child : plain(child));
  }
  return element;
}

export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

// A part of a page, with a heading.
export function part(title, ...children) {
  const id = `part-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

// A table. columns: {name, right, minor, sparse}; a minor one is not shown on a small screen, and a sparse one only if it
// has something to tell. rows: of cells, which are text or elements.
export function table(caption, given, all, nothing) {
  if (!all.length) return h("p", { class: "faint" }, nothing);
  const told = (cell) => (cell instanceof Node ? cell.textContent : (cell ?? "")) !== "";
  const shown = given.map((column, place) => !column.sparse || all.some((cells) => told(cells[place])));
  const [columns, ...rows] = [given, ...all].map((cells) => cells.filter((_, place) => shown[place]));
  const kind = (column) => [column.right ? "right" : "", column.minor ? "minor" : ""].join(" ").trim() || null;
  const head = columns.map((column) => h("th", { scope: "col", class: kind(column) }, column.name));
  const body = rows.map((cells) =>
    h("tr", {}, cells.map((cell, place) => h(place ? "td" : "th", { scope: place ? null : "row", class: kind(columns[place]) }, cell))),
  );
  return h(
    "div",
    { class: "scrolls", tabindex: "0", role: "group", "aria-label": caption },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)),
  );
}

// A state, shown by a mark and a word as well as by its colour.
export function state(tone, text) {
  const marks = { good: "●", warn: "▲", bad: "■", faint: "○" };
  return h("span", { class: `${tone} state` }, h("span", { "aria-hidden": "true" }, `${marks[tone] ?? ""} `), text);
}

// Asks before something is done. Returns a promise of the answer.
export function confirmed(question) {
  const dialog = document.getElementById("question");
  document.getElementById("question-text").textContent = plain(question);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
