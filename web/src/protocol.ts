// What the portal reads of the server's JSON; the server's `protocol` crate is the contract.

export interface ServerInfo {
  version: string;
  pid: number;
  started_at: number;
  state_dir: string;
  agents: number;
  leases: number;
}

export interface Agent {
  id: string;
  name: string;
  host: string;
  state: string;
  actions: number;
  process: { pid: number; comm: string; executable: string };
}

export interface ActionStatus {
  agent_id: string;
  state: string;
  counts: {
    hits: number;
    kept: number;
    condition_false: number;
    condition_error: number;
    rate_limited: number;
    over_budget: number;
    dropped: number;
  };
  bound: { address: string; function: string; file: string; line: number }[];
  warnings: string[];
  last_error?: string;
  paused_until?: number;
  passes_per_second?: number;
  error?: { code: string; refers_to: string; message: string; suggestions: string[] };
}

export interface Action {
  id: string;
  kind: string;
  name?: string;
  location: string;
  template?: string;
  expression?: string;
  by?: string;
  condition?: string;
  max_hits?: number;
  ignore_quota: boolean;
  enabled: boolean;
  target: { agent?: string; tag?: string };
  created_by: string;
  expires_at: number;
  statuses: ActionStatus[];
}

export interface LiveLog {
  type: "log";
  ts: string;
  agent: string;
  action: string;
  pid: number;
  tid: number;
  thread: string;
  file: string;
  line: number;
  function: string;
  level: string;
  message: string;
  fields: Record<string, unknown>;
}

export interface LiveMetric {
  type: "metric";
  ts: string;
  agent: string;
  action: string;
  name: string;
  kind: string;
  unit?: string;
  group: string | null;
  count: number;
  min: number | null;
  max: number | null;
  mean: number | null;
  p50: number | null;
  p99: number | null;
}

export interface CapturedValue {
  name: string;
  type?: string;
  value?: string;
  children?: CapturedValue[];
  absent?: { reason: string; detail?: string };
}

export interface SnapshotFrame {
  function: string;
  file: string;
  line: number;
  inlined: boolean;
  address: string;
  variables?: CapturedValue[];
}

export interface SnapshotThread {
  tid: number;
  name?: string;
  end?: string;
  frames: SnapshotFrame[];
}

export interface LiveSnapshot {
  type: "snapshot";
  ts: string;
  id: string;
  agent: string;
  action: string;
  pid: number;
  tid: number;
  thread: string;
  file: string;
  line: number;
  function: string;
  stop_ns: number;
  frames: SnapshotFrame[];
  watches?: CapturedValue[];
  threads?: SnapshotThread[];
}

export type LiveEvent =
  | LiveLog
  | LiveMetric
  | LiveSnapshot
  | { type: "loss"; ts: string; agent: string; action: string | null; reason: string; count: number }
  | { type: "state"; ts: string; agent: string; action: string; state: string }
  | { type: "end"; ts: string; agent: string; pid: number; reason: string; message: string };

export interface QueryResult {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  truncated: boolean;
  elapsed_ms: number;
}

export interface Problem {
  code: string;
  title: string;
  detail?: string;
  suggestions?: string[];
}
