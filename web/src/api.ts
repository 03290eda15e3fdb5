import type { Problem } from "./protocol";

const PREFIX = "/api/v1";

/** A failed request: the server's problem, or one of our own making. */
export class Failure extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

let onClosed: () => void = () => {};

/** Calls back when the server says that this browser has no session. */
export function whenClosed(callback: () => void): void {
  onClosed = callback;
}

export async function get<T>(path: string): Promise<T> {
  return (await send("GET", path)).json() as Promise<T>;
}

export async function post<T>(path: string, body: unknown): Promise<T> {
  return (await send("POST", path, body)).json() as Promise<T>;
}

export async function send(method: string, path: string, body?: unknown): Promise<Response> {
  const request: RequestInit = { method, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    request.headers = { "content-type": "application/json" };
    request.body = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(PREFIX + path, request);
  } catch {
    throw new Failure({ code: "server_unreachable", title: "the server does not answer" });
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => null)) as Problem | null;
  if (response.status === 401 && path !== "/portal/session") onClosed();
  throw new Failure(problem ?? { code: "internal", title: `the server answered ${response.status}` });
}

/** The problem of whatever was thrown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Failure) return error.problem;
  return { code: "internal", title: error instanceof Error ? error.message : String(error) };
}
