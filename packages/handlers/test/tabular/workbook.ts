import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { ZipFile } from "yazl";

export interface WorkbookParts {
  readonly sheet: string | Buffer;
  readonly shared?: string;
  readonly extra?: Readonly<Record<string, string>>;
}

/** A workbook of one sheet, written part by part so that tests can break any of them. */
export async function writeWorkbook(path: string, parts: WorkbookParts): Promise<void> {
  const relation = (id: string, kind: string, target: string) =>
    `<Relationship Id="${id}" Type="urn:x/${kind}" Target="${target}"/>`;
  const texts: Record<string, string | Buffer> = {
    "[Content_Types].xml": "<Types/>",
    "xl/workbook.xml":
      '<workbook xmlns:r="urn:r"><sheets><sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": `<Relationships>${relation("r1", "worksheet", "worksheets/sheet1.xml")}${relation("r2", "sharedStrings", "sharedStrings.xml")}${relation("r3", "styles", "/xl/styles.xml")}</Relationships>`,
    "xl/styles.xml":
      '<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd &quot;h&quot;"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/></cellXfs></styleSheet>',
    "xl/sharedStrings.xml": `<sst>${parts.shared ?? ""}</sst>`,
    "xl/worksheets/sheet1.xml": parts.sheet,
    ...parts.extra,
  };
  const zip = new ZipFile();
  for (const [name, text] of Object.entries(texts)) zip.addBuffer(Buffer.from(text), name);
  zip.end();
  await finished(zip.outputStream.pipe(createWriteStream(path)));
}
