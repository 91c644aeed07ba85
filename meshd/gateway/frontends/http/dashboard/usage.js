// Requests, latency, tokens and spend over the last hour, day and month.

import { get } from "/dashboard/api.js";
import { bars } from "/dashboard/charts.js";
import { h, part, table } from "/dashboard/elements.js";
import { count, seconds, tokens, usd } from "/dashboard/format.js";

const SPANS = {
  hour: { by: "minute", step: 60, points: 60, label: (name) => name.slice(11) },
  day: { by: "hour", step: 3600, points: 24, label: (name) => name.slice(11) },
  month: { by: "day", step: 86400, points: 30, label: (name) => name.slice(5) },
};
const GROUPS = ["model", "provider", "pool", "app", "project", "agent"];
let span = "hour";
let group = "model";

export async function load() {
  const { by, step, points } = SPANS[span];
  const since = step * points;
  const [over, split] = await Promise.all([get("stats", { by, since }), get("stats", { by: group, since })]);
  return { over: over.data, split: split.data };
}

// The names of the last points of time as the statistics have them, oldest first.
function names(step, points, length) {
  const now = Math.floor(Date.now() / 1000 / step) * step;
  return Array.from({ length: points }, (_, place) => {
    const at = new Date((now - (points - 1 - place) * step) * 1000);
    return at.toISOString().slice(0, length).replace("T", " ");
  });
}

export function show(found, status, refresh) {
  const { step, points, label } = SPANS[span];
  const rows = new Map(found.over.map((row) => [row.name, row]));
  const length = found.over[0]?.name.length ?? { 60: 16, 3600: 13, 86400: 10 }[step];
  const moments = names(step, points, length);
  const series = (key, empty) => moments.map((name) => ({ label: label(name), value: rows.get(name)?.[key] ?? empty }));
  const total = (key) => found.over.reduce((sum, row) => sum + (row[key] ?? 0), 0);
  const charts = [
    bars("Requests", series("requests_total", 0), count, count(total("requests_total"))),
    bars("Failed", series("requests_failed", 0), count, count(total("requests_failed"))),
    bars("Spend", series("cost_total", 0), usd, usd(total("cost_total"))),
    bars("Tokens out", series("tokens_out", 0), count, count(total("tokens_out"))),
    bars("Latency, p50", series("latency_p50", null), seconds),
    bars("First token, p50", series("ttft_p50", null), seconds),
  ];
  return [
    part("Usage", choice("Time", Object.keys(SPANS), span, (name) => { span = name; refresh(); }, (name) => `last ${name}`),
      h("div", { class: "charts" }, charts), h("p", { class: "faint" }, "Times are in UTC.")),
    part("By", choice("Split", GROUPS, group, (name) => { group = name; refresh(); }, (name) => name), split(found.split)),
  ];
}

function choice(legend, names, chosen, choose, shown) {
  const buttons = names.map((name) =>
    h("button", { "aria-pressed": name === chosen ? "true" : "false", onclick: () => choose(name) }, shown(name)));
  return h("div", { class: "choice", role: "group", "aria-label": legend }, buttons);
}

function split(found) {
  const rows = [...found].sort((one, other) => other.cost_total - one.cost_total || other.requests_total - one.requests_total);
  const elsewhere = rows.some((row) => row.outside_cost || row.outside_requests);  // by agents' own subscriptions
  const cells = rows.map((row) => [
    row.name || "(none)", count(row.requests_total), h("span", { class: row.requests_failed ? "bad" : null }, count(row.requests_failed)),
    tokens(row), seconds(row.latency_p50), seconds(row.latency_p95), usd(row.cost_total),
    ...(elsewhere ? [usd(row.outside_cost ?? 0)] : []),
  ]);
  const columns = [
    { name: group }, { name: "requests", right: true }, { name: "failed", right: true }, { name: "tokens in + out", right: true, minor: true },
    { name: "p50", right: true, minor: true }, { name: "p95", right: true, minor: true }, { name: "cost", right: true },
    ...(elsewhere ? [{ name: "outside the mesh", right: true }] : []),
  ];
  return table(`Usage by ${group}`, columns, cells, "Nothing was asked in this time.");
}
