// Numbers as the visitor's browser writes them.

const locales = [...navigator.languages];
/** @param {Intl.NumberFormatOptions} options */
const formatter = (options) => new Intl.NumberFormat(locales, options);

const shares = formatter({ style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const tinyShares = formatter({ style: "percent", maximumSignificantDigits: 1, maximumFractionDigits: 8 });
const whole = formatter({ maximumFractionDigits: 0 });
const three = formatter({ maximumSignificantDigits: 3 });
const rate = formatter({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
const weight = formatter({ minimumFractionDigits: 3, maximumFractionDigits: 3, signDisplay: "exceptZero" });
const size = formatter({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
const times = formatter({ maximumSignificantDigits: 2 });
const losses = formatter({ minimumFractionDigits: 3, maximumFractionDigits: 3 });

/** The unit is a symbol of the SI, the same in every language. @param {"s" | "ms"} unit @param {number} digits */
function duration(unit, digits) {
  const number = formatter({ minimumFractionDigits: digits, maximumFractionDigits: digits });
  return (/** @type {number} */ value) => `${number.format(value)}\u00a0${unit}`;
}
const seconds = duration("s", 2);
const [wholeMs, tenthsMs, hundredthsMs, thousandthsMs] = [0, 1, 2, 3].map((digits) => duration("ms", digits));

/** @param {number} value in 0…1 */
export const share = (value) => shares.format(value);

/** A difference of probabilities, small ones with the digit that counts. @param {number} value */
export const difference = (value) =>
  value === 0 ? shares.format(0) : value < 5e-4 ? (value < 1e-8 ? `< ${tinyShares.format(1e-8)}` : tinyShares.format(value)) : shares.format(value);

/** Three digits that matter. @param {number} ms */
export function time(ms) {
  if (ms >= 1000) return seconds(ms / 1000);
  if (ms >= 100) return wholeMs(ms);
  if (ms >= 10) return tenthsMs(ms);
  return (ms >= 0.1 || ms === 0 ? hundredthsMs : thousandthsMs)(ms);
}

/** @param {number} value */ export const count = (value) => whole.format(value);
/** Millions: 385187552 as 385 M. @param {number} value */
export const large = (value) => `${(value >= 1e8 ? whole : three).format(value / 1e6)}\u00a0M`;

/** @param {number} value */ export const perSecond = (value) => rate.format(value);
/** A kernel's value. @param {number} value */ export const signed = (value) => weight.format(value);
/** @param {number} bytes */ export const megabytes = (bytes) => size.format(bytes / 1e6);
/** A cross-entropy. @param {number} value */ export const loss = (value) => losses.format(value);
/** How many times as much. @param {number} value */ export const factor = (value) => times.format(value);

/** @param {readonly number[]} values @param {number} q in 0…1 */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  return sorted[low] + ((sorted[low + 1] ?? sorted[low]) - sorted[low]) * (at - low);
}
