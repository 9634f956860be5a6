// Numbers as the visitor's browser writes them.

const locales = [...navigator.languages];
/** @param {Intl.NumberFormatOptions} options */
const formatter = (options) => new Intl.NumberFormat(locales, options);

const shares = formatter({ style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const tinyShares = formatter({ style: "percent", maximumSignificantDigits: 1, maximumFractionDigits: 8 });
const whole = formatter({ maximumFractionDigits: 0 });
const compact = formatter({ notation: "compact", maximumSignificantDigits: 3 });
const rate = formatter({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
const weight = formatter({ minimumFractionDigits: 3, maximumFractionDigits: 3, signDisplay: "exceptZero" });
const size = formatter({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
const times = formatter({ maximumSignificantDigits: 2 });
const dates = new Intl.DateTimeFormat(locales, { dateStyle: "medium" });

/** @param {"second" | "millisecond"} unit @param {number} digits */
const duration = (unit, digits) =>
  formatter({ style: "unit", unit, unitDisplay: "short", minimumFractionDigits: digits, maximumFractionDigits: digits });
const durations = {
  seconds: duration("second", 2),
  whole: duration("millisecond", 0),
  tenths: duration("millisecond", 1),
  hundredths: duration("millisecond", 2),
  thousandths: duration("millisecond", 3),
};

/** @param {number} value in 0…1 */
export const share = (value) => shares.format(value);

/** A difference of probabilities, small ones with the digit that counts. @param {number} value */
export const difference = (value) =>
  value === 0 ? shares.format(0) : value < 5e-4 ? (value < 1e-8 ? `< ${tinyShares.format(1e-8)}` : tinyShares.format(value)) : shares.format(value);

/** Three digits that matter. @param {number} ms */
export function time(ms) {
  if (ms >= 1000) return durations.seconds.format(ms / 1000);
  if (ms >= 100) return durations.whole.format(ms);
  if (ms >= 10) return durations.tenths.format(ms);
  return (ms >= 0.1 || ms === 0 ? durations.hundredths : durations.thousandths).format(ms);
}

/** @param {number} value */ export const count = (value) => whole.format(value);
/** 385187552 as 385 M. @param {number} value */ export const large = (value) => compact.format(value);
/** @param {number} value */ export const perSecond = (value) => rate.format(value);
/** A kernel's value. @param {number} value */ export const signed = (value) => weight.format(value);
/** @param {number} bytes */ export const megabytes = (bytes) => size.format(bytes / 1e6);
/** How many times as much. @param {number} value */ export const factor = (value) => times.format(value);
/** @param {Date} value */ export const date = (value) => dates.format(value);

/** @param {readonly number[]} values @param {number} q in 0…1 */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  return sorted[low] + ((sorted[low + 1] ?? sorted[low]) - sorted[low]) * (at - low);
}
