// Numbers, money and times as people read them. Money is in USD, times are in seconds.

export function count(value) {
  return value === null || value === undefined ? "" : Math.round(value).toLocaleString("en");
}

// "1 request", "2,000 requests"
export function counted(value, one, several = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : several}`;
}

export function usd(value) {
  if (value === null || value === undefined) return "";
  if (value !== 0 && Math.abs(value) < 0.01) return `$${value.toPrecision(2)}`;
  return `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 0.001) return "<1 ms";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 100 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

export function duration(value) {
  if (value === null || value === undefined) return "";
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const [name, size] = units.find(([, length]) => value >= length) ?? units[3];
  return `${Math.round(value / size)} ${name}`;
}

export function percent(fraction) {
  return fraction === null || fraction === undefined ? "" : `${Math.round(fraction * 100)} %`;
}

export function clock(atNs) {
  return new Date(atNs / 1e6).toLocaleTimeString("en-GB");
}

export function moment(at) {
  const then = new Date(at * 1000);
  const today = then.toDateString() === new Date().toDateString();
  return today ? then.toLocaleTimeString("en-GB") : then.toLocaleString("en-GB");
}

export function tokens(row) {
  return `${count(row.tokens_in)} + ${count(row.tokens_out)}`;
}
