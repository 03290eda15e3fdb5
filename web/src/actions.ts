import { get, post, problemOf, send } from "./api";
import { byId, make, replace } from "./dom";
import { learn, nameOf } from "./names";
import { problemBox } from "./problem";
import type { Action, ActionStatus } from "./protocol";
import { key, spentOfAll, type Spent } from "./spent";
import { count, duration, timeOfDay, visible } from "./text";

/** How long the form waits for the agent's word on a new action. */
const WORD_MS = 10_000;
const FINAL = new Set(["done", "expired", "error", "removed", "gone"]);

type Kind = "log" | "snapshot" | "counter" | "metric";

/** What a kind is asked beside its place: the label, an example, and whether it has to be said. */
const WHAT: Record<Kind, { label: string; example: string; required: boolean } | null> = {
  log: { label: "Template", example: "id={o.id} total={o.total}", required: true },
  snapshot: { label: "Watch", example: "o.items[0].price", required: false },
  counter: null,
  metric: { label: "Expression", example: "o.total", required: true },
};

/** Fetches the actions and shows them. */
export async function refreshActions(): Promise<void> {
  const all = byId("actions-all", HTMLInputElement).checked;
  const actions = await get<Action[]>(all ? "/actions?all=true" : "/actions");
  for (const action of actions) learn(action.id, action.name ?? action.location);
  byId("actions-count", HTMLElement).textContent = actions.length ? String(actions.length) : "";
  const shown = actions.slice(-200).reverse();
  const spent = shown.length ? await spentOfAll() : new Map<string, Spent>();
  const empty = make("li", { class: "empty" }, make("p", {}, "No actions."));
  const list = byId("actions", HTMLUListElement);
  replace(list, shown.length ? shown.map((action) => card(action, spent)) : [empty]);
  // Listeners are not part of the markup that `replace` compares, so they sit on the list.
  list.onclick = (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>("button[data-id]");
    const { id, act } = button?.dataset ?? {};
    if (button && id && act) void change(id, act, button);
  };
}

export function setUpForm(): void {
  byId("add", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    void add();
  });
  byId("actions-all", HTMLInputElement).addEventListener("change", () => void refreshActions());
  byId("add-kind", HTMLSelectElement).addEventListener("change", showKind);
  showKind();
}

function chosenKind(): Kind {
  return byId("add-kind", HTMLSelectElement).value as Kind;
}

/** The fields of the chosen kind. */
function showKind(): void {
  const kind = chosenKind();
  const what = WHAT[kind];
  const row = byId("add-what", HTMLLabelElement);
  const input = byId("add-template", HTMLInputElement);
  row.hidden = what === null;
  input.required = what?.required ?? false;
  input.placeholder = what?.example ?? "";
  const label = row.querySelector("span");
  if (label) label.textContent = what?.label ?? "";
  byId("add-groups", HTMLLabelElement).hidden = kind !== "counter" && kind !== "metric";
}

/** The fields that only its kind has. */
function ofKind(kind: Kind): Record<string, unknown> {
  const what = byId("add-template", HTMLInputElement).value;
  const by = byId("add-by", HTMLInputElement).value.trim();
  const group = by ? { by } : {};
  switch (kind) {
    case "log":
      return { template: what };
    case "snapshot":
      return what.trim() ? { watches: [what.trim()] } : {};
    case "counter":
      return group;
    case "metric":
      return { expression: what.trim(), ...group };
  }
}

function card(action: Action, spent: Map<string, Spent>): HTMLElement {
  const over = action.statuses.length > 0 && action.statuses.every((status) => FINAL.has(status.state));
  const minutes = (action.expires_at / 1e6 - Date.now() / 1000) / 60;
  const left = over || minutes <= 0 ? "" : `ends in ${duration(Math.ceil(minutes) * 60)} · `;
  const button = (act: string, label: string) => {
    const element = make("button", { class: "small", type: "button", data: { id: action.id, act } }, label);
    element.setAttribute("aria-label", `${label} ${visible(action.name ?? action.id)}`);
    return element;
  };
  const again = over && !action.statuses.some((status) => status.state === "removed");
  return make(
    "li",
    { data: { state: stateOf(action) } },
    make("div", { class: "line" },
      make("b", {}, visible(action.name ?? action.location)),
      make("span", { class: "chip" }, stateOf(action)),
      over ? null : action.enabled ? button("disable", "Switch off") : button("enable", "Switch on"),
      again ? button("retake", "Again") : null,
      over ? null : button("remove", "Remove"),
    ),
    action.name ? make("div", {}, make("code", {}, visible(action.location))) : null,
    make("div", {}, make("code", { class: "template" }, visible(asked(action)))),
    action.condition ? make("div", { class: "quiet" }, "if ", make("code", {}, visible(action.condition))) : null,
    ...action.statuses.map((status) => statusLine(status, action, spent.get(key(action.id, status.agent_id)))),
    make("div", { class: "quiet" }, left, `${visible(action.created_by)} · `, make("code", {}, action.id)),
  );
}

/** What is asked for at the place, in a word. */
function asked(action: Action): string {
  const by = action.by ? ` by ${action.by}` : "";
  switch (action.kind) {
    case "log":
      return action.template ?? "";
    case "metric":
      return `metric ${action.expression ?? ""}${by}`;
    default:
      return `${action.kind}${by}`;
  }
}

function stateOf(action: Action): string {
  const states = action.statuses.map((status) => status.state);
  return visible(states.find((state) => !FINAL.has(state)) ?? states[0] ?? "submitted");
}

function statusLine(status: ActionStatus, action: Action, spent: Spent | undefined): HTMLElement {
  const counts = status.counts;
  const limit = action.max_hits === undefined ? "" : ` of ${count(action.max_hits)}`;
  const parts = [`${count(counts.kept)}${limit} kept`, `${count(counts.hits)} hits`];
  const left: [string, number][] = [
    ["condition false", counts.condition_false],
    ["condition failed", counts.condition_error],
    ["rate limited", counts.rate_limited],
    ["over budget", counts.over_budget],
    ["dropped", counts.dropped],
  ];
  for (const [what, number] of left) if (number > 0) parts.push(`${count(number)} ${what}`);
  if (status.bound.length > 0) {
    parts.push(`${status.bound.length} ${status.bound.length === 1 ? "place" : "places"}`);
  }
  const where = status.bound.map((site) => visible(`${site.address} ${site.function} ${site.file}:${site.line}`));
  const warnings = status.warnings.map((text) => make("div", { class: "warning" }, visible(text)));
  const last = status.last_error
    ? [make("div", { class: "warning" }, `last error: ${visible(status.last_error)}`)]
    : [];
  const error = status.error
    ? problemBox({ code: status.error.code, title: status.error.message, suggestions: status.error.suggestions })
    : null;
  return make("div", { class: "counts" },
    make("div", { title: where.join("\n") }, `${visible(nameOf(status.agent_id))}: `, parts.join(" · ")),
    ...budgetLines(status, action, spent),
    ...warnings,
    ...last,
    error,
  );
}

/** What its stops have cost, and whether that was too much. */
function budgetLines(status: ActionStatus, action: Action, spent: Spent | undefined): HTMLElement[] {
  const lines: HTMLElement[] = [];
  if (FINAL.has(status.state)) return lines;
  if (spent) {
    const allowed = action.ignore_quota ? ", which is as it likes" : " of the 1 % that it may";
    const share = (spent.share * 100).toFixed(2);
    const longest = spent.longest_ms.toFixed(3);
    lines.push(make("div", {}, `stops took ${share} % of the time${allowed}, the longest ${longest} ms`));
  }
  if (status.passes_per_second !== undefined) {
    const passes = count(status.passes_per_second);
    lines.push(make("div", {}, `passed ${passes} times a second or more when it was planted`));
  }
  if (status.paused_until !== undefined) {
    const until = timeOfDay(new Date(status.paused_until / 1000).toISOString());
    lines.push(make("div", { class: "warning" }, `paused until ${until}, by its budget of time`));
  }
  return lines;
}

async function change(id: string, act: string, button: HTMLButtonElement): Promise<void> {
  button.disabled = true;
  try {
    if (act === "remove") await send("DELETE", `/actions/${id}`);
    else await send("POST", `/actions/${id}/${act}`);
  } catch (error) {
    byId("add-result", HTMLOutputElement).replaceChildren(problemBox(problemOf(error)));
  }
  await refreshActions();
}

async function add(): Promise<void> {
  const text = (id: string) => byId(id, HTMLInputElement).value.trim();
  const action: Record<string, unknown> = {
    kind: chosenKind(),
    ...ofKind(chosenKind()),
    location: text("add-location"),
    target: { agent: byId("add-agent", HTMLSelectElement).value },
  };
  if (text("add-condition")) action.condition = text("add-condition");
  if (text("add-name")) action.name = text("add-name");
  if (text("add-hits")) action.max_hits = Number(text("add-hits"));
  const result = byId("add-result", HTMLOutputElement);
  try {
    const added = await post<Action>("/actions", action);
    result.textContent = "added, the agent is looking…";
    void tellWord(added.id, result);
  } catch (error) {
    result.replaceChildren(problemBox(problemOf(error)));
  }
  await refreshActions();
}

/** Shows what the agent says of a new action: where it is planted, or why it cannot be. */
async function tellWord(id: string, result: HTMLOutputElement): Promise<void> {
  const until = Date.now() + WORD_MS;
  while (Date.now() < until) {
    const action = await get<Action>(`/actions/${id}`).catch(() => null);
    const status = action?.statuses[0];
    if (status?.error) {
      const { code, message, suggestions } = status.error;
      result.replaceChildren(problemBox({ code, title: message, suggestions }));
      return;
    }
    if (status && !["submitted", "delivered", "verified"].includes(status.state)) {
      const places = status.bound.length;
      result.textContent = places > 0 ? `${status.state} at ${places} ${places === 1 ? "place" : "places"}` : visible(status.state);
      return;
    }
    await new Promise((resume) => setTimeout(resume, 250));
  }
  result.textContent = "added, no word from the agent yet";
}
