// The two tables. Rows are found again by their keys and used again: what has not changed is not written.

/** The body of a table; `columns` are {title, className, make, show(cell, item)}. */
class Rows {
  constructor(body, columns) {
    this.body = body;
    this.columns = columns;
    this.rows = new Map();
  }

  /** Show items as [key, item], in this order. */
  show(entries) {
    const keys = new Set(entries.map(([key]) => key));
    const free = [];
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      free.push(row);
      this.rows.delete(key);
    }
    entries.forEach(([key, item], index) => {
      const row = this.rows.get(key) ?? free.pop() ?? this.makeRow();
      this.rows.set(key, row);
      if (this.body.children[index] !== row) this.body.insertBefore(row, this.body.children[index] ?? null);
      this.columns.forEach((column, number) => column.show(row.children[number], item));
    });
    free.forEach((row) => row.remove());
  }

  makeRow() {
    return element("tr", "", ...this.columns.map(({ className = "", isName }, number) => {
      const cell = element(isName && !number ? "th" : "td", className);
      if (cell.tagName === "TH") cell.scope = "row";
      if (isName) cell.append(element("span", "named", element("span", "swatch"), nameNode()));
      return cell;
    }));
  }
}

/** A column of text; `warn` says which class the cell has. */
const textColumn = (title, className, text, look = () => "", about = () => "") => ({
  title, className,
  show: (cell, item) => {
    setText(cell, text(item));
    setAttribute(cell, "class", `${className} ${look(item)}`.trim());
    setTitle(cell, about(item));
  },
});

const modelColumn = (colours) => ({
  title: "Model", className: "w-name", isName: true,
  show: (cell, item) => {
    const [swatch, name] = cell.firstElementChild.children;
    const slot = colours.of(keyOf(item));
    setAttribute(swatch, "class", `swatch ${slot ? colour(slot) : "s0"}`);
    setName(name, keyOf(item) === OTHER ? "other models" : item.model || DASH);
    if (item.provider_model && item.provider_model !== item.model) {
      setTitle(name, `${legible(item.model)}, answered by ${legible(item.provider_model)}`);
    }
  },
});

const providerColumn = {
  title: "Provider", className: "w-provider",
  show: (cell, item) => {
    if (!cell.firstElementChild) cell.append(nameNode());
    setName(cell.firstElementChild, keyOf(item) === OTHER ? DASH : item.provider || DASH);
  },
};

const tokensOf = ({ sums }) => sums.prompt_tokens + sums.completion_tokens;

/** What it cost, as far as is known: nothing, where no exchange has a price. */
const costOf = ({ cost_usd_micros: micros, priced }) => (priced ? micros : null);

const ratio = (part, whole) => (whole ? part / whole : null);

/** A column of numbers, with the value it is sorted by. */
const numberColumn = (title, value, text, look, about = exactly) => ({
  ...textColumn(title, "number", (item) => text(value(item), item), look, (item) => about(value(item))), value,
});

const lastColumn = (...parts) => ({ ...numberColumn(...parts), className: "number w-last" });

const exactly = (value) => (Number.isInteger(value) && value >= 10_000 ? exact(value) : "");

// Some errors are everyday; these shares are not.
const MANY = 0.01;
const TOO_MANY = 0.05;

const lookOfErrors = (part, whole) => {
  const errors = ratio(part, whole) ?? 0;
  return errors >= TOO_MANY ? "bad" : errors >= MANY ? "warn" : errors ? "" : "dim";
};

function modelColumns(colours) {
  const tokens = numberColumn("Tokens", tokensOf, compact);
  tokens.className = "number w-tokens";
  const showTokens = tokens.show;
  tokens.show = (cell, item) => {
    showTokens(cell, item);
    setAttribute(cell, "class", "number w-tokens share");
    const width = item.share.toFixed(3);
    if (cell.style.getPropertyValue("--share") !== width) cell.style.setProperty("--share", width);
  };
  return [
    { ...modelColumn(colours), value: ({ model }) => model },
    { ...providerColumn, value: ({ provider }) => provider },
    numberColumn("Requests", ({ sums }) => sums.requests, compact),
    numberColumn("Errors", ({ sums }) => ratio(sums.errors, sums.requests), (_, { sums }) =>
      share(sums.errors, sums.requests), ({ sums }) => lookOfErrors(sums.errors, sums.requests)),
    tokens,
    numberColumn("Prompt", ({ sums }) => sums.prompt_tokens, compact),
    numberColumn("Completion", ({ sums }) => sums.completion_tokens, compact),
    numberColumn("Cached", ({ sums }) => sums.cached_tokens, compact),
    { ...numberColumn("Cost", ({ sums }) => costOf(sums), cost, undefined, exactCost), className: "number w-cost" },
    numberColumn("First p50", ({ sums }) => sums.first_token_seconds.p50, roughly),
    numberColumn("First p95", ({ sums }) => sums.first_token_seconds.p95, roughly),
    lastColumn("Uncounted", ({ sums }) => ratio(sums.not_reported, sums.requests), (_, { sums }) =>
      share(sums.not_reported, sums.requests), ({ sums }) => (sums.not_reported ? "warn" : "dim")),
  ];
}

const HEADER_TITLES = {
  Errors: "Share of requests that ended in an error",
  Cached: "Prompt tokens that the provider had cached",
  "First p50": "Time to first token, median",
  "First p95": "Time to first token, 95th percentile",
  Uncounted: "Share of requests whose provider did not report usage, or not all of it",
  Source: "Where the counts are from",
};

function fillHeader(row, columns, makeContent) {
  row.replaceChildren(...columns.map((column) => {
    const cell = element("th", column.className, makeContent(column));
    cell.scope = "col";
    setTitle(cell, HEADER_TITLES[column.title] ?? "");
    return cell;
  }));
}

/** By a column, either way; what is not known comes last, and the rest of the models behind all. */
function compare(value, direction) {
  const isLast = (item) => (keyOf(item) === OTHER ? 2 : isKnown(value(item)) ? 0 : 1);
  return (a, b) => {
    if (isLast(a) || isLast(b)) return isLast(a) - isLast(b);
    const [x, y] = [value(a), value(b)];
    return direction * (typeof x === "string" ? x.localeCompare(y) : x - y);
  };
}

class ModelTable {
  constructor(colours, announce) {
    this.columns = modelColumns(colours);
    this.rows = new Rows(byId("models").tBodies[0], this.columns);
    this.sorted = { column: this.columns.find(({ title }) => title === "Tokens"), direction: -1 };
    this.wanted = "";
    this.models = [];
    this.header = byId("models").tHead.rows[0];
    fillHeader(this.header, this.columns, (column) => this.makeButton(column));
    byId("models-filter").addEventListener("input", ({ target }) => {
      this.wanted = target.value.trim().toLowerCase();
      announce(this.paint());
    });
  }

  makeButton(column) {
    const button = element("button", "", column.title);
    button.type = "button";
    button.addEventListener("click", () => {
      const first = column.className.includes("number") ? -1 : 1;
      const direction = this.sorted.column === column ? -this.sorted.direction : first;
      this.sorted = { column, direction };
      this.paint();
    });
    return button;
  }

  show({ models }) {
    const most = Math.max(1, ...models.map(tokensOf));
    this.models = models.map((model) => ({ ...model, share: tokensOf(model) / most }));
    this.paint();
  }

  paint() {
    const { column, direction } = this.sorted;
    [...this.header.cells].forEach((cell, number) => {
      if (this.columns[number] !== column) cell.removeAttribute("aria-sort");
      else setAttribute(cell, "aria-sort", direction > 0 ? "ascending" : "descending");
    });
    const isWanted = (name) => legible(name).toLowerCase().includes(this.wanted);
    const matches = ({ provider, model }) => isWanted(provider) || isWanted(model);
    const shown = this.models.filter((item) => !this.wanted || matches(item)).sort(compare(column.value, direction));
    this.rows.show(shown.map((item) => [keyOf(item), item]));
    const hasMore = this.models.some((item) => keyOf(item) === OTHER);
    const count = `${plural(this.models.length - hasMore, "model", "models")}${hasMore ? " and others" : ""}`;
    const text = this.wanted ? `${exact(shown.length)} of ${count}` : count;
    setText(byId("models-text"), text);
    return text;
  }
}

function outcomeColumn() {
  const look = ({ completion, status }) =>
    completion === "error" || status >= 400 ? "bad" : completion === "complete" ? "" : "warn";
  const text = ({ completion, status, error_type: error, finish_reason: reason }) =>
    legible([status ?? DASH, completion, error ?? reason].filter(Boolean).join(" · "));
  return textColumn("Outcome", "w-outcome", text, look, text);
}

function exchangeColumns(colours) {
  const sources = { reported: "dim", partial: "warn", estimated: "warn", none: "warn" };
  const tokens = (title, count) => textColumn(title, "number", (item) => exact(count(item)), () => "");
  return [
    textColumn("Time", "w-time", ({ time }) => clock(time), () => "", ({ time }) => moment(time)),
    modelColumn(colours),
    providerColumn,
    outcomeColumn(),
    tokens("Prompt", (item) => item.prompt_tokens),
    tokens("Completion", (item) => item.completion_tokens),
    textColumn("Cost", "number w-cost", ({ cost_usd_micros: micros }) => cost(micros), () => "",
      ({ cost_usd_micros: micros }) => exactCost(micros)),
    textColumn("Duration", "number", (item) => seconds(item.duration_seconds)),
    textColumn("First token", "number", (item) => seconds(item.first_token_seconds)),
    textColumn("Source", "", (item) => item.usage_source, (item) => sources[item.usage_source] ?? "dim"),
  ];
}

class ExchangeTable {
  constructor(colours) {
    const columns = exchangeColumns(colours);
    this.rows = new Rows(byId("exchanges").tBodies[0], columns);
    this.isPaused = false;
    this.latest = [];
    fillHeader(byId("exchanges").tHead.rows[0], columns, ({ title }) => title);
    byId("pause").addEventListener("click", () => {
      this.isPaused = !this.isPaused;
      setText(byId("pause"), this.isPaused ? "Resume" : "Pause");
      this.pausedAt = Date.now() / 1000;
      this.paint();
    });
  }

  show({ exchanges }) {
    this.latest = exchanges;
    this.paint();
  }

  paint() {
    setText(byId("exchanges-text"), this.isPaused ? `Paused at ${clock(this.pausedAt)}` : "Newest first");
    if (this.isPaused) return;
    const seen = new Map();
    this.rows.show(this.latest.map((item) => {
      const key = JSON.stringify([item.time, item.provider, item.model, item.duration_seconds]);
      seen.set(key, (seen.get(key) ?? 0) + 1);
      return [`${key} ${seen.get(key)}`, item];
    }));
  }
}
