import type { Letter, Table } from "./templates.ts";

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => escapes[character] ?? character);
}

const cell = "padding:6px 10px;border-bottom:1px solid #e3e6ea;text-align:left;vertical-align:top";

/** Inline styles and tables only: mail programs know little else. */
export function htmlOf(letter: Letter): string {
  const { language, subject, heading, greeting, paragraphs, facts, tables, action } = letter;
  const paragraph = (text: string) =>
    `<p style="margin:0 0 14px">${escape(text).replace(/\r?\n/g, "<br>")}</p>`;
  const factRows = facts
    .map(
      ({ label, value }) =>
        `<tr><td style="${cell};color:#5a6472">${escape(label)}</td><td style="${cell}">${escape(value).replace(/\r?\n/g, "<br>")}</td></tr>`,
    )
    .join("");
  return [
    `<!DOCTYPE html><html lang="${language}"><head><meta charset="utf-8">`,
    `<meta name="viewport" content="width=device-width"><title>${escape(subject)}</title></head>`,
    `<body style="margin:0;padding:24px 12px;background:#f3f5f7;font:15px/1.5 Helvetica,Arial,sans-serif;color:#1c2733">`,
    `<table role="presentation" width="100%" style="max-width:640px;margin:0 auto;background:#fff;border-radius:8px"><tr><td style="padding:28px">`,
    `<h1 style="margin:0 0 18px;font-size:21px;line-height:1.3">${escape(heading)}</h1>`,
    greeting === null ? "" : paragraph(greeting),
    ...paragraphs.map(paragraph),
    factRows === ""
      ? ""
      : `<table role="presentation" width="100%" style="border-collapse:collapse;margin:0 0 18px">${factRows}</table>`,
    ...tables.map((table) => tableHtml(table, language)),
    action === null
      ? ""
      : `<p style="margin:20px 0"><a href="${escape(action.url)}" style="display:inline-block;padding:10px 18px;border-radius:6px;background:#1f5fbf;color:#fff;text-decoration:none">${escape(action.label)}</a></p>`,
    `<p style="margin:24px 0 0;font-size:12px;color:#7a8594">${escape(letter.closing)}</p>`,
    "</td></tr></table></body></html>",
  ].join("\r\n");
}

function tableHtml({ title, columns, rows, more }: Table, language: Letter["language"]): string {
  const head = columns.map((name) => `<th style="${cell};background:#f3f5f7">${escape(name)}</th>`);
  const body = rows.map(
    (row) => `<tr>${row.map((value) => `<td style="${cell}">${escape(value)}</td>`).join("")}</tr>`,
  );
  return [
    `<h2 style="margin:18px 0 8px;font-size:16px">${escape(title)}</h2>`,
    `<table width="100%" style="border-collapse:collapse;margin:0 0 18px;font-size:13px">`,
    `<thead><tr>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody></table>`,
    more > 0 ? `<p style="margin:0 0 14px">${moreText(more, language)}</p>` : "",
  ].join("");
}

export function textOf(letter: Letter): string {
  const { heading, greeting, paragraphs, facts, tables, action, closing, language } = letter;
  const blocks = [
    `${heading}\n${"=".repeat(Math.min(72, heading.length))}`,
    greeting ?? "",
    ...paragraphs,
    facts.map(({ label, value }) => `${label}: ${value}`).join("\n"),
    ...tables.map(({ title, columns, rows, more }) =>
      [
        `${title}:`,
        ...rows.map(
          (row) =>
            `- ${row.flatMap((value, i) => (value === "" ? [] : [`${columns[i] ?? ""}: ${value}`])).join("; ")}`,
        ),
        ...(more > 0 ? [moreText(more, language)] : []),
      ].join("\n"),
    ),
    action === null ? "" : `${action.label}: ${action.url}`,
    `-- \n${closing}`,
  ];
  return `${blocks.filter((block) => block !== "").join("\n\n")}\n`;
}

function moreText(more: number, language: Letter["language"]): string {
  return { en: `… and ${more} more`, es: `… y ${more} más` }[language];
}
