// Bundles the sources into dist/, which the server embeds. With --check, fails if dist/ is not
// what the sources give.
import { readFile, writeFile, mkdir } from "node:fs/promises";
import { build } from "esbuild";

const bundled = await build({
  entryPoints: ["src/main.ts"],
  bundle: true,
  write: false,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
});

const files = new Map([["portal.js", Buffer.from(bundled.outputFiles[0].contents)]]);
for (const name of ["index.html", "portal.css", "icon.svg"]) {
  files.set(name, await readFile(`src/${name}`));
}

const check = process.argv.includes("--check");
await mkdir("dist", { recursive: true });
for (const [name, contents] of files) {
  const path = `dist/${name}`;
  if (!check) {
    await writeFile(path, contents);
  } else if (!contents.equals(await readFile(path).catch(() => Buffer.alloc(0)))) {
    console.error(`${path} is not what the sources give: run \`npm run build\``);
    process.exitCode = 1;
  }
}
