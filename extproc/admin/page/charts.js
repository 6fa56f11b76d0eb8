// The four charts, and the small trends in the tiles: which numbers of the answer each of them shows.

const COLOURS = 8;

/** Which model has which colour. Whoever has one keeps it as long as it is among the largest. */
class Colours {
  constructor() {
    this.slots = new Map();
  }

  assign(keys) {
    const wanted = keys.filter((key) => key !== OTHER).slice(0, COLOURS);
    for (const key of [...this.slots.keys()]) if (!wanted.includes(key)) this.slots.delete(key);
    const taken = new Set(this.slots.values());
    const free = [1, 2, 3, 4, 5, 6, 7, 8].filter((slot) => !taken.has(slot));
    for (const key of wanted) if (!this.slots.has(key)) this.slots.set(key, free.shift());
  }

  of(key) {
    return this.slots.get(key) ?? 0;
  }
}

const keyOf = ({ provider, model }) => JSON.stringify([provider, model]);
const OTHER = keyOf({ provider: "other", model: "other" });

const total = (values) => values.reduce((sum, value) => sum + value, 0);

function drawStack({ series, count }, place) {
  const bases = new Array(count).fill(0);
  return series.map(({ slot, values }) => {
    const path = barsPath(values, bases, place);
    values.forEach((value, index) => (bases[index] += value));
    return { className: `bar ${colour(slot)}`, path };
  });
}

function drawPercentiles({ series: [upper, lower] }, place) {
  const look = colour(lower.slot);
  return [
    { className: `band ${look}`, path: bandPath(lower.values, upper.values, place) },
    { className: `line dashed ${look}`, path: linePath(upper.values, place) },
    { className: `line ${look}`, path: linePath(lower.values, place) },
    { className: `line dots ${look}`, path: dotsPath(upper.values, place) + dotsPath(lower.values, place) },
  ];
}

const largestOf = (values) => values.reduce((largest, value) => Math.max(largest, value ?? 0), 0);

function stackFrame(recent, series, legend) {
  const frame = frameOf(recent);
  const sums = Array.from({ length: frame.count }, (_, index) => total(series.map(({ values }) => values[index])));
  return { ...frame, series, legend, largest: largestOf(sums), sums };
}

const frameOf = (recent) => ({
  first: recent.first_step, step: recent.step_seconds, count: recent.steps.all.requests.length,
});

function summarizeStack(unit) {
  return ({ first, step, sums, legend }) => {
    const most = largestOf(sums);
    if (!most) return `No ${unit} in the last 15 minutes.`;
    const at = clock(first + sums.indexOf(most) * step);
    const parts = legend.map(({ name, text }) => `${legible(name)} ${text}`).join(", ");
    return `${exact(total(sums))} ${unit} in 15 minutes; most in one step: ${exact(most)} at ${at}. ${parts}.`;
  };
}

function summarizePercentiles({ legend }) {
  return `In the last 15 minutes ${legend.map(({ name, text }) => `${name} ${text}`).join(", ")}.`;
}

function percentileFrame(recent, upper, lower, { p50, p95 }) {
  return {
    ...frameOf(recent),
    series: [{ slot: 4, name: "p95", values: upper }, { slot: 4, name: "p50", values: lower }],
    legend: [
      { slot: 4, name: "p50", text: roughly(p50), kind: "stroke" },
      { slot: 4, name: "p95", text: roughly(p95), kind: "stroke dashed" },
    ],
    largest: Math.max(largestOf(upper), largestOf(lower)),
  };
}

function tokensFrame(recent, colours) {
  const { all, models } = recent.steps;
  const whole = total(all.prompt_tokens) + total(all.completion_tokens);
  const isSame = (name) => models.filter(({ model }) => model === name).length > 1;
  const series = models.map(({ provider, model, tokens }) => {
    const key = keyOf({ provider, model });
    const name = key === OTHER ? "other models" : isSame(model) || !model ? `${provider} ${model}` : model;
    return { slot: key === OTHER ? 0 : colours.of(key), name, values: tokens };
  });
  series.sort((a, b) => (a.slot || 99) - (b.slot || 99));
  const legend = series.map(({ slot, name, values }) => ({ slot, name, text: share(total(values), whole) }));
  return stackFrame(recent, series, legend);
}

function requestsFrame(recent) {
  const { requests, errors } = recent.steps.all;
  const succeeded = requests.map((value, index) => Math.max(0, value - errors[index]));
  const series = [
    { slot: 1, name: "without error", values: succeeded },
    { slot: "bad", name: "errors", values: errors },
  ];
  const legend = series.map(({ slot, name, values }) => ({ slot, name, text: exact(total(values)) }));
  return stackFrame(recent, series, legend);
}

function makeCharts() {
  const tokens = new Chart("chart-tokens", {
    format: exact, formatTick: compact, isWhole: true, smallest: 4, sum: "Tokens",
    draw: drawStack, summarize: summarizeStack("tokens"),
  });
  const requests = new Chart("chart-requests", {
    format: exact, formatTick: compact, isWhole: true, smallest: 4, sum: "Requests",
    draw: drawStack, summarize: summarizeStack("requests"),
  });
  const latency = {
    format: roughly, formatTick: seconds, smallest: 0.004, draw: drawPercentiles, summarize: summarizePercentiles,
  };
  const firstToken = new Chart("chart-first-token", latency);
  const duration = new Chart("chart-duration", latency);
  return (recent, colours) => {
    const { all } = recent.steps;
    tokens.show(tokensFrame(recent, colours));
    firstToken.show(percentileFrame(recent, all.first_token_p95_seconds, all.first_token_p50_seconds,
      recent.sums.first_token_seconds));
    duration.show(percentileFrame(recent, all.duration_p95_seconds, all.duration_p50_seconds,
      recent.sums.duration_seconds));
    requests.show(requestsFrame(recent));
  };
}

/** A line without axes, as wide as its box. The step under way is left out: it would always fall to nothing. */
class Trend {
  constructor() {
    this.svg = drawing("svg", "trend", { viewBox: "0 0 89 40", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.area = drawing("path", "area");
    this.stroke = drawing("path", "stroke");
    this.axis = new Axis(false, 1e-6);
    this.svg.append(this.area, this.stroke);
  }

  show(values) {
    const whole = values.slice(0, -1);
    const largest = largestOf(whole);
    setAttribute(this.svg, "visibility", largest ? "visible" : "hidden");
    this.axis.fit(largest);
    const place = { left: 0, slot: 89 / whole.length, y: (value) => 39 - (value / this.axis.end) * 37 };
    setAttribute(this.stroke, "d", linePath(whole, place) + dotsPath(whole, place));
    setAttribute(this.area, "d", bandPath(whole.map((value) => (isKnown(value) ? 0 : null)), whole, place));
  }
}
