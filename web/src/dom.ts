// The only way to make elements here: children are elements or text, so that no text can become
// markup.

type Child = Node | string | null;

interface Attributes {
  class?: string;
  title?: string;
  type?: string;
  value?: string;
  disabled?: boolean;
  data?: Record<string, string>;
  click?: () => void;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const name of ["class", "title", "type", "value"] as const) {
    const value = attributes[name];
    if (value !== undefined) element.setAttribute(name, value);
  }
  if (attributes.disabled) element.setAttribute("disabled", "");
  Object.assign(element.dataset, attributes.data ?? {});
  if (attributes.click) element.addEventListener("click", attributes.click);
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no #${id}`);
  return element;
}

/** Replaces the children only if they differ, so that focus and selection survive. */
export function replace(parent: HTMLElement, children: Node[]): void {
  const next = document.createElement("div");
  next.append(...children);
  if (next.innerHTML !== parent.innerHTML) parent.replaceChildren(...next.childNodes);
}
