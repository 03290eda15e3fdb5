// Names for the ids that events carry, as far as they are known.

const names = new Map<string, string>();

export function learn(id: string, name: string): void {
  names.set(id, name);
}

export function nameOf(id: string): string {
  return names.get(id) ?? id;
}
