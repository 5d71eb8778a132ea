import type { JobEvent } from "@jobyard/core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EventBatch, type EventListener } from "../../src/transports/event-hub.ts";
import { eventStream, textOf } from "../../src/transports/sse.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const event: JobEvent = {
  cursor: "c-7",
  type: "job.pushed",
  tenant: "default",
  queue: "post",
  jobId: 9,
  at: 0,
};

/** A stream, and the hands of who feeds it. */
function fed({ expiresAt = Infinity, data = "9" } = {}) {
  const ended = new AbortController();
  const [stop, cut] = [vi.fn(), vi.fn()];
  let listener: EventListener | undefined;
  const stream = eventStream<EventBatch>({
    reading: { begin: (reader) => void (listener = reader), end: stop },
    encode: ({ events }) =>
      Buffer.from(
        events
          .filter(({ jobId }) => jobId !== 0)
          .map(({ cursor }) => textOf({ id: cursor, event: "e", data }))
          .join(""),
      ),
    expiresAt,
    signal: ended.signal,
    cut,
  });
  const bytes = stream.getReader();
  const reader = {
    async read() {
      const { value, done } = await bytes.read();
      return { value: value === undefined ? undefined : Buffer.from(value).toString(), done };
    },
    cancel: () => bytes.cancel(),
  };
  return {
    reader,
    stop,
    cut,
    end: () => ended.abort(),
    tell: (...events: JobEvent[]) => listener?.onBatch(new EventBatch(events)),
    lose: () => listener?.onGap(),
  };
}

test("events as they come, gaps, and comments in between", async () => {
  const { reader, tell, lose } = fed();
  expect((await reader.read()).value).toBe("retry: 1000\n\n");
  tell(event, { ...event, jobId: 0 }, { ...event, cursor: "c-9" });
  expect((await reader.read()).value).toBe(
    "id: c-7\nevent: e\ndata: 9\n\nid: c-9\nevent: e\ndata: 9\n\n",
  );
  tell({ ...event, jobId: 0 });
  lose();
  expect((await reader.read()).value).toBe("event: gap\ndata: {}\n\n");
  await vi.advanceTimersByTimeAsync(15_000);
  expect((await reader.read()).value).toBe(":\n\n");
  await reader.cancel();
});

test("it ends with its reader and with the server, and leaves no timer", async () => {
  const gone = fed();
  await gone.reader.read();
  await gone.reader.cancel();
  expect([gone.stop.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0]);
  // What comes late goes nowhere.
  gone.tell(event);
  gone.lose();

  const stopped = fed();
  await stopped.reader.read();
  stopped.end();
  expect((await stopped.reader.read()).done).toBe(true);
  expect([stopped.stop.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0]);
});

test("it ends with its token, says so, and is cut if nobody takes that", async () => {
  const { reader, stop, cut, tell } = fed({ expiresAt: Date.now() + 60_000 });
  await reader.read();
  await vi.advanceTimersByTimeAsync(59_999);
  expect(stop).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(stop).toHaveBeenCalledOnce();
  tell(event);
  let text = "";
  for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
  expect(text.replaceAll(":\n\n", "")).toBe(
    'event: dropped\ndata: {"error":"The token has expired"}\n\n',
  );
  await vi.advanceTimersByTimeAsync(29_999);
  expect(cut).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect([cut.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0]);
});

test("it says at once that its token has expired meanwhile", async () => {
  const { reader, stop } = fed({ expiresAt: Date.now() });
  await reader.read();
  expect((await reader.read()).value).toContain("The token has expired");
  expect((await reader.read()).done).toBe(true);
  expect(stop).toHaveBeenCalledOnce();
});

test("a reader that lags far behind is dropped and told; a long backlog alone is no fault", async () => {
  const { reader, tell, stop } = fed({ data: "x".repeat(2_000_000) });
  await reader.read();
  tell(event);
  expect(stop).not.toHaveBeenCalled();
  tell(event);
  tell(event);
  tell(event);
  expect(stop).toHaveBeenCalledOnce();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
  }
  const why = 'event: dropped\ndata: {"error":"Too slow: 1000000 bytes lie unread"}\n\n';
  expect(text.endsWith(why)).toBe(true);
});
