// Text that comes from a target is shown, never interpreted. Characters that would change what
// is around them (control, bidirectional, invisible) are shown as escapes.

const HIDDEN =
  // C0, DEL, C1, soft hyphen, Arabic letter mark, zero width, bidi, separators, BOM, and so on.
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" };

export function visible(text: string): string {
  return text.replace(HIDDEN, (char) => SHORT[char] ?? `\\u{${char.charCodeAt(0).toString(16)}}`);
}

/** A value of a result or a field, as text. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "string") return visible(value);
  const absent = (value as { absent?: { reason?: unknown; detail?: unknown } }).absent;
  if (absent && typeof absent.reason === "string") return visible(`<${absent.reason}>`);
  return visible(JSON.stringify(value));
}

const TIME = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false,
});

/** The local time of day of an RFC 3339 text. */
export function timeOfDay(ts: string): string {
  const date = new Date(ts);
  return Number.isNaN(date.getTime()) ? visible(ts) : TIME.format(date);
}

export function count(number: number): string {
  return number.toLocaleString("en");
}

/** `src/server/orders.rs` as `orders.rs`. */
export function fileName(path: string): string {
  return visible(path.slice(path.lastIndexOf("/") + 1));
}

export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
