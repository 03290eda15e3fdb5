import { make } from "./dom";
import type { CapturedValue, LiveSnapshot, SnapshotFrame, SnapshotThread } from "./protocol";
import { fileName, visible } from "./text";

/** Values of one frame that are drawn; the rest is in the store. */
const MAX_VALUES = 500;

/** The stack, and under its frames their variables. */
export function drawSnapshot(snapshot: LiveSnapshot): HTMLElement {
  const budget = { left: MAX_VALUES };
  const frames = snapshot.frames.map((frame, number) => drawFrame(frame, number, budget));
  const watches = (snapshot.watches ?? []).map((value) => drawValue(value, budget));
  const threads = (snapshot.threads ?? []).map((thread) => drawThread(thread, budget));
  return make("div", { class: "snapshot" },
    ...frames,
    watches.length > 0 ? make("div", { class: "quiet" }, "watches") : null,
    watches.length > 0 ? make("ul", {}, ...watches) : null,
    ...threads,
    make("div", { class: "quiet" }, "lr show ", make("code", {}, visible(snapshot.id))),
  );
}

/** Another thread's stack, folded. */
function drawThread(thread: SnapshotThread, budget: { left: number }): HTMLElement {
  const name = thread.name ? ` ${visible(thread.name)}` : "";
  const end = thread.end ? `: ${visible(thread.end)}` : "";
  return make("details", {},
    make("summary", {}, `thread ${thread.tid}${name}${end}`),
    ...thread.frames.map((frame, number) => drawFrame(frame, number, budget)),
  );
}

function drawFrame(frame: SnapshotFrame, number: number, budget: { left: number }): HTMLElement {
  const name = visible(frame.function || frame.address);
  const place = frame.file ? ` ${visible(fileName(frame.file))}:${frame.line}` : "";
  const inlined = frame.inlined ? " (inlined)" : "";
  const variables = (frame.variables ?? []).map((value) => drawValue(value, budget));
  return make("div", {},
    make("div", {}, `${number} `, make("b", {}, name), make("span", { class: "quiet" }, `${place}${inlined}`)),
    variables.length > 0 ? make("ul", {}, ...variables) : null,
  );
}

function drawValue(value: CapturedValue, budget: { left: number }): HTMLElement {
  budget.left -= 1;
  const parts = [visible(value.name)];
  if (value.value !== undefined) parts.push(`= ${visible(value.value)}`);
  if (value.absent) parts.push(`<${visible(value.absent.detail || value.absent.reason)}>`);
  const children: HTMLElement[] = [];
  for (const child of value.children ?? []) {
    if (budget.left <= 0) {
      children.push(make("li", { class: "quiet" }, "… more in the store"));
      break;
    }
    children.push(drawValue(child, budget));
  }
  return make("li", { title: visible(value.type ?? "") },
    make("code", {}, parts.join(" ")),
    children.length > 0 ? make("ul", {}, ...children) : null,
  );
}
