import { byId, make } from "./dom";
import { nameOf } from "./names";
import type { LiveEvent, LiveLog, LiveMetric, LiveSnapshot } from "./protocol";
import { drawSnapshot } from "./snapshot";
import { count, fileName, timeOfDay, valueText, visible } from "./text";

/** Rows that stay on the page; the store has them all. */
const MAX_ROWS = 2000;
/** Rows that wait while the log is paused. */
const MAX_WAITING = 2000;

interface Entry {
  event: LiveEvent;
  /** What the filter looks at, in lower case. */
  haystack: string;
}

const waiting: Entry[] = [];
const losses = new Map<string, number>();
let paused = false;
let filter = "";
let seen = 0;
let drawing = false;

/** Opens the stream; `changed` is called when agents or actions may have changed. */
export function startLive(changed: () => void): void {
  const link = byId("link", HTMLElement);
  const say = (state: string, text: string) => {
    link.dataset.state = state;
    link.textContent = text;
  };
  let opened = false;
  const open = () => {
    // Only the first time does the stream begin in the past; what a lost connection missed is in
    // the store.
    const source = new EventSource(opened ? "/api/v1/live" : "/api/v1/live?since_s=300");
    source.onopen = () => {
      opened = true;
      say("live", "live");
      changed();
    };
    source.onerror = () => {
      source.close();
      say("lost", "server lost, trying again");
      changed();
      window.setTimeout(open, 2000);
    };
    source.onmessage = (message: MessageEvent<string>) => {
      const event = JSON.parse(message.data) as LiveEvent;
      take(event);
      if (event.type === "state" || event.type === "end") changed();
    };
  };
  open();
  setUpTools();
}

function take(event: LiveEvent): void {
  if (isUnknown(event)) return;
  if (event.type === "log" || event.type === "snapshot" || event.type === "metric") {
    seen += 1;
  } else if (event.type === "loss") {
    losses.set(event.reason, (losses.get(event.reason) ?? 0) + event.count);
  }
  waiting.push({ event, haystack: haystack(event) });
  if (waiting.length > MAX_WAITING) waiting.splice(0, waiting.length - MAX_WAITING);
  draw();
}

/** Whether a newer server tells something of which this page knows nothing. */
function isUnknown(event: LiveEvent): boolean {
  return !["log", "snapshot", "metric", "loss", "state", "end"].includes(event.type);
}

function haystack(event: LiveEvent): string {
  const names = `${nameOf(event.agent)} ${event.type}`;
  switch (event.type) {
    case "log":
      return [
        names, nameOf(event.action), event.message, event.function, `${event.file}:${event.line}`,
        event.thread, event.level, JSON.stringify(event.fields),
      ].join(" ").toLowerCase();
    case "snapshot":
      return [
        names, nameOf(event.action), event.function, `${event.file}:${event.line}`, event.thread,
        ...event.frames.map((frame) => frame.function),
      ].join(" ").toLowerCase();
    case "metric":
      return `${names} ${nameOf(event.action)} ${event.name} ${event.group ?? ""}`.toLowerCase();
    case "loss":
      return `${names} ${event.reason}`.toLowerCase();
    case "state":
      return `${names} ${nameOf(event.action)} ${event.state}`.toLowerCase();
    case "end":
      return `${names} ${event.reason} ${event.message}`.toLowerCase();
  }
}

/** Draws what waits, once a frame. */
function draw(): void {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (!paused) appendWaiting();
    drawCounts();
  });
}

function appendWaiting(): void {
  const log = byId("log", HTMLElement);
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const rows = document.createDocumentFragment();
  for (const entry of waiting.splice(0)) rows.append(row(entry));
  log.append(rows);
  while (log.childElementCount > MAX_ROWS) log.firstElementChild?.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function row({ event, haystack }: Entry): HTMLElement {
  const element = drawn(event);
  element.dataset.haystack = haystack;
  element.hidden = !haystack.includes(filter);
  return element;
}

function drawn(event: LiveEvent): HTMLElement {
  switch (event.type) {
    case "log":
      return logRow(event);
    case "snapshot":
      return snapshotRow(event);
    case "metric":
      return metricRow(event);
    default:
      return noteRow(event);
  }
}

function snapshotRow(event: LiveSnapshot): HTMLElement {
  const where = `${visible(event.function)} ${fileName(event.file)}:${event.line}`;
  const what = `snapshot of ${visible(event.thread)}: ${event.frames.length} frames`;
  const details = make("details", { class: "entry" },
    make("summary", {},
      make("time", { title: visible(event.ts) }, timeOfDay(event.ts)),
      make("span", { class: "action" }, visible(nameOf(event.action))),
      make("span", { class: "message" }, what),
      make("span", { class: "where", title: visible(`${event.file}:${event.line}`) }, where),
    ),
  );
  details.addEventListener("toggle", () => {
    if (details.childElementCount === 1) details.append(drawSnapshot(event));
  });
  return details;
}

function metricRow(event: LiveMetric): HTMLElement {
  const parts = [`${event.kind === "counter" ? "hits" : "count"} ${count(event.count)}`];
  const values: [string, number | null][] = [
    ["mean", event.mean], ["min", event.min], ["p50", event.p50], ["p99", event.p99], ["max", event.max],
  ];
  for (const [what, value] of values) {
    if (value !== null) parts.push(`${what} ${value.toLocaleString("en", { maximumFractionDigits: 3 })}`);
  }
  const group = event.group === null ? "" : `[${visible(event.group)}]`;
  return make("div", { class: "note", data: { kind: "metric" } },
    make("time", { title: visible(event.ts) }, timeOfDay(event.ts)),
    make("span", {}, `${visible(event.name)}${group} ${parts.join(" · ")} ${visible(event.unit ?? "")}`),
  );
}

function logRow(event: LiveLog): HTMLElement {
  const where = `${visible(event.function)} ${fileName(event.file)}:${event.line}`;
  const details = make("details", { class: "entry", data: { level: event.level } },
    make("summary", {},
      make("time", { title: visible(event.ts) }, timeOfDay(event.ts)),
      make("span", { class: "action" }, visible(nameOf(event.action))),
      make("span", { class: "message" }, visible(event.message)),
      make("span", { class: "where", title: visible(`${event.file}:${event.line}`) }, where),
    ),
  );
  details.addEventListener("toggle", () => {
    if (details.childElementCount === 1) details.append(fields(event));
  });
  return details;
}

function fields(event: LiveLog): HTMLElement {
  const rows: [string, string][] = [
    ...Object.entries(event.fields).map(([name, value]): [string, string] => [visible(name), valueText(value)]),
    ["thread", visible(`${event.thread} (${event.tid})`)],
    ["process", `${visible(nameOf(event.agent))} (${event.pid})`],
    ["place", visible(`${event.file}:${event.line}`)],
  ];
  const known = Object.keys(event.fields).length;
  return make("dl", {}, ...rows.flatMap(([name, value], index) => [
    make("dt", index < known ? {} : { class: "quiet" }, name),
    make("dd", index < known ? {} : { class: "quiet" }, value),
  ]));
}

function noteRow(event: Exclude<LiveEvent, LiveLog | LiveMetric | LiveSnapshot>): HTMLElement {
  let text: string;
  switch (event.type) {
    case "loss":
      text = `${count(event.count)} lost: ${event.reason}`;
      break;
    case "state":
      text = `${nameOf(event.action)} is ${event.state}`;
      break;
    case "end":
      text = `${nameOf(event.agent)} (pid ${event.pid}) ended: ${event.message || event.reason}`;
      break;
  }
  return make("div", { class: "note", data: { kind: event.type } },
    make("time", { title: visible(event.ts) }, timeOfDay(event.ts)),
    make("span", {}, visible(text)),
  );
}

function drawCounts(): void {
  const behind = paused && waiting.length > 0 ? ` · ${count(waiting.length)} waiting` : "";
  byId("live-count", HTMLElement).textContent = seen > 0 ? `${count(seen)} events${behind}` : "";
  const lost = byId("live-lost", HTMLElement);
  const total = [...losses.values()].reduce((sum, number) => sum + number, 0);
  lost.hidden = total === 0;
  lost.textContent = `${count(total)} lost`;
  lost.title = [...losses].map(([reason, number]) => `${visible(reason)}: ${count(number)}`).join("\n");
}

function setUpTools(): void {
  const pause = byId("live-pause", HTMLButtonElement);
  const search = byId("live-filter", HTMLInputElement);
  const log = byId("log", HTMLElement);
  const toggle = () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume" : "Pause";
    draw();
  };
  pause.addEventListener("click", toggle);
  byId("live-clear", HTMLButtonElement).addEventListener("click", () => {
    waiting.length = 0;
    losses.clear();
    seen = 0;
    log.replaceChildren();
    drawCounts();
  });
  search.addEventListener("input", () => {
    filter = search.value.trim().toLowerCase();
    for (const element of log.children) {
      if (element instanceof HTMLElement) {
        element.hidden = !(element.dataset.haystack ?? "").includes(filter);
      }
    }
    log.scrollTop = log.scrollHeight;
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.matches("input, textarea, select");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "p") toggle();
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
    }
  });
}
