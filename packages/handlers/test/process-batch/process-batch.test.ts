import { mkdir, symlink, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createCanvas, GlobalFonts } from "@napi-rs/canvas";
import type { Handler } from "@jobyard/core";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type ExtractionOptions,
  processBatchHandler,
  processRedoHandler,
  reprocessBatchHandler,
} from "../../src/process-batch/handler.ts";
import { rowsIn } from "../../src/process-batch/ocr.ts";
import type { Column } from "../../src/process-batch/project.ts";
import { ModelTurns } from "../../src/process-batch/model-turns.ts";
import { checkValue } from "../../src/process-batch/values.ts";
import { fontFiles } from "../../src/report-generation/fonts.ts";
import type { HandlerDeps } from "../../src/handler-deps.ts";
import type { Storage } from "../../src/storage.ts";
import { expectFailure, newStorage, type RunOptions, runHandler, TENANT } from "../run-handler.ts";

interface ModelRequest {
  readonly model: string;
  readonly response_format?: unknown;
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
}

type Answer = { status?: number; headers?: Record<string, string>; body: unknown };

let files: Storage;
let server: Server | undefined;
let asked: { request: ModelRequest; authorization: string | undefined }[];

beforeEach(async () => {
  files = await newStorage();
  asked = [];
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === undefined ? resolve(null) : server.close(resolve)));
  server = undefined;
  await files.close();
});

function extractionHandlers(deps: HandlerDeps, options?: ExtractionOptions): Handler[] {
  const all = [processBatchHandler, reprocessBatchHandler, processRedoHandler];
  return all.map((handler) => handler(deps, options));
}

/** A server that speaks the OpenAI format; the handlers that ask it. */
async function model(
  answer: (n: number, request: ModelRequest) => Answer | Promise<Answer>,
  deps: Partial<HandlerDeps> = {},
): Promise<Handler[]> {
  server = createServer((request, response) => {
    void (async () => {
      const parsed = JSON.parse(await textOf(request)) as ModelRequest;
      asked.push({ request: parsed, authorization: request.headers.authorization });
      const { status = 200, headers = {}, body } = await answer(asked.length, parsed);
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    })();
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const extractor = { url: `http://127.0.0.1:${port}/v1/`, model: "small-vision", apiKey: "key" };
  const all = { files, extractor, ...deps };
  return extractionHandlers(all, { backoffMs: 1 });
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function says(content: unknown, tokens = 100): Answer {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return { body: { choices: [{ message: { content: text } }], usage: { total_tokens: tokens } } };
}

const cell = (value: unknown) => ({ value, confidence: 0.9, bbox_2d: [1, 2, 30, 20] });
const row = (name: unknown, amount: unknown) => ({ name: cell(name), amount: cell(amount) });

function drawn(...lines: string[]): Buffer {
  GlobalFonts.registerFromPath(fontFiles.regular, "Test Sans");
  const canvas = createCanvas(800, 60 + lines.length * 60);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, 800, 60 + lines.length * 60);
  context.fillStyle = "black";
  context.font = '32px "Test Sans"';
  for (const [i, line] of lines.entries()) {
    for (const [j, part] of line.split("|").entries())
      context.fillText(part, 30 + j * 250, 60 + i * 60);
  }
  return canvas.toBuffer("image/png");
}

async function put(path: string, content: Buffer | string | object): Promise<void> {
  const bytes = Buffer.isBuffer(content)
    ? content
    : Buffer.from(typeof content === "string" ? content : JSON.stringify(content));
  await files.of(TENANT).put(path, Readable.from([bytes]), { maxBytes: 10_000_000 });
}

const columns = [
  { id: "name", name: "Name", type: "text", description: "Who" },
  { id: "amount", name: "Amount", type: "number" },
];

async function project(fields: object = {}, images = ["a.png"]): Promise<void> {
  await put("projects/p/project.json", { columns, ...fields });
  for (const name of images) await put(`projects/p/batches/b/${name}`, drawn(name));
}

const BATCH = 0;
const REPROCESS = 1;
const REDO = 2;
const batch = { projectId: "p", batchId: "b" };

function run(handlers: Handler[], data: object = batch, options: RunOptions = {}, which = BATCH) {
  return runHandler(handlers[which]!, data, options);
}

describe("a batch", () => {
  it("becomes rows, image by image in name order", async () => {
    await project({}, ["page10.png", "page2.png", "page1.png", "notes.txt"]);
    const handlers = await model((_, { messages }) => {
      const parts = messages[1]!.content as { image_url?: { url: string } }[];
      const size = parts[1]!.image_url!.url.length;
      return says({ rows: [row(`image of ${size}`, 1), row("second", 2.5)] });
    });
    const { result, tokens, reports } = await run(handlers, batch, { jobId: 4 });
    expect(result).toMatchObject({
      imageCount: 3,
      extractionCount: 12,
      modelUsed: "small-vision",
      tokensUsed: 300,
      images: [{ name: "page1.png" }, { name: "page2.png" }, { name: "page10.png" }],
    });
    expect(tokens).toBe(300);
    const rows = result["rows"] as { rowIndex: number; columns: Record<string, object> }[];
    expect(rows.map(({ rowIndex }) => rowIndex)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(rows[5]!.columns["amount"]).toEqual({
      value: 2.5,
      confidence: 0.9,
      bbox_2d: [1, 2, 30, 20],
      image_index: 2,
    });
    expect(reports.at(-1)!.items).toEqual({ total: 3, processed: 3, failed: 0 });
    expect(asked[0]!.authorization).toBe("Bearer key");
    expect(JSON.stringify(asked[0]!.request.messages[0])).toContain("Who");
  });

  it("of several batches counts each by itself; reprocess does the same again", async () => {
    await project();
    await put("projects/p/batches/c/x.png", drawn("x"));
    const handlers = await model(() => says({ rows: [row("n", 1)] }));
    const data = { projectId: "p", batchId: "b", batchIds: ["c", "b"] };
    const { result } = await run(handlers, data, {}, REPROCESS);
    expect(result["rows"]).toMatchObject([
      { batchId: "b", rowIndex: 0 },
      { batchId: "c", rowIndex: 0 },
    ]);
  });

  it("uses the project's model, and leaves out what its flags turn off", async () => {
    const featureFlags = {
      multiRowExtraction: false,
      boundingBoxes: false,
      confidenceScores: false,
    };
    await project({ model: "big-vision", featureFlags });
    const handlers = await model(() => says({ rows: [row("n", 1)] }));
    const { result } = await run(handlers);
    expect(result).toMatchObject({ modelUsed: "big-vision" });
    const [first] = result["rows"] as { columns: object }[];
    expect(first!.columns).toEqual({
      name: { value: "n", image_index: 0 },
      amount: { value: 1, image_index: 0 },
    });
    expect(asked[0]!.request.model).toBe("big-vision");
  });

  it("goes on where an earlier attempt failed, without paying twice", async () => {
    await project({}, ["1.png", "2.png", "3.png"]);
    let broken = true;
    const handlers = await model((n) =>
      broken && n > 2 ? { status: 500, body: "" } : says({ rows: [row("n", 1)] }),
    );
    await expectFailure(run(handlers, batch, { jobId: 9 }), {
      code: "TEMPORARY_FAILURE",
      dataFault: false,
    });
    broken = false;
    asked = [];
    const { result } = await run(handlers, batch, { jobId: 9, attempt: 2 });
    expect(asked).toHaveLength(1);
    expect(result).toMatchObject({ imageCount: 3, tokensUsed: 300 });
    // Other images are other questions.
    await put("projects/p/batches/b/1.png", drawn("1", "more"));
    await run(handlers, batch, { jobId: 9 });
    expect(asked).toHaveLength(4);
  });

  it("stops when cancelled", async () => {
    await project();
    const abort = new AbortController();
    const handlers = await model(() => {
      setTimeout(() => abort.abort(new Error("cancelled")), 20);
      return new Promise<Answer>(() => undefined);
    });
    await expect(run(handlers, batch, { signal: abort.signal })).rejects.toThrow("cancelled");
  });
});

describe("answers of the model", () => {
  it.each([
    [
      "with a fence",
      "Here you are:\n```json\n" + JSON.stringify({ rows: [row("n", 1)] }) + "\n```",
    ],
    ["with words around", `Sure! ${JSON.stringify({ rows: [row("n", 1)] })} Anything else?`],
    ["as a list", JSON.stringify([row("n", 1)])],
    ["with bare values", JSON.stringify({ rows: [{ name: "n", amount: "1.0" }] })],
    ["without a record", JSON.stringify({ rows: [] })],
    ["with a __proto__", '{"rows":[{"__proto__":{"value":1},"name":"n","amount":1}]}'],
  ])("%s are taken", async (_, text) => {
    await project();
    const { result } = await run(await model(() => says(text)));
    expect(asked).toHaveLength(1);
    expect(result["imageCount"]).toBe(1);
  });

  it.each([
    ["no JSON", "I cannot read this."],
    ["other columns", { rows: [{ ...row("n", 1), extra: cell(1) }] }],
    ["a column missing", { rows: [{ name: cell("n") }] }],
    ["another shape", { data: [] }],
  ])("that have %s are asked for again, then given up", async (_, bad) => {
    await project();
    const mended = await model((n) => (n === 1 ? says(bad) : says({ rows: [row("n", 1)] })));
    const { result, tokens } = await run(mended);
    expect(result["extractionCount"]).toBe(2);
    expect(tokens).toBe(200);
    expect(asked[1]!.request.messages).toHaveLength(4);
    server!.close();
    asked = [];
    const never = await model(() => says(bad));
    await expectFailure(run(never, batch, { jobId: 2 }), {
      code: "INVALID_MODEL_ANSWER",
      dataFault: false,
    });
    expect(asked).toHaveLength(3);
  });

  it("values that a column does not take are left empty, with the reason", async () => {
    const strict = [
      { id: "code", type: "text", regex: "^[A-Z]{2}\\d+$" },
      { id: "color", allowedValues: ["Red", "Green"] },
      { id: "amount", type: "number" },
    ];
    await project({ columns: strict });
    const answer = { rows: [{ code: cell("ab1"), color: cell("RED"), amount: cell("many") }] };
    const { result, lines } = await run(await model(() => says(answer)));
    const [first] = result["rows"] as { columns: Record<string, unknown> }[];
    expect(first!.columns).toMatchObject({
      code: { value: null, rejected: { value: "ab1", reason: "does not match ^[A-Z]{2}\\d+$" } },
      color: { value: "Red" },
      amount: { value: null, rejected: { value: "many", reason: "is no number" } },
    });
    // One more look, and no more.
    expect(asked).toHaveLength(2);
    expect(lines.join("\n")).toContain("does not match");
  });

  it("places outside the image and odd confidences are left out", async () => {
    await project();
    const odd = { value: "n", confidence: 7, bbox_2d: [0, 0, 9999, 9] };
    const answer = { rows: [{ name: odd, amount: { value: 1, bbox_2d: [5, 5, 1, 1] } }] };
    const { result } = await run(await model(() => says(answer)));
    const [first] = result["rows"] as { columns: unknown }[];
    expect(first!.columns).toEqual({
      name: { value: "n", image_index: 0 },
      amount: { value: 1, image_index: 0 },
    });
  });
});

describe("the model's server", () => {
  const good = says({ rows: [row("n", 1)] });
  const failing = (status: number, headers: Record<string, string> = {}): Answer => ({
    status,
    headers,
    body: { error: { message: "because" } },
  });

  it.each([429, 500, 503])("that answers %i is asked again", async (status) => {
    await project();
    const handlers = await model((n) => (n < 3 ? failing(status, { "retry-after": "0" }) : good));
    const { result } = await run(handlers);
    expect(result["tokensUsed"]).toBe(100);
  });

  it.each([
    [401, "TEMPORARY_FAILURE", false, 1],
    [404, "TEMPORARY_FAILURE", false, 1],
    [429, "TEMPORARY_FAILURE", false, 3],
    [500, "TEMPORARY_FAILURE", false, 3],
    [400, "MODEL_REFUSED", true, 1],
    [413, "MODEL_REFUSED", true, 1],
  ])("that always answers %i: %s", async (status, code, dataFault, requests) => {
    await project();
    const handlers = await model(() => failing(status));
    const error = await expectFailure(run(handlers), { code, dataFault });
    expect(error.message).toContain("because");
    expect(error.message).not.toContain("key");
    expect(asked).toHaveLength(requests);
  });

  it("that knows no response_format is asked without", async () => {
    await project();
    const handlers = await model((_, request) =>
      request.response_format === undefined
        ? good
        : { status: 400, body: { error: { message: "unknown field response_format" } } },
    );
    await run(handlers);
    expect(asked).toHaveLength(2);
  });

  it("that answers with a page is asked again", async () => {
    await project();
    const handlers = await model((n) => (n === 1 ? { body: "<html>" } : good));
    await run(handlers);
    expect(asked).toHaveLength(2);
  });

  it("that is not there: the network's fault", async () => {
    await project();
    const extractor = { url: "http://127.0.0.1:9/v1", model: null, apiKey: null };
    const handlers = extractionHandlers({ files, extractor }, { backoffMs: 1 });
    await expectFailure(run(handlers), { code: "NETWORK_ERROR", dataFault: false });
  });

  it("is not followed elsewhere with the key", async () => {
    await project();
    const elsewhere = { status: 307, headers: { location: "http://127.0.0.1:9/" }, body: "" };
    const handlers = await model(() => elsewhere);
    await expectFailure(run(handlers), { code: "NETWORK_ERROR", dataFault: false });
  });
});

describe("what is wrong with the data fails at once", () => {
  const handlers = () => extractionHandlers({ files });

  it("no project", async () => {
    await expectFailure(run(handlers()), { code: "PROJECT_NOT_FOUND", dataFault: true });
  });

  it.each([
    "not JSON",
    "[]",
    {},
    { columns: [] },
    { columns: [{ name: "no id" }] },
    { columns: [{ id: "a" }, { id: "a" }] },
    '{"columns":[{"id":"__proto__"}]}',
    { columns: [{ id: "a", type: "picture" }] },
    { columns: [{ id: "a", regex: "(" }] },
    { columns: [{ id: "a", regex: "(?=x)" }] },
    Buffer.from([0xff, 0xfe]),
  ])("project.json %#", async (content) => {
    await put("projects/p/project.json", content);
    await expectFailure(run(handlers()), { code: "INVALID_PROJECT", dataFault: true });
  });

  it("no images", async () => {
    await project({}, []);
    await expectFailure(run(handlers()), { code: "NO_IMAGES", dataFault: true });
    await put("projects/p/batches/b/readme.md", "x");
    await expectFailure(run(handlers()), { code: "NO_IMAGES", dataFault: true });
  });

  it("a folder that leads elsewhere", async () => {
    await project({}, []);
    const root = join(files.root, TENANT, "projects/p");
    await mkdir(join(root, "batches"), { recursive: true });
    await mkdir(join(files.root, "other"));
    await writeFile(join(files.root, "other/secret.png"), drawn("secret"));
    await symlink(join(files.root, "other"), join(root, "batches/b"));
    await expectFailure(run(handlers()), { code: "FILE_REFUSED", dataFault: true });
  });

  it("an image that is none", async () => {
    await project({}, []);
    await put("projects/p/batches/b/a.png", "not an image, whatever its name says it is");
    await expectFailure(run(handlers()), { code: "INVALID_IMAGE", dataFault: true });
  });

  it("a picture that would not fit into memory", async () => {
    await project({}, []);
    const header = drawn("x");
    header.writeUInt32BE(100_000, 16);
    header.writeUInt32BE(100_000, 20);
    await put("projects/p/batches/b/a.png", header);
    await expectFailure(run(handlers()), { code: "INVALID_IMAGE", dataFault: true });
  });
});

describe("redo", () => {
  const redo = {
    projectId: "p",
    batchId: "b",
    rowIndex: 1,
    redoColumnIds: ["amount"],
    croppedImageIds: { amount: "crop-1" },
    sourceImageIds: { amount: "page" },
  };

  it("replaces the named columns of that one row", async () => {
    await project();
    await put("projects/p/images/crop-1.png", drawn("crop"));
    await put("projects/p/images/page.png", drawn("page"));
    const handlers = await model((n) =>
      says({ rows: n === 1 ? [row("a", 1), row("b", 2)] : [{ amount: cell(22) }] }),
    );
    await run(handlers);
    const { result, tokens } = await run(handlers, redo, { jobId: 2 }, REDO);
    expect(result).toMatchObject({
      batchId: "b",
      rowIndex: 1,
      columns: { amount: { value: 22, redone: true, image_index: 0, image_id: "crop-1" } },
      row: { name: { value: "b" }, amount: { value: 22, redone: true } },
      tokensUsed: 100,
    });
    expect(Object.keys(result["columns"] as object)).toEqual(["amount"]);
    expect(tokens).toBe(100);
    const parts = asked[1]!.request.messages[1]!.content as unknown[];
    expect(parts).toHaveLength(3);
    const again = await run(handlers, { ...redo, rowIndex: 0 }, { jobId: 3 }, REDO);
    expect(again.result["row"]).toMatchObject({ name: { value: "a" } });
  });

  it.each([
    [{ rowIndex: 5 }, "ROW_NOT_FOUND"],
    [{ redoColumnIds: ["nothing"] }, "UNKNOWN_COLUMN"],
    [{ redoColumnIds: ["name"] }, "IMAGE_NOT_FOUND"],
    [{ croppedImageIds: { amount: "none" } }, "IMAGE_NOT_FOUND"],
  ])("with %j fails at once", async (fields, code) => {
    await project();
    const handlers = await model(() => says({ rows: [row("a", 1), row("b", 2)] }));
    await run(handlers);
    const failed = run(handlers, { ...redo, ...fields }, { jobId: 2 }, REDO);
    await expectFailure(failed, { code, dataFault: true });
  });
});

describe("without a model", () => {
  it("reads labelled values on this machine", async () => {
    await project(
      {
        columns: [
          { id: "invoice", name: "Invoice", regex: "^INV-\\d+$" },
          { id: "total", name: "Total", type: "currency" },
          { id: "date", name: "Date", type: "date" },
          { id: "status", name: "Status", allowedValues: ["Paid", "Open"] },
          { id: "phone", name: "Phone" },
        ],
      },
      [],
    );
    const image = drawn(
      "Invoice: INV-2041",
      "Date: 2026-03-14",
      "Total: $1,250.75",
      "Status: Paid",
    );
    await put("projects/p/batches/b/a.png", image);
    const { result } = await run(extractionHandlers({ files }));
    expect(result).toMatchObject({
      modelUsed: "tesseract.js (eng)",
      tokensUsed: 0,
      extractionCount: 4,
    });
    const [first] = result["rows"] as { columns: Record<string, Record<string, unknown>> }[];
    const values = Object.fromEntries(
      Object.entries(first!.columns).map(([id, { value }]) => [id, value]),
    );
    expect(values).toEqual({
      invoice: "INV-2041",
      total: 1250.75,
      date: "2026-03-14",
      status: "Paid",
      phone: null,
    });
    const [x1, y1, x2, y2] = first!.columns["invoice"]!["bbox_2d"] as number[];
    expect(x1).toBeGreaterThan(100);
    expect(x2! - x1!).toBeGreaterThan(50);
    expect(y1).toBeLessThan(60);
    expect(y2! - y1!).toBeLessThan(60);
    expect(first!.columns["invoice"]!["confidence"]).toBeGreaterThan(0.5);
  });

  it("reads a table", async () => {
    await project({}, []);
    await put("projects/p/batches/b/a.png", drawn("Name|Amount", "Alpha|12.5", "Bravo|7"));
    const { result } = await run(extractionHandlers({ files }));
    expect(result["rows"]).toMatchObject([
      { rowIndex: 0, columns: { name: { value: "Alpha" }, amount: { value: 12.5 } } },
      { rowIndex: 1, columns: { name: { value: "Bravo" }, amount: { value: 7 } } },
    ]);
  });

  it("a damaged image fails at once, and the next one is read", async () => {
    await project({}, []);
    const image = drawn("Name: Alpha", "Amount: 3");
    await put("projects/p/batches/b/a.png", image.subarray(0, 60));
    const handlers = extractionHandlers({ files });
    await expectFailure(run(handlers), { code: "INVALID_IMAGE", dataFault: true });
    await put("projects/p/batches/b/a.png", image);
    const { result } = await run(handlers);
    expect(result["rows"]).toMatchObject([{ columns: { amount: { value: 3 } } }]);
  });

  it("finds rows in any words", () => {
    const word = fc.record({
      text: fc.oneof(fc.string(), fc.constantFrom("Name:", "Amount", ":", "12")),
      confidence: fc.double({ min: 0, max: 1, noNaN: true }),
      box: fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat()),
    });
    const all: Column[] = ["Name", "Amount"].map((name) => ({
      id: name.toLowerCase(),
      name,
      type: "text",
      description: "",
      allowedValues: [],
      pattern: null,
    }));
    const flags = { multiRow: true, confidence: true, boundingBoxes: true };
    fc.assert(
      fc.property(fc.array(fc.array(word)), (lines) =>
        rowsIn(lines, { flags }, all, 0).every((found) => Object.keys(found).length === 2),
      ),
    );
  });
});

describe("values", () => {
  const column = (type: Column["type"]): Column => ({
    id: "c",
    name: "C",
    type,
    description: "",
    allowedValues: [],
    pattern: null,
  });

  it.each([
    ["number", "1,234.5", 1234.5],
    ["number", "-7", -7],
    ["number", "(12)", -12],
    ["number", "12 kg", 12],
    ["currency", "$1,250.75", 1250.75],
    ["currency", "€ 5", 5],
    ["integer", "12", 12],
    ["boolean", "Yes", true],
    ["boolean", "0", false],
    ["date", "2026-3-4", "2026-03-04"],
    ["date", "14/03/2026", "2026-03-14"],
    ["date", "March 14, 2026", "2026-03-14"],
    ["date", "14 Mar 2026", "2026-03-14"],
    ["text", "  x ", "x"],
    ["text", "", null],
  ] as const)("%s %j is %j", (type, raw, value) => {
    expect(checkValue(raw, column(type))).toEqual({ value });
  });

  it.each([
    ["number", "1,5"],
    ["number", "many"],
    ["number", "1.2.3"],
    ["integer", "1.5"],
    ["boolean", "perhaps"],
    ["date", "03/04/2026"],
    ["date", "2026-02-30"],
    ["text", "[object]", []],
  ] as const)("%s %j is refused", (type, raw, odd?: unknown) => {
    expect(checkValue(odd ?? raw, column(type))).toHaveProperty("reason");
  });
});

describe("the rate limit", () => {
  it("gives turns in the order of asking, and asks again when it may be answered otherwise", async () => {
    const asked: number[] = [];
    const granted = [true, true, false, true, true, false, true];
    const resetMs = 20;
    const turns = new ModelTurns(async () => {
      asked.push(performance.now());
      return { allowed: granted[asked.length - 1] === true, remaining: 0, resetMs };
    });
    const { signal } = new AbortController();
    const order: number[] = [];
    await Promise.all(
      [0, 1, 2, 3, 4].map((i) => turns.turn(signal).then(() => void order.push(i))),
    );
    expect(order).toEqual([0, 1, 2, 3, 4]);
    expect(asked).toHaveLength(granted.length);
    for (const refused of [2, 5]) {
      const waited = (asked[refused + 1] as number) - (asked[refused] as number);
      // Node's timers can be a millisecond early.
      expect(waited).toBeGreaterThanOrEqual(resetMs - 1);
    }
  });

  it("gives a cancelled turn to others, and takes none for it", async () => {
    let open = false;
    let given = 0;
    const turns = new ModelTurns(async () => {
      if (open) given++;
      return { allowed: open, remaining: 0, resetMs: 5 };
    });
    const abort = new AbortController();
    const [first, second] = [turns.turn(abort.signal), turns.turn(abort.signal)];
    const third = turns.turn(new AbortController().signal);
    const refused = [first, second].map((turn) => expect(turn).rejects.toThrow("cancelled"));
    abort.abort(new Error("cancelled"));
    await Promise.all(refused);
    open = true;
    await third;
    expect(given).toBe(1);
  });

  it("holds for the requests of all handlers", async () => {
    await project({}, ["1.png", "2.png"]);
    const abort = new AbortController();
    const modelRequests = new SqliteAdapter({ path: ":memory:" }).rateLimiter({
      name: "model",
      points: 1,
      seconds: 60,
    });
    const handlers = await model(() => says({ rows: [row("n", 1)] }), { modelRequests });
    const running = [BATCH, REPROCESS].map((which) =>
      expect(
        run(handlers, batch, { signal: abort.signal, jobId: which + 1 }, which),
      ).rejects.toThrow("enough"),
    );
    await expect.poll(() => asked.length).toBe(1);
    abort.abort(new Error("enough"));
    await Promise.all(running);
    expect(asked).toHaveLength(1);
  });
});
