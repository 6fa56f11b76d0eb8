// Numbers to places: axes whose ends are round, and stay where they are while data moves.

const ROUND = [1, 2, 2.5, 5, 10];
const INTERVALS = 4;

/** The distance of two ticks, so that a few of them reach `largest`. Whole values have whole ticks. */
function tickStep(largest, isWhole) {
  const wanted = largest / INTERVALS;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = ROUND.map((each) => each * power).find((each) => each >= wanted * 0.9999);
  return isWhole ? Math.max(1, Math.ceil(step)) : step;
}

/** An axis of values that begins at 0. */
class Axis {
  constructor(isWhole, smallest) {
    this.isWhole = isWhole;
    this.smallest = smallest;
    this.setEnd(smallest);
  }

  setEnd(largest) {
    this.step = tickStep(largest, this.isWhole);
    this.end = this.step * Math.ceil(largest / this.step - 1e-9);
  }

  /** Grow at once, but shrink only when most of the room is empty: else the axis would flicker. */
  fit(largest) {
    const wanted = Math.max(largest, this.smallest);
    if (wanted > this.end || wanted < this.end * 0.35) this.setEnd(wanted);
  }

  get ticks() {
    return Array.from({ length: Math.round(this.end / this.step) + 1 }, (_, index) => index * this.step);
  }
}

/** Moments in the window at which whole minutes are marked, as far apart as labels need. */
function minuteMarks(first, end, room) {
  const distance = [60, 120, 300, 600].find((each) => (end - first) / each <= room) ?? 900;
  const marks = [];
  for (let at = Math.ceil(first / distance) * distance; at < end; at += distance) marks.push(at);
  return marks;
}

/** Path of one bar for each value, standing on the bars below. */
function barsPath(values, bases, place) {
  const width = place.slot > 4 ? place.slot - 1.5 : place.slot + 0.2; // narrow ones touch, without seams
  let path = "";
  values.forEach((value, index) => {
    if (!value) return;
    const x = (place.left + index * place.slot).toFixed(2);
    const top = place.y(bases[index] + value);
    path += `M${x} ${top.toFixed(2)}h${width.toFixed(2)}V${place.y(bases[index]).toFixed(2)}h-${width.toFixed(2)}z`;
  });
  return path;
}

/** Path of a line through the middle of each step; where nothing is known there is none. */
function linePath(values, place) {
  let path = "";
  let isDrawing = false;
  values.forEach((value, index) => {
    if (!isKnown(value)) {
      isDrawing = false;
      return;
    }
    const x = (place.left + (index + 0.5) * place.slot).toFixed(2);
    path += `${isDrawing ? "L" : "M"}${x} ${place.y(value).toFixed(2)}`;
    isDrawing = true;
  });
  return path;
}

/** Path of the points that have no neighbour, of which no line shows anything. */
function dotsPath(values, place) {
  const isAlone = (index) => isKnown(values[index]) && !isKnown(values[index - 1]) && !isKnown(values[index + 1]);
  const x = (index) => (place.left + (index + 0.5) * place.slot).toFixed(2);
  return values.map((value, index) => (isAlone(index) ? `M${x(index)} ${place.y(value).toFixed(2)}h0` : "")).join("");
}

/** Path of the area between two lines, where both are known. */
function bandPath(lower, upper, place) {
  let path = "";
  let run = [];
  const x = (index) => (place.left + (index + 0.5) * place.slot).toFixed(2);
  const point = (index, value) => `${x(index)} ${place.y(value).toFixed(2)}`;
  const close = () => {
    if (run.length > 1) {
      const there = run.map((index) => point(index, upper[index]));
      const back = run.toReversed().map((index) => point(index, lower[index]));
      path += `M${there.concat(back).join("L")}z`;
    }
    run = [];
  };
  for (let index = 0; index <= upper.length; index += 1) {
    if (isKnown(upper[index]) && isKnown(lower[index])) run.push(index);
    else close();
  }
  return path;
}
