import { refreshActions, setUpForm } from "./actions";
import { refreshAgents } from "./agents";
import { get, problemOf, send, whenClosed } from "./api";
import { byId } from "./dom";
import { startLive } from "./live";
import type { ServerInfo } from "./protocol";
import { setUpSql } from "./sql";
import { duration, visible } from "./text";

const REFRESH_MS = 3000;

async function start(): Promise<void> {
  whenClosed(() => close(""));
  const entered = await enter();
  if (entered !== null) {
    close(entered);
    return;
  }
  try {
    await refreshServer();
  } catch (error) {
    close(problemOf(error).title);
    return;
  }
  byId("portal", HTMLElement).hidden = false;
  setUpForm();
  setUpSql();
  await refresh();
  startLive(refreshSoon);
  window.setInterval(() => void refresh(), REFRESH_MS);
}

/** Exchanges the code in the address, if there is one; returns why it did not open. */
async function enter(): Promise<string | null> {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code === null) return null;
  // Out of the address at once, so that it is neither kept nor shown.
  history.replaceState(null, "", "/");
  try {
    await send("POST", "/portal/session", { code });
    return null;
  } catch (error) {
    return problemOf(error).title;
  }
}

function close(why: string): void {
  byId("portal", HTMLElement).hidden = true;
  byId("closed", HTMLElement).hidden = false;
  byId("closed-why", HTMLElement).textContent = visible(why);
  byId("server", HTMLElement).textContent = "";
  byId("link", HTMLElement).hidden = true;
}

async function refresh(): Promise<void> {
  const done = await Promise.allSettled([refreshServer(), refreshAgents(), refreshActions()]);
  const failed = done.find((result) => result.status === "rejected");
  if (failed) byId("server", HTMLElement).textContent = visible(problemOf(failed.reason).title);
}

let soon = 0;

/** Refreshes once for many events. */
function refreshSoon(): void {
  window.clearTimeout(soon);
  soon = window.setTimeout(() => void refresh(), 200);
}

async function refreshServer(): Promise<void> {
  const info = await get<ServerInfo>("/server");
  const up = duration(Date.now() / 1000 - info.started_at / 1e6);
  const clients = info.leases === 1 ? "1 client" : `${info.leases} clients`;
  const server = byId("server", HTMLElement);
  server.textContent = `server ${visible(info.version)} · up ${up} · ${clients} · ${visible(info.state_dir)}`;
  server.title = `pid ${info.pid}`;
}

void start();
