import { make } from "./dom";
import type { Problem } from "./protocol";
import { visible } from "./text";

/** A problem as people read it: what failed, why, what to do. */
export function problemBox(problem: Problem): HTMLElement {
  const detail = problem.detail ? make("pre", {}, lines(problem.detail)) : null;
  const suggestions = (problem.suggestions ?? []).map((text) => make("p", {}, `→ ${visible(text)}`));
  return make(
    "div",
    { class: "problem" },
    make("p", {}, make("b", {}, visible(problem.title)), make("code", {}, visible(problem.code))),
    detail,
    ...suggestions,
  );
}

/** Text of several lines keeps them. */
function lines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}
