// Small charts of one series over time.

import { h, svg } from "/dashboard/elements.js";

const WIDTH = 300;
const HEIGHT = 64;

// A chart of bars. points: [{label, value}], oldest first; value null: nothing was measured. shown: a value as text.
export function bars(title, points, shown, note = "") {
  const known = points.filter((point) => point.value !== null && point.value !== undefined);
  const most = Math.max(0, ...known.map((point) => point.value));
  const step = WIDTH / Math.max(1, points.length);
  const marks = points.map((point, place) => {
    const height = most > 0 && point.value > 0 ? Math.max(1, (point.value / most) * HEIGHT) : 0;
    const place_ = { x: place * step + 0.5, y: HEIGHT - height, width: Math.max(0.5, step - 1), height };
    return svg("g", {}, svg("rect", { class: "target", x: place * step, y: 0, width: step, height: HEIGHT },
      svg("title", {}, `${point.label}: ${point.value === null ? "nothing" : shown(point.value)}`)), svg("rect", place_));
  });
  const summary = most > 0 ? `at most ${shown(most)}` : "nothing yet";
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none", "aria-label": `${title}: ${note ? `${note}, ` : ""}${summary}` },
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
    ...marks,
  );
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("strong", {}, title), note ? ` ${note}` : ""),
    picture,
    h("p", { class: "axis faint" }, h("span", {}, points[0]?.label ?? ""), h("span", {}, summary), h("span", {}, points.at(-1)?.label ?? "")),
  );
}

// What is left of a limit, as a bar and as text.
export function meter(left, text) {
  const part = Math.max(0, Math.min(1, left));
  const tone = part > 0.2 ? "good" : part > 0 ? "warn" : "bad";
  return h(
    "span",
    { class: `meter ${tone}` },
    svg("svg", { viewBox: "0 0 100 8", "aria-hidden": "true", preserveAspectRatio: "none" },
      svg("rect", { class: "track", x: 0, y: 0, width: 100, height: 8 }), svg("rect", { x: 0, y: 0, width: part * 100, height: 8 })),
    h("span", {}, text),
  );
}
