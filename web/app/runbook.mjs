// Writes the runbook, docs/operations.md, as a page next to the web UI, so that the section for an alert is one click away, also
// without internet access and in the version that is running.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Marked } from "marked";

const here = import.meta.dirname;

/** The name of a heading in links, as on GitHub. */
const anchor = text => text.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");

let tables = 0;

const marked = new Marked({
  renderer: {
    heading({ depth, tokens, text }) {
      return `<h${depth} id="${anchor(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
    },
    // The other documents are not served, so their names stay as text.
    link({ href, tokens }) {
      const text = this.parser.parseInline(tokens);
      return /^(#|https:)/.test(href) ? `<a href="${href}">${text}</a>` : text;
    },
    // A wide block or table scrolls on its own, also with the keyboard.
    code({ text }) {
      return `<pre tabindex="0"><code>${text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</code></pre>\n`;
    },
  },
});

writeFileSync(join(here, "../page/runbook.html"), `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Runbook · Waypost</title>
  <link rel="icon" href="icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="style.css">
</head>
<body>
<main class="runbook">
${marked.parse(readFileSync(join(here, "../../docs/operations.md"), "utf8")).replaceAll("<table>", () => `<div class="scroll" tabindex="0" role="region" aria-label="Table ${++tables}"><table>`).replaceAll("</table>", "</table></div>")}</main>
</body>
</html>
`);
