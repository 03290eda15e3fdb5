import { post, problemOf, send } from "./api";
import { byId, make } from "./dom";
import { problemBox } from "./problem";
import type { QueryResult } from "./protocol";
import { count, valueText, visible } from "./text";

/** Rows that are drawn; the rest comes with the CSV. */
const DRAWN = 1000;
const KEPT_QUERY = "lr.query";
const FIRST_QUERY = `SELECT ts, action, message FROM logs
WHERE ts > now() - INTERVAL 1 HOUR
ORDER BY ts DESC LIMIT 100`;

const NUMBER = /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL.*)$/;

let newest = 0;

export function setUpSql(): void {
  const box = byId("sql", HTMLTextAreaElement);
  box.value = localStorage.getItem(KEPT_QUERY) ?? FIRST_QUERY;
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void run();
    }
  });
  byId("sql-run", HTMLButtonElement).addEventListener("click", () => void run());
  byId("sql-csv", HTMLButtonElement).addEventListener("click", () => void download());
}

async function run(): Promise<void> {
  const sql = byId("sql", HTMLTextAreaElement).value;
  localStorage.setItem(KEPT_QUERY, sql);
  const number = ++newest;
  info("running…");
  try {
    const result = await post<QueryResult>("/query", { sql });
    // An answer that was overtaken by a newer question is nobody's.
    if (number === newest) show(result);
  } catch (error) {
    if (number === newest) fail(error);
  }
}

function show(result: QueryResult): void {
  const rows = result.rows.length === 1 ? "1 row" : `${count(result.rows.length)} rows`;
  info(`${rows} · ${count(result.elapsed_ms)} ms`);
  const notes: HTMLElement[] = [];
  if (result.truncated) {
    notes.push(make("p", { class: "warning" }, "The result was cut: there are more rows than the server returns."));
  }
  if (result.rows.length > DRAWN) {
    notes.push(make("p", { class: "quiet" }, `The first ${count(DRAWN)} are shown; CSV has all.`));
  }
  const numeric = result.columns.map((column) => NUMBER.test(column.type));
  const head = make("tr", {}, ...result.columns.map((column, index) =>
    make("th", numeric[index] ? { class: "number", title: column.type } : { title: column.type }, visible(column.name)),
  ));
  const body = result.rows.slice(0, DRAWN).map((row) =>
    make("tr", {}, ...row.map((value, index) => cell(value, numeric[index] ?? false))),
  );
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  byId("sql-result", HTMLElement).replaceChildren(...notes, table);
}

function cell(value: unknown, numeric: boolean): HTMLElement {
  if (value === null) return make("td", { class: numeric ? "null number" : "null" }, "NULL");
  if (typeof value === "string" && value.includes("\n")) {
    // Plans and other drawings of several lines.
    return make("td", {}, make("pre", {}, value.split("\n").map(visible).join("\n")));
  }
  return make("td", numeric ? { class: "number" } : {}, valueText(value));
}

async function download(): Promise<void> {
  const sql = byId("sql", HTMLTextAreaElement).value;
  info("running…");
  try {
    const response = await send("POST", "/query", { sql, format: "csv" });
    const url = URL.createObjectURL(await response.blob());
    const link = make("a");
    link.href = url;
    link.download = "lr.csv";
    link.click();
    URL.revokeObjectURL(url);
    info(response.headers.get("lr-truncated") === "true" ? "saved, cut at the server's limit" : "saved");
  } catch (error) {
    fail(error);
  }
}

function fail(error: unknown): void {
  info("failed");
  byId("sql-result", HTMLElement).replaceChildren(problemBox(problemOf(error)));
}

function info(text: string): void {
  byId("sql-info", HTMLElement).textContent = text;
}
