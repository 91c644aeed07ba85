// Pools and their models, providers, apps and limits.

import { get, post } from "/dashboard/api.js";
import { meter } from "/dashboard/charts.js";
import { confirmed, h, part, plain, state, table } from "/dashboard/elements.js";
import { count, counted, duration, moment, percent, seconds, tokens, usd } from "/dashboard/format.js";

const TONES = { active: "good", standby: "bad", probation: "warn" };
const OWN = /^modelmesh\./;
// The strategies that stay with a model, so that a pool can be moved to its next one.
const STAYING = ["modelmesh.stick-until-failure.v1", "modelmesh.rate-limit-aware.v1"];

export async function load() {
  const [pools, models, apps, budget, describe] = await Promise.all([
    get("pools"), get("models"), get("apps"), get("budget"), get("describe"),
  ]);
  return { pools: pools.data, models: models.data, apps: apps.data, limits: budget.data, admin: describe.you.admin };
}

export function show(found, status, refresh) {
  // place: the `data-act` of the element in which a failure is shown.
  const act = (place, path, body, question) => async () => {
    if (await confirmed(question)) await refresh(() => post(path, body), place);
  };
  return [
    notes(status),
    part("Pools", ...found.pools.map((pool) => poolOf(pool, found, act))),
    part("Providers", providers(status.providers ?? [])),
    part("Apps", apps(found.apps)),
    part("Limits", limits(found.limits)),
    found.admin ? part("Configuration", configuration(status, act)) : null,
  ];
}

function notes(status) {
  const found = troubles(status);
  return found.length ? part("Notes", h("ul", { class: "notes" }, found.map(([tone, text]) => h("li", {}, state(tone, text))))) : null;
}

// What is wrong with the daemon, as `meshctl status` tells it, without what stands in the tables: [tone, text] of each,
// the worst first.
function troubles(status) {
  const bad = [...lacking(status), ...storing(status), ...refused(status), ...running(status)];
  const minor = [];
  const secrets = status.secrets ?? {};
  for (const store of secrets.stores ?? []) {
    if (store.error) bad.push(`Secrets: ${store.error}; it will be asked again, known values stay in use.`);
  }
  for (const [name, why] of Object.entries(secrets.kept ?? {})) {
    minor.push(`Secret ${name} cannot be read again, so its known value stays in use: ${why}`);
  }
  for (const sink of status.sinks ?? []) {
    if (sink.error) bad.push(`Log ${sink.sink}: ${sink.error}`);
    if (sink.dropped) minor.push(`Log ${sink.sink}: ${counted(sink.dropped, "entry was", "entries were")} dropped.`);
  }
  minor.push(...(status.notes ?? []));
  return [...bad.map((text) => ["bad", text]), ...minor.map((text) => ["warn", text])].filter(([, text]) => text);
}

function lacking(status) {
  return [
    ...(status.failing ?? []).map((each) => `Every request to ${each.id} has failed since ${moment(each.failing_since)}: ${each.last_failure_reason ?? ""}`),
    ...(status.lacks ?? []).map((each) => (typeof each === "string" ? each : each.message ?? "")),
  ];
}

function storing(status) {
  const { state = {}, journal } = status;
  const good = state.ok ?? true;
  return [
    good ? "" : `State: ${state.error || "not writable"} (${state.directory}): still serving.`,
    state.remote?.error ? `Storage: ${state.remote.error}; the state directory has everything, and it is copied later.` : "",
    journal?.error && good ? `Spend journal: ${journal.error}: still serving.` : "",
  ];
}

function refused(status) {
  const reload = status.last_reload;
  return reload && !reload.ok ? (reload.problems ?? []).map((problem) => `Configuration refused: ${problemLine(problem)}`) : [];
}

// `file:line: path: message; did you mean "…"?`
function problemLine(problem) {
  const place = `${problem.file ?? ""}${problem.line ? `:${problem.line}` : ""}`;
  const line = [place, problem.path, problem.message].filter(Boolean).join(": ");
  return problem.suggestion ? `${line}; did you mean "${problem.suggestion}"?` : line;
}

function running(status) {
  return (status.actors ?? []).filter((actor) => actor.alive === false).map((actor) => `Actor ${actor.name} is dead: ${actor.last_error ?? ""}`);
}

// Whether the pool can be moved to another model. A strategy from elsewhere may stay with a model as well.
function rotates(pool) {
  const now = pool.current ?? pool.models[0]?.id;
  return (STAYING.includes(pool.strategy) || !OWN.test(pool.strategy)) && pool.models.some((each) => each.status === "active" && each.id !== now);
}

function poolOf(pool, found, act) {
  const total = pool.active + pool.standby;
  const tone = pool.active === total ? "good" : pool.active ? "warn" : "bad";
  const byId = new Map(found.models.map((model) => [model.id, model]));
  const rows = pool.models.map((member) => {
    const model = byId.get(member.id) ?? {};
    return [
      h("span", {}, member.id, member.id === pool.current ? h("span", { class: "tag" }, "now") : null),
      state(TONES[member.status] ?? "faint", member.status),
      why(member),
      count(model.requests),
      h("span", { class: model.failures ? "bad" : null }, count(model.failures)),
      seconds(model.latency?.p50),
      seconds(model.first_token?.p50),
      percent(member.headroom),
      usd(model.cost),
      found.admin ? switchOf(pool, member, act) : "",
    ];
  });
  const columns = [
    { name: "model" }, { name: "state" }, { name: "why", sparse: true }, { name: "requests", right: true, minor: true },
    { name: "failed", right: true, minor: true }, { name: "p50", right: true, minor: true },
    { name: "first token", right: true, minor: true }, { name: "headroom", right: true, minor: true },
    { name: "cost", right: true, minor: true }, { name: found.admin ? "switch" : "" },
  ];
  const strategy = plain(pool.strategy).replace(OWN, "").replace(/\.v1$/, "");
  return h(
    "details",
    { class: "pool", open: pool.active < total, "data-keep": `pool ${pool.name}` },
    h("summary", {}, h("strong", {}, pool.name), " ", state(tone, `${pool.active} of ${total} active`), " ",
      h("span", { class: "faint" }, [pool.current ? `now ${pool.current}` : "", strategy].filter(Boolean).join(", "))),
    table(`Models of ${pool.name}`, columns, rows, "This pool has no models."),
    found.admin ? h("div", { "data-act": `rotate ${pool.name}` }, rotates(pool) ? rotation(pool, act) : null) : null,
  );
}

function rotation(pool, act) {
  const rotate = act(`rotate ${pool.name}`, "rotate", { pool: pool.name }, `Move ${pool.name} to its next model?`);
  return h("button", { class: "act", onclick: rotate }, `Rotate ${plain(pool.name)}`);
}

function why(member) {
  if (member.status === "active") return "";
  const back = member.recovers_in === null ? "" : `back in ${duration(member.recovers_in)}`;
  return h("span", { class: "why" }, [member.reason, back].filter(Boolean).join("; "));
}

function switchOf(pool, member, act) {
  const place = `switch ${member.id} in ${pool.name}`;
  const on = member.status !== "active";
  const change = on
    ? act(place, "models/activate", { id: member.id }, `Put ${member.id} back into service?`)
    : act(place, "models/deactivate", { id: member.id, reason: "switched off in the dashboard" }, `Take ${member.id} out of service?`);
  const label = `Switch ${member.id} ${on ? "on" : "off"}`;
  return h("div", { "data-act": place }, h("button", { class: "act", onclick: change, "aria-label": label }, on ? "On" : "Off"));
}

// As `meshctl providers` has it.
function availability(row) {
  if (row.enabled === false) return row.key === "missing" ? state("warn", "left out") : state("faint", "disabled");
  if (["refused", "wanted"].includes(row.key)) return state("bad", `key ${row.key}`);
  if (row.answering === "nothing") return state("bad", "wrong base_url");
  return row.available ? state("good", "available") : state("bad", "away");
}

function providers(rows) {
  const cells = rows.map((row) => [
    row.name,
    availability(row),
    h("span", { class: "why" }, [row.reason, row.said].filter(Boolean).join(": ")),
    row.key ?? "",
    count(row.models),
    count(row.in_flight),
    seconds(row.latency),
    usd(row.cost),
  ]);
  const columns = [
    { name: "provider" }, { name: "state" }, { name: "why", sparse: true }, { name: "key", minor: true },
    { name: "models", right: true, minor: true }, { name: "in flight", right: true, minor: true }, { name: "probe", right: true, minor: true }, { name: "cost", right: true },
  ];
  return table("Providers", columns, cells, "No provider is configured.");
}

function apps(rows) {
  const cells = rows.map((row) => [
    row.name, kindOf(row), count(row.in_flight), count(row.waiting), count(row.requests),
    h("span", { class: row.failed ? "bad" : null }, count(row.failed)), tokens(row), usd(row.cost_today),
  ]);
  const columns = [
    { name: "app" }, { name: "kind" }, { name: "in flight", right: true, minor: true }, { name: "waiting", right: true, minor: true },
    { name: "requests", right: true }, { name: "failed", right: true }, { name: "tokens in + out", right: true, minor: true },
    { name: "today", right: true },
  ];
  return table("Apps", columns, cells, "No app has sent a request yet.");
}

// As `meshctl apps` has it. The row of `default` is the sum of the programs that have no entry.
function kindOf(row) {
  const rules = row.name === "default" ? "all without an entry" : row.configured !== false ? "" : row.account === row.name ? "default, for itself" : "default";
  return [row.admin ? "admin" : "", rules].filter(Boolean).join(", ");
}

function limits(rows) {
  const shown = { cost: usd, requests: count, tokens: count };
  const cells = rows.map((row) => {
    const amount = shown[row.measure] ?? count;
    const left = row.limit > 0 ? row.remaining / row.limit : 0;
    return [
      `${row.scope} ${row.name}${row.pool ? ` in ${row.pool}` : ""}`, `${row.measure} a ${row.window}`, amount(row.spent), amount(row.reserved),
      amount(row.limit), meter(left, percent(Math.max(0, left))), row.resets_at ? moment(row.resets_at) : "",
    ];
  });
  const columns = [
    { name: "of" }, { name: "limit on", minor: true }, { name: "spent", right: true }, { name: "reserved", right: true, minor: true },
    { name: "limit", right: true }, { name: "left" }, { name: "resets", minor: true },
  ];
  return table("Limits", columns, cells, "No limits are set (`budget` in the configuration).");
}

function configuration(status, act) {
  const refused = status.last_reload?.ok === false;
  return h(
    "div",
    { "data-act": "reload" },
    h("p", {}, status.config?.source ? `From ${status.config.source}.` : "No file: what was found on this machine.",
      refused ? h("span", { class: "bad" }, " The last change was refused; Notes say why.") : null),
    h("button", { class: "act", onclick: act("reload", "reload", {}, "Read the configuration again?") }, "Reload"),
  );
}
