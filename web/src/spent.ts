import { post } from "./api";
import type { QueryResult } from "./protocol";

/** What an action's stops have cost on an agent of late. */
export interface Spent {
  /** Of the time: 0.01 is a hundredth. */
  share: number;
  longest_ms: number;
}

/** As `lr actions ID` says it: of the last minute, or of the time since the first stop. */
const QUERY = `
  SELECT action_id, agent_id,
    sum(stop_ns) / 1e9 / greatest(1.0, epoch(now()) - epoch(min(ts)) + 1.0) AS share,
    max(max_stop_ns) / 1e6 AS longest_ms
  FROM overhead WHERE recv_ts > now() - INTERVAL 1 MINUTE GROUP BY ALL`;

/** By action and agent; empty where it cannot be asked. */
export async function spentOfAll(): Promise<Map<string, Spent>> {
  const spent = new Map<string, Spent>();
  const result = await post<QueryResult>("/query", { sql: QUERY }).catch(() => null);
  for (const [action, agent, share, longest] of result?.rows ?? []) {
    spent.set(key(String(action), String(agent)), { share: Number(share), longest_ms: Number(longest) });
  }
  return spent;
}

export function key(action: string, agent: string): string {
  return `${action} ${agent}`;
}
