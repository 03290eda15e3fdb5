import { get } from "./api";
import { byId, make, replace } from "./dom";
import { learn } from "./names";
import type { Agent } from "./protocol";
import { visible } from "./text";

/** Fetches the agents and shows them, also as the choices of the form. */
export async function refreshAgents(): Promise<void> {
  const agents = await get<Agent[]>("/agents");
  for (const agent of agents) learn(agent.id, agent.name);
  byId("agents-count", HTMLElement).textContent = agents.length ? String(agents.length) : "";
  replace(byId("agents", HTMLUListElement), agents.length ? agents.map(card) : [nobody()]);
  offer(agents);
}

function card(agent: Agent): HTMLElement {
  const actions = agent.actions === 1 ? "1 action" : `${agent.actions} actions`;
  return make(
    "li",
    { data: { state: agent.state } },
    make("div", { class: "line" },
      make("b", {}, visible(agent.name)),
      make("span", { class: "chip" }, visible(agent.state)),
    ),
    make("div", { class: "quiet", title: visible(agent.process.executable) },
      `pid ${agent.process.pid} · ${actions} · `,
      make("code", {}, agent.id),
    ),
  );
}

function nobody(): HTMLElement {
  return make("li", { class: "empty" },
    make("p", {}, "Nothing is attached."),
    make("pre", {}, "lr attach <pid> --log orders.rs:42 'id={o.id}'"),
  );
}

function offer(agents: Agent[]): void {
  const select = byId("add-agent", HTMLSelectElement);
  const chosen = select.value;
  const options = agents
    .filter((agent) => agent.state !== "detaching")
    .map((agent) => make("option", { value: agent.id }, `${visible(agent.name)} (pid ${agent.process.pid})`));
  replace(select, options.length ? options : [make("option", { value: "", disabled: true }, "none attached")]);
  if (agents.some((agent) => agent.id === chosen)) select.value = chosen;
}
