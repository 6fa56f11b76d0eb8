// The page: what of an answer is shown where, and what is said when none comes.

const THEMES = { auto: "Auto", light: "Light", dark: "Dark" };
const WINDOW_SECONDS = 900;

/** Say something to those who do not see it, when it changes. */
const announce = (text) => setText(byId("announcer"), text);

class State {
  constructor() {
    this.kind = "loading";
    this.wasReady = false;
    this.lostAt = 0;
  }

  set(kind, text) {
    if (this.kind === kind) return;
    if (this.kind === "lost") announce(`The sidecar answers again: ${text}`);
    else if (this.kind !== "loading") announce(text);
    this.kind = kind;
    setAttribute(byId("state"), "data-state", kind);
    setText(byId("state-text"), text);
  }

  answered({ is_ready: isReady, version }) {
    this.lostAt = 0;
    if (isReady) this.set("ready", "Ready");
    else this.set("draining", this.wasReady ? "Draining" : "Not ready");
    this.wasReady ||= isReady;
    const other = version !== document.documentElement.dataset.version;
    const link = element("a", "", "Load its page.");
    link.href = "./";
    showBanner(other ? ["The sidecar is of another version now. ", link] : [], "warning");
  }

  lost(reason) {
    this.lostAt ||= Date.now() / 1000;
    this.set("lost", "Lost");
    const since = `No answer from the sidecar since ${clock(this.lostAt)}`;
    showBanner([`${since}${reason && ` (${reason})`}. What is shown is from before. Trying again.`], "error");
  }
}

function showBanner(content, kind) {
  const banner = byId("banner");
  setHidden(banner, !content.length);
  const text = content.map((part) => part.textContent ?? part).join("");
  if (banner.textContent === text) return;
  banner.dataset.kind = kind;
  banner.replaceChildren(...content);
}

class Tile {
  constructor(id) {
    this.big = element("p", "big", DASH);
    this.more = element("p", "more");
    this.trend = new Trend();
    byId(id).append(this.big, this.more, this.trend.svg);
  }

  /** `parts` are texts, or [text, class]. */
  show(big, title, parts, values) {
    setText(this.big, big);
    setTitle(this.big, title);
    const said = parts.filter(Boolean).flatMap((part, index) => (index ? [" · ", part] : [part]));
    showEach(this.more, said, () => element("span"), (node, part) => {
      const [text, look] = Array.isArray(part) ? part : [part, ""];
      setText(node, text);
      setAttribute(node, "class", look);
    });
    this.trend.show(values);
  }
}

function makeTiles() {
  const ids = ["tile-tokens", "tile-cost", "tile-requests", "tile-first-token"];
  const [tokens, money, requests, first] = ids.map((id) => new Tile(id));
  return ({ sums, steps: { all }, now, started, first_step: firstStep }) => {
    const covered = Math.min(WINDOW_SECONDS, Math.max(60, now - Math.max(started, firstStep)));
    const used = sums.prompt_tokens + sums.completion_tokens;
    const perStep = all.prompt_tokens.map((value, index) => value + all.completion_tokens[index]);
    tokens.show(compact((used * 60) / covered), `${exact(used)} tokens in ${span(covered)}`,
      [`${compact(sums.prompt_tokens)} in`, `${compact(sums.completion_tokens)} out`], perStep);
    const spent = costOf(sums);
    money.show(cost(spent), exactCost(spent), [spent > 0 && `${cost((spent * 3600) / covered)} an hour`,
        sums.unpriced > 0 && [`${compact(sums.unpriced)} unpriced`, "warn"]], all.cost_usd_micros);
    requests.show(compact(sums.requests), `${exact(sums.requests)} requests`,
      [[sums.errors ? `${share(sums.errors, sums.requests)} errors` : "no errors",
        sums.errors ? lookOfErrors(sums.errors, sums.requests) : ""],
        sums.cancelled > 0 && `${compact(sums.cancelled)} cancelled`], all.requests);
    first.show(roughly(sums.first_token_seconds.p95), "",
      [isKnown(sums.first_token_seconds.p50) && `p50 ${roughly(sums.first_token_seconds.p50)}`,
        isKnown(sums.per_token_seconds.p50) && `${roughly(sums.per_token_seconds.p50)} a token`],
      all.first_token_p95_seconds);
  };
}

function showFacts({ version, now, started, workers, first_step: firstStep }) {
  setText(byId("version"), version);
  setText(byId("uptime"), span(now - started));
  setText(byId("workers"), `${exact(workers.ready)} of ${exact(workers.total)}`);
  const isWhole = workers.heard >= workers.total;
  const heard = isWhole ? "" : `, from ${exact(workers.heard)} of ${exact(workers.total)} workers`;
  setText(byId("window-text"), `${clock(Math.max(firstStep, started))} – ${clock(now)}${heard}`);
}

function listenToTheme() {
  const names = Object.keys(THEMES);
  const use = (name) => {
    document.documentElement.dataset.theme = name;
    setText(byId("theme-text"), THEMES[name]);
  };
  let name = "auto";
  try {
    name = localStorage.getItem("theme");
  } catch {
    // there is no storage here: the choice lasts as long as the page
  }
  use(names.includes(name) ? name : "auto");
  byId("theme").addEventListener("click", () => {
    const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
    use(next);
    try {
      localStorage.setItem("theme", next);
    } catch {
      // as above
    }
  });
}

function start() {
  listenToTheme();
  const state = new State();
  const colours = new Colours();
  const findings = new Findings();
  const models = new ModelTable(colours, announce);
  const exchanges = new ExchangeTable(colours);
  const showTiles = makeTiles();
  const showCharts = makeCharts();
  const here = new URL(".", location.href).href.replace(/\/$/, "");
  setText(byId("empty-doctor"), `extproc doctor --envoy-admin http://127.0.0.1:9901 --sidecar ${here}`);
  const onAnswer = (recent) => {
    colours.assign(recent.steps.models.map(keyOf));
    const isEmpty = !recent.sums.requests && !recent.exchanges.length;
    setHidden(byId("empty"), !isEmpty);
    setHidden(byId("traffic"), isEmpty);
    showFacts(recent);
    showTiles(recent);
    findings.show(recent.findings);
    if (!isEmpty) {
      showCharts(recent, colours);
      models.show(recent);
      exchanges.show(recent);
    }
    state.answered(recent);
  };
  new Poll({ onAnswer, onLoss: (reason) => state.lost(reason) }).resume();
}

start();
