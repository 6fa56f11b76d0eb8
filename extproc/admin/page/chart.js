// A chart of the window: axes, what is drawn between them, and exact values under the pointer or the arrow keys.
// A series is {slot, name, values}; `slot` is its colour. Readers of the screen have a summary and a slider.

const MARGIN = { left: 52, right: 4, top: 8, bottom: 22 };

class Chart {
  constructor(id, { format, formatTick = format, isWhole = false, smallest = 1, draw, summarize, sum = "" }) {
    Object.assign(this, { format, formatTick, draw, summarize, sum });
    this.figure = byId(id);
    this.title = this.figure.querySelector("h3").textContent;
    this.axis = new Axis(isWhole, smallest);
    this.frame = null;
    this.chosen = null; // the moment whose step is looked at
    this.pointer = null; // where the pointer is, which stays as steps move on
    this.width = 0;
    this.build(id);
    this.listen();
  }

  build(id) {
    this.plot = element("div", "plot");
    this.svg = drawing("svg", "", { "aria-hidden": "true", focusable: "false" });
    this.grid = drawing("g", "grid");
    this.ticks = drawing("g");
    this.marks = drawing("g");
    this.series = drawing("g");
    this.underWay = drawing("rect", "under-way");
    this.cursor = drawing("rect", "cursor", { visibility: "hidden" });
    this.none = drawing("text", "none", { visibility: "hidden" });
    this.svg.append(this.cursor, this.grid, this.ticks, this.marks, this.series, this.underWay, this.none);
    this.summary = element("p", "visually-hidden");
    this.summary.id = `${id}-summary`;
    this.slider = element("input");
    Object.assign(this.slider, { type: "range", min: 0, max: 89, value: 89, step: 1 });
    this.slider.setAttribute("aria-label", `${this.title}, step by step`);
    this.slider.setAttribute("aria-describedby", this.summary.id);
    this.tip = element("div", "tip");
    this.tip.hidden = true;
    this.tip.setAttribute("aria-hidden", "true");
    this.legend = element("ul", "legend");
    this.plot.append(this.svg, this.slider, this.tip);
    this.figure.append(this.plot, this.summary, this.legend);
  }

  listen() {
    const follow = (event) => {
      this.pointer = event.clientX - this.plot.getBoundingClientRect().left;
      this.look();
    };
    this.plot.addEventListener("pointermove", follow);
    this.plot.addEventListener("pointerdown", follow);
    this.plot.addEventListener("pointerleave", () => this.leave());
    this.slider.addEventListener("input", () => this.choose(Number(this.slider.value)));
    this.slider.addEventListener("focus", () => this.choose(Number(this.slider.value)));
    this.slider.addEventListener("blur", () => this.leave());
    this.slider.addEventListener("keydown", (event) => event.key === "Escape" && this.leave());
    new ResizeObserver(([entry]) => {
      this.width = entry.contentRect.width;
      this.height = entry.contentRect.height;
      this.paint();
    }).observe(this.plot);
  }

  /** Show {first, step, series, legend, ...}, whatever `draw` makes of it. */
  show(frame) {
    this.frame = frame;
    setText(this.summary, this.summarize(frame));
    showEach(this.legend, frame.legend, makeLegendEntry, showLegendEntry);
    this.paint();
  }

  get place() {
    const { left, right, top, bottom } = MARGIN;
    const room = this.height - top - bottom;
    return {
      left,
      slot: (this.width - left - right) / this.frame.count,
      y: (value) => top + room * (1 - value / this.axis.end),
    };
  }

  paint() {
    if (!this.frame || this.width < 120) return;
    this.axis.fit(this.frame.largest);
    const place = this.place;
    this.paintAxes(place);
    const paths = this.draw(this.frame, place);
    showEach(this.series, paths, () => drawing("path"), (node, { className, path }) => {
      setAttribute(node, "class", className);
      setAttribute(node, "d", path);
    });
    this.look();
  }

  paintAxes(place) {
    const right = this.width - MARGIN.right;
    const base = this.height - MARGIN.bottom;
    showEach(this.grid, this.axis.ticks, () => drawing("line"), (node, tick) => {
      setAttribute(node, "class", tick ? "" : "base");
      placeLine(node, place.left, place.y(tick), right);
    });
    showEach(this.ticks, this.axis.ticks, () => drawing("text", "y", { x: place.left - 8 }), (node, tick) => {
      setAttribute(node, "y", place.y(tick).toFixed(2));
      setText(node, tick ? this.formatTick(tick) : "0");
    });
    const { first, step, count } = this.frame;
    const marks = minuteMarks(first, first + step * count, this.width / 70);
    showEach(this.marks, marks, () => drawing("text", "x"), (node, at) => {
      setAttribute(node, "x", (place.left + ((at - first) / step) * place.slot).toFixed(1));
      setAttribute(node, "y", base + 16);
      setText(node, minute(at));
    });
    const last = place.left + (count - 1) * place.slot;
    placeBox(this.underWay, last, MARGIN.top, place.slot, base - MARGIN.top - 1);
    setText(this.none, this.frame.largest ? "" : "Nothing in this window");
    setAttribute(this.none, "visibility", this.frame.largest ? "hidden" : "visible");
    setAttribute(this.none, "x", (place.left + right) / 2);
    setAttribute(this.none, "y", base / 2 + 4);
  }

  choose(index) {
    if (!this.frame) return;
    this.pointer = null;
    this.chosen = this.frame.first + index * this.frame.step;
    this.look();
    setAttribute(this.slider, "aria-valuetext", this.tell(index));
  }

  leave() {
    this.pointer = this.chosen = null;
    this.look();
  }

  /** The step that is looked at, or -1. */
  get lookedAt() {
    const { first, step, count } = this.frame;
    const { left, slot } = this.place;
    if (this.pointer !== null) {
      const index = Math.floor((this.pointer - left) / slot);
      return index < 0 || index >= count ? -1 : index;
    }
    if (this.chosen === null) return -1;
    return Math.min(count - 1, Math.max(0, Math.round((this.chosen - first) / step)));
  }

  look() {
    const index = this.frame && this.width ? this.lookedAt : -1;
    setHidden(this.tip, index < 0);
    setAttribute(this.cursor, "visibility", index < 0 ? "hidden" : "visible");
    if (index < 0) return;
    const { left, slot } = this.place;
    placeBox(this.cursor, left + index * slot, MARGIN.top, slot, this.height - MARGIN.top - MARGIN.bottom);
    if (this.pointer === null) this.slider.value = index;
    this.fillTip(index);
    const middle = left + (index + 0.5) * slot;
    const width = this.tip.offsetWidth;
    const before = middle - width - 14;
    const at = middle + 14 + width < this.width || before < 0 ? Math.min(middle + 14, this.width - width) : before;
    this.tip.style.setProperty("--left", `${Math.max(0, Math.round(at))}px`);
  }

  rows(index) {
    const known = this.frame.series.filter((each) => isKnown(each.values[index]) && (!this.sum || each.values[index]));
    return known.map((each) => ({ ...each, value: each.values[index] }));
  }

  period(index) {
    const from = this.frame.first + index * this.frame.step;
    return `${clock(from)} – ${clock(from + this.frame.step)}`;
  }

  fillTip(index) {
    const rows = this.rows(index).toReversed();
    const body = element("tbody");
    for (const { slot, name, value } of rows) {
      const swatch = element("span", `swatch ${colour(slot)}`);
      body.append(element("tr", "", element("td", "", element("span", "named", swatch, nameNode(name))),
        element("td", "", this.format(value))));
    }
    if (this.sum) {
      const total = rows.reduce((sum, row) => sum + row.value, 0);
      body.append(element("tr", "sum", element("td", "", this.sum), element("td", "", this.format(total))));
    }
    const when = element("p", "", this.period(index) + (index === this.frame.count - 1 ? ", under way" : ""));
    this.tip.replaceChildren(when, rows.length || this.sum ? element("table", "", body) : "Nothing");
  }

  /** The same in a sentence. */
  tell(index) {
    const rows = this.rows(index).toReversed();
    const parts = rows.map(({ name, value }) => `${legible(name)} ${this.format(value)}`);
    if (this.sum) parts.unshift(`${this.sum} ${this.format(rows.reduce((sum, row) => sum + row.value, 0))}`);
    return `${this.period(index)}: ${parts.join(", ") || "nothing"}`;
  }
}

const SLOTS = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];

const colour = (slot) => (slot === "bad" ? "s-bad" : SLOTS[slot]);

function makeLegendEntry() {
  return element("li", "", element("span"), nameNode(), element("span"));
}

function showLegendEntry(node, { slot, name, text, kind = "" }) {
  const [swatch, label, value] = node.children;
  setAttribute(swatch, "class", `swatch ${kind} ${colour(slot)}`);
  setName(label, name);
  setText(value, text);
}

function placeLine(line, x1, y, x2) {
  Object.entries({ x1, y1: y, x2, y2: y }).forEach(([key, value]) => setAttribute(line, key, value.toFixed(2)));
}

function placeBox(rect, x, y, width, height) {
  Object.entries({ x, y, width, height }).forEach(([key, value]) => setAttribute(rect, key, value.toFixed(2)));
}
