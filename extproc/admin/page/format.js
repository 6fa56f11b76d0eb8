// Values to texts, in the reader's own way of writing numbers. What is not known is a dash, never 0.

const DASH = "–";

const exactNumbers = new Intl.NumberFormat();
const compactNumbers = new Intl.NumberFormat(undefined, { notation: "compact", maximumSignificantDigits: 3 });
const threeDigits = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const twoDigits = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 2 });
const percents = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const clocks = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

const isKnown = (value) => value !== null && value !== undefined;

/** 1,234,567 */
const exact = (value) => (isKnown(value) ? exactNumbers.format(value) : DASH);

/** 1.23M; below 10,000 as it is, for there is room. */
function compact(value) {
  if (!isKnown(value)) return DASH;
  return Math.abs(value) < 10_000 ? exactNumbers.format(Math.round(value)) : compactNumbers.format(value);
}

/** 1.5 %; what is there is never said to be 0 %. */
function share(part, whole) {
  if (!isKnown(part) || !whole) return DASH;
  const ratio = part / whole;
  return ratio > 0 && ratio < 0.001 ? `<${percents.format(0.001)}` : percents.format(ratio);
}

const dollars = (digits) => new Intl.NumberFormat(undefined, {
  style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...digits,
});
const wholeDollars = dollars({ maximumFractionDigits: 0 });
const cents = dollars({ minimumFractionDigits: 2, maximumFractionDigits: 2 });
const smallSums = dollars({ minimumSignificantDigits: 2, maximumSignificantDigits: 3 });
const allDigits = dollars({ minimumFractionDigits: 2, maximumFractionDigits: 6 });

/** Millionths of a dollar as dollars: so many digits that the first ones tell something. */
function cost(micros) {
  if (!isKnown(micros)) return DASH;
  if (micros === 0 || micros >= 1e9) return wholeDollars.format(micros / 1e6);
  return (micros >= 1e6 ? cents : smallSums).format(micros / 1e6);
}

const exactCost = (micros) => (isKnown(micros) ? allDigits.format(micros / 1e6) : "");

/** 480 ms, 2.41 s, 1 min 12 s */
function seconds(value, digits = threeDigits) {
  if (!isKnown(value)) return DASH;
  if (value < 0.9995) return `${digits.format(value * 1000)} ms`;
  if (value < 59.95) return `${digits.format(value)} s`;
  return span(value);
}

/** The same of an estimate, without digits that say nothing. */
const roughly = (value) => seconds(value, twoDigits);

/** A long time, by its two largest units. */
function span(value) {
  const whole = Math.max(0, Math.round(value));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const hours = Math.floor(whole / 3600);
  if (hours < 24) return `${hours} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** 14:05:10 */
const clock = (unixSeconds) => clocks.format(unixSeconds * 1000);

/** 14:05 */
const minute = (unixSeconds) => minutes.format(unixSeconds * 1000);

/** With date and zone. */
const moment = (unixSeconds) => moments.format(unixSeconds * 1000);

// Controls, marks that turn the direction of text, what has no width or no ink, and halves of characters: they make a
// name look like another.
const ILLEGIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu;

function spell(character) {
  const code = character.codePointAt(0).toString(16);
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
}

/** A name as clients sent it, with what nobody can see spelt out. */
const legible = (text) => String(text).replace(ILLEGIBLE, spell);

const plural = (count, one, many) => `${exact(count)} ${count === 1 ? one : many}`;
