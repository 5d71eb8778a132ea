import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { SignJWT } from "jose";
import { describe, expect, test, vi } from "vitest";
import { engines } from "../engines.ts";
import { temporaryFolder } from "../running-server.ts";
import { queueOn } from "./queue-on.ts";
import { type Answer, LineClient, lines, type LinesSetup } from "./line-client.ts";

const works = { ok: true, queued: expect.any(Number) };
const stats = { cmd: "STATS" };
const failure = (error: string) => ({ ok: false, error: expect.stringContaining(error) });

const LEAVE_SOCKET =
  'require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))';

describe.each(engines)("on the %s engine", (engine) => {
  const start = async (setup: LinesSetup = {}) => {
    const queue = await queueOn(engine);
    const server = await lines(queue, setup);
    return { queue, ...server, one: await server.client() };
  };

  describe("lines", () => {
    test("in single bytes, and many in one packet", async () => {
      const { one } = await start();
      const text = '{"cmd":"PUSH","queue":"bytes","data":"ß→🌍"}\r\n';
      for (const byte of Buffer.from(text)) one.send(new Uint8Array([byte]));
      expect(await one.next()).toMatchObject({ ok: true });
      one.send(`\n \n${text}${text}{"cmd":"PULLB","queue":"bytes","count":3`);
      one.send("}\n");
      await one.next();
      await one.next();
      const { jobs } = await one.next();
      expect(jobs.map((job: Answer) => job.data)).toEqual(["ß→🌍", "ß→🌍", "ß→🌍"]);
    });

    test.each<[string, string | Uint8Array | object, string]>([
      ["no JSON", "hello\n", "Invalid JSON"],
      ["half an object", '{"cmd":"STATS"\n', "Invalid JSON"],
      ["a list", "[1]\n", "must be a JSON object"],
      ["null", "null\n", "must be a JSON object"],
      ["no cmd", "{}\n", "must be a JSON object with a text cmd"],
      ["a cmd that is no text", { cmd: 5 }, "text cmd"],
      ["an unknown cmd", { cmd: "EXPLODE" }, "Unknown command: EXPLODE"],
      ["a small cmd", { cmd: "stats" }, "Unknown command: stats"],
      ["an inherited cmd", { cmd: "constructor" }, "Unknown command"],
      ["no queue", { cmd: "PUSH", data: 1 }, "Invalid queue name"],
      ["a bad queue", { cmd: "PULL", queue: "a/b" }, "Invalid queue name"],
      ["an endless queue", { cmd: "PAUSE", queue: "q".repeat(257) }, "Invalid queue name"],
      ["no data", { cmd: "PUSH", queue: "q" }, "data: Required field missing"],
      ["data too large", { cmd: "PUSH", queue: "q", data: "x".repeat(1e6) }, "Payload too large"],
      [
        "data too deep",
        `{"cmd":"PUSH","queue":"q","data":${"[".repeat(101)}${"]".repeat(101)}}\n`,
        "data",
      ],
      ["a poisoned key", '{"cmd":"PUSH","queue":"q","data":{"__proto__":1}}\n', "__proto__"],
      ["a far priority", { cmd: "PUSH", queue: "q", data: 1, priority: 2 ** 31 }, "priority: "],
      ["a fraction", { cmd: "PUSH", queue: "q", data: 1, delay: 0.5 }, "delay: "],
      ["a text number", { cmd: "PUSH", queue: "q", data: 1, max_attempts: "3" }, "max_attempts: "],
      [
        "a strange dependency",
        { cmd: "PUSH", queue: "q", data: 1, depends_on: [-4] },
        "depends_on[0]",
      ],
      ["no jobs", { cmd: "PUSHB", queue: "q", jobs: [] }, "jobs: "],
      [
        "1,001 jobs",
        { cmd: "PUSHB", queue: "q", jobs: Array.from({ length: 1001 }, () => ({ data: 1 })) },
        "jobs: ",
      ],
      ["1,001 ids", { cmd: "ACKB", ids: Array(1001).fill(1) }, "ids: "],
      ["a count of 1,001", { cmd: "PULLB", queue: "q", count: 1001 }, "count: "],
      ["a count of 0", { cmd: "PULLB", queue: "q", count: 0 }, "count: "],
      ["no id", { cmd: "ACK" }, "id: "],
      [
        "an id beyond 2^53",
        '{"cmd":"ACK","id":9007199254740993}\n',
        "Job 9007199254740992 not found",
      ],
      ["an id below 1", { cmd: "GETSTATE", id: 0 }, "Job 0 not found"],
      [
        "a result too deep",
        `{"cmd":"ACK","id":1,"result":${"[".repeat(101)}${"]".repeat(101)}}\n`,
        "result",
      ],
      ["a progress of 101", { cmd: "PROGRESS", id: 1, progress: 101 }, "progress: "],
      ["a limit of 0", { cmd: "RATELIMIT", queue: "q", limit: 0 }, "limit: "],
      ["a limit of 2^31", { cmd: "SETCONCURRENCY", queue: "q", limit: 2 ** 31 }, "limit: "],
      [
        "a bad schedule",
        { cmd: "CRON", name: "c", queue: "q", data: 1, schedule: "* *" },
        "schedule: ",
      ],
      [
        "a long schedule",
        { cmd: "CRON", name: "c", queue: "q", data: 1, schedule: "*/1 ".repeat(99) },
        "schedule: ",
      ],
      ["a bad token", { cmd: "AUTH", token: "of-nobody" }, "Authentication required"],
      ["no token", { cmd: "AUTH" }, "token: "],
      [
        "invalid UTF-8",
        Buffer.from('{"cmd":"PUSH","queue":"q","data":"\xff"}\n', "latin1"),
        "Invalid UTF-8",
      ],
      ["nothing but noise", Buffer.from([0x16, 3, 1, 2, 0, 0x0a]), "Invalid"],
    ])("%s is answered with an error, and the connection goes on", async (_, line, error) => {
      const { one, client } = await start();
      const neighbour = await client();
      one.send(stats, line, stats);
      expect(await one.next()).toEqual(expect.objectContaining(works));
      expect(await one.next()).toEqual(failure(error));
      expect(await one.next()).toMatchObject({ ok: true, queued: 0 });
      expect(await neighbour.ask(stats)).toMatchObject({ ok: true, queued: 0 });
    });

    test("one bad command among many of one packet harms none of the others", async () => {
      const { one } = await start();
      const pushes = Array.from({ length: 20 }, (_, i) => ({
        cmd: "PUSH",
        queue: "mixed",
        data: i,
        ...(i === 7 ? { ttl: -1 } : {}),
      }));
      const pushed = await one.askAll(pushes);
      expect(pushed.filter(({ ok }) => ok === true)).toHaveLength(19);
      expect(pushed[7]).toEqual(failure("ttl: "));
      const { jobs } = await one.ask({ cmd: "PULLB", queue: "mixed", count: 20 });
      const deep = JSON.parse("[".repeat(120) + "]".repeat(120)) as unknown;
      const acks = jobs.map((job: Answer, i: number) => ({
        cmd: "ACK",
        id: i === 3 ? 4_000_000 : job.id,
        result: i === 5 ? deep : i,
      }));
      const answers = await one.askAll(acks);
      expect(answers.filter(({ ok }) => ok === true)).toHaveLength(17);
      expect(answers[3]).toEqual(failure("Job 4000000 not found"));
      expect(answers[5]).toEqual(failure("result"));
    });

    test("long lines are carried out in their place", async () => {
      const { one } = await start();
      const jobs = Array.from({ length: 500 }, (_, i) => ({ data: { i, text: "x".repeat(4000) } }));
      const small = { cmd: "PUSH", queue: "long", data: "small" };
      const answers = await one.askAll([
        small,
        { cmd: "PUSHB", queue: "long", jobs },
        stats,
        small,
        { cmd: "PUSHB", queue: "long", jobs, more: Array.from({ length: 1_000_001 }, () => 0) },
        { cmd: "PUSHB", queue: "long", jobs: [...jobs, { data: 1, delay: -1 }] },
        stats,
      ]);
      expect(answers).toMatchObject([
        { ok: true },
        { ok: true },
        { ok: true, queued: 501 },
        { ok: true },
        failure("Payload too large: a line may hold 1000000 values"),
        failure("jobs[500].delay: "),
        { ok: true, queued: 502 },
      ]);
      const [first] = answers[1].ids;
      expect(await one.ask({ cmd: "GETJOB", id: first + 499 })).toMatchObject({
        job: { data: { i: 499 } },
      });
    });

    test("a line that is too long is skipped", async () => {
      const { one } = await start({ env: { MAX_BATCH_BYTES: "2000" } });
      one.send(stats, `{"cmd":"PUSH","queue":"q","data":"${"x".repeat(3000)}"}\n`, stats);
      expect(await one.next()).toMatchObject({ ok: true });
      expect(await one.next()).toEqual(failure("Payload too large: a line may have 2000 bytes"));
      expect(await one.next()).toMatchObject({ ok: true, queued: 0 });
      one.send("x".repeat(1500));
      await one.ask(`${"x".repeat(1500)}\n`);
      expect(await one.ask(stats)).toMatchObject({ ok: true });
    });

    test("a line without end is cut off, and its neighbours feel nothing", async () => {
      const { one, client } = await start({ env: { MAX_BATCH_BYTES: "100000" } });
      const neighbour = await client();
      one.send(stats);
      await one.next();
      one.send(Buffer.alloc(600_000, "x"));
      expect(await one.closed).toEqual([failure("a line has no end")]);
      expect(await neighbour.ask(stats)).toMatchObject({ ok: true });
    });

    test("all unfinished lines together hold 64 MB: the longest goes first", async () => {
      const { client, one } = await start({ env: { MAX_BATCH_BYTES: "30 MB" } });
      const long = Buffer.alloc(20_000_000, "x");
      const greedy = await Promise.all([client(), client(), client()]);
      one.send('{"cmd":"STA');
      for (const [i, each] of greedy.entries()) each.send(long.subarray(i * 1000));
      const more = await client();
      more.send(Buffer.alloc(10_000_000, "x"));
      // Whichever of them the server had read furthest.
      const { each, told } = await Promise.race(
        greedy.map(async (each) => ({ each, told: await each.closed })),
      );
      expect(told).toEqual([failure("a line has no end")]);
      expect(await one.ask('TS"}\n')).toMatchObject({ ok: true });
      for (const left of [...greedy.filter((other) => other !== each), more]) {
        left.send("\n");
        expect(await left.next()).toEqual(failure("Invalid JSON"));
      }
    });

    test("HTTP is turned away before its body is looked at", async () => {
      const { one, client } = await start();
      one.send('POST /x HTTP/1.1\r\nHost: localhost\r\n\r\n{"cmd":"PUSH","queue":"q","data":1}\n');
      expect(await one.closed).toEqual([failure("does not speak HTTP")]);
      expect(await (await client()).ask(stats)).toMatchObject({ queued: 0 });
    });
  });

  describe("AUTH", () => {
    const env = { API_TOKENS: "for-tests-only", JWT_SECRET: "a secret of at least 32 bytes ..." };
    const token = (claims: object, expiresIn = "1h") =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: "HS256" })
        .setExpirationTime(expiresIn)
        .sign(new TextEncoder().encode(env.JWT_SECRET));

    test("comes first where tokens are configured", async () => {
      const { one } = await start({ env });
      expect(await one.ask(stats)).toEqual({ ok: false, error: "Authentication required" });
      expect(await one.ask({ cmd: "AUTH", token: "wrong" })).toMatchObject({ ok: false });
      const answers = await one.askAll([
        { cmd: "AUTH", token: "for-tests-only" },
        stats,
        { cmd: "PUSH", queue: "q", data: 1 },
      ]);
      expect(answers.map(({ ok }) => ok)).toEqual([true, true, true]);
    });

    test("nothing long is looked at before, and all of it after, in one packet too", async () => {
      const { one } = await start({ env });
      const long = {
        cmd: "PUSH",
        queue: "q",
        data: "d".repeat(900_000),
        more: "m".repeat(200_000),
      };
      const noise = `${"[".repeat(1_200_000)}\n`;
      one.send(noise, stats);
      expect(await one.next()).toEqual({ ok: false, error: "Authentication required" });
      expect(await one.next()).toEqual({ ok: false, error: "Authentication required" });
      const answers = await one.askAll([
        long,
        { cmd: "AUTH", token: "for-tests-only" },
        long,
        stats,
      ]);
      expect(answers).toMatchObject([
        { ok: false, error: "Authentication required" },
        { ok: true },
        { ok: true, id: expect.any(Number) },
        { ok: true, queued: 1 },
      ]);
      expect(await one.ask(noise)).toEqual(failure("Payload too large"));
    });

    test("names tenant and roles", async () => {
      const { one, client } = await start({ env });
      const manager = {
        cmd: "AUTH",
        token: await token({ roles: ["MANAGER"], tenantId: "north" }),
      };
      const operator = { cmd: "AUTH", token: await token({ role: "OPERATOR", tenantId: "north" }) };
      const other = await client();
      await one.ask(operator);
      await other.ask(manager);
      const { id } = await one.ask({ cmd: "PUSH", queue: "q", data: 1 });
      expect(await other.ask({ cmd: "GETSTATE", id })).toMatchObject({ state: "waiting" });
      for (const cmd of ["PUSH", "PULL", "PULLB", "PAUSE"]) {
        expect(await other.ask({ cmd, queue: "q", data: 1 })).toEqual(failure("may do this"));
      }
      for (const cmd of ["ACK", "FAIL", "CANCEL"]) {
        expect(await other.ask({ cmd, id })).toEqual(failure("may do this"));
      }
      const limit = { cmd: "RATELIMIT", queue: "q", limit: 1 };
      expect(await one.ask(limit)).toEqual(failure("Only ADMIN"));
      const south = { cmd: "AUTH", token: await token({ role: "ADMIN", tenantId: "south" }) };
      expect(await one.ask(south)).toEqual({ ok: true });
      expect(await one.ask({ cmd: "GETSTATE", id })).toEqual(failure(`Job ${id} not found`));
    });

    test("ends with the token, also for who waits", async () => {
      const { one } = await start({ env });
      await one.ask({ cmd: "AUTH", token: await token({ role: "ADMIN" }, "2s") });
      one.send({ cmd: "PULL", queue: "q" });
      expect(await one.next()).toEqual({ ok: false, error: "Authentication required" });
      expect(await one.ask(stats)).toEqual({ ok: false, error: "Authentication required" });
      await one.ask({ cmd: "AUTH", token: "for-tests-only" });
      expect(await one.ask(stats)).toMatchObject({ ok: true });
    });

    test("a token that ends between two commands of one packet leaves none unanswered", async () => {
      // The look at all connections would take some of the looks at the clock.
      const { client } = await start({ env, limits: { checkMs: 600_000 } });
      const auth = { cmd: "AUTH", token: await token({ role: "OPERATOR" }, "60s") };
      const push = { cmd: "PUSH", queue: "q", data: 1 };
      const began = Date.now();
      const seen = new Set<string>();
      for (let looks = 0; looks < 25; looks++) {
        const one = await client();
        expect(await one.ask(auth)).toEqual({ ok: true });
        // Each command looks at the clock, and others do in between.
        let left = looks;
        const clock = vi
          .spyOn(Date, "now")
          .mockImplementation(() => (left-- > 0 ? began : began + 120_000));
        const answers = await one.askAll([push, { cmd: "ACK", id: 5_000_000 }, push, stats]);
        clock.mockRestore();
        const ended = answers.map(({ error }) => error === "Authentication required");
        seen.add(ended.map((is) => (is ? "-" : "+")).join(""));
        one.socket.destroy();
      }
      for (const some of ["----", "+---", "++--", "+++-", "++++"]) expect(seen).toContain(some);
    });

    test("what was pulled before another AUTH, and not read, goes back to its own tenant", async () => {
      const { one, queue } = await start({ env });
      const as = async (tenantId: string) => ({
        cmd: "AUTH",
        token: await token({ role: "OPERATOR", tenantId }),
      });
      const west = queue.of("west");
      const data = "x".repeat(900_000);
      for (let i = 0; i < 12; i++) await west.add({ queue: "q", data });
      await one.ask(await as("west"));
      one.socket.pause();
      one.send(...Array.from({ length: 12 }, () => ({ cmd: "PULL", queue: "q" })));
      one.send(await as("east"), { cmd: "PUSH", queue: "sign", data: 1 });
      await expect.poll(() => queue.of("east").count()).toMatchObject({ waiting: 1 });
      const { active } = await west.count();
      expect(active).toBeGreaterThan(6);
      one.socket.destroy();
      await expect.poll(async () => (await west.count()).waiting).toBeGreaterThan(6);
    });

    test("too many failures close the connection", async () => {
      const { one } = await start({ env });
      for (let i = 0; i < 5; i++) one.send({ cmd: "AUTH", token: `guess-${i}` });
      const answers = await one.closed;
      expect(answers).toHaveLength(5);
      expect(answers.at(-1)).toEqual(failure("Too many failed AUTHs"));
    });

    test("who does not log in is closed", async () => {
      const { one } = await start({ env, limits: { loginMs: 50 } });
      expect(await one.closed).toEqual([failure("Authentication required")]);
    });
  });

  describe("limits", () => {
    test("a connection beyond the cap is closed with a reason", async () => {
      const { client, one } = await start({ env: { MAX_CONNECTIONS: "2" } });
      const second = await client();
      const third = await client();
      expect(await third.closed).toEqual([failure("Too many connections")]);
      expect(await one.ask(stats)).toMatchObject({ ok: true });
      second.socket.destroy();
      // Its place is free as soon as the server has heard of it.
      for (;;) {
        const next = await client();
        const answer = await next.ask(stats).catch(() => ({ ok: false }));
        if (answer.ok === true) break;
      }
    });

    test("idle connections are closed, waiting ones are not", async () => {
      const { client, one } = await start({ limits: { idleMs: 100 } });
      const waiting = await client();
      waiting.send({ cmd: "PULL", queue: "q" });
      await one.ask(stats);
      expect(await one.closed).toEqual([failure("Idle for too long")]);
      const other = await client();
      await other.ask({ cmd: "PUSH", queue: "q", data: 1 });
      expect(await waiting.next()).toMatchObject({ ok: true, job: { data: 1 } });
    });

    test("a line that takes too long to come is closed with a reason", async () => {
      const { client, one } = await start({ limits: { lineMs: 150 } });
      const neighbour = await client();
      one.send('{"cmd":');
      const dripping = setInterval(() => one.send(" "), 20);
      expect(await one.closed).toEqual([failure("too slowly")]);
      clearInterval(dripping);
      expect(await neighbour.ask(stats)).toMatchObject({ ok: true });
    });

    test("who does not read is dropped, and what it pulled last comes back", async () => {
      const { client, one, queue } = await start({
        env: { MAX_BATCH_BYTES: "4 MB" },
        limits: { readMs: 300 },
      });
      const neighbour = await client();
      const data = "x".repeat(900_000);
      for (let i = 0; i < 30; i++) await neighbour.ask({ cmd: "PUSH", queue: "fat", data });
      one.socket.pause();
      one.send(...Array.from({ length: 30 }, () => ({ cmd: "PULL", queue: "fat" })));
      const gone = once(one.socket, "close");
      const count = () => queue.of("default").count();
      while ((await count()).active === 0) await neighbour.ask(stats);
      while ((await count()).waiting < 20) await neighbour.ask(stats);
      one.socket.resume();
      await gone;
      expect(await neighbour.ask({ cmd: "PULL", queue: "fat" })).toMatchObject({ ok: true });
    });
  });

  describe("a Unix socket", () => {
    test("is for its owner alone, and a stale one is taken over", async () => {
      const path = join(await temporaryFolder(), "lines.sock");
      const { server } = await start({ env: { TCP_SOCKET: path } });
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const one = await LineClient.connect({ path });
      expect(await one.ask(stats)).toMatchObject({ ok: true });
      await expect(start({ env: { TCP_SOCKET: path } })).rejects.toThrow("EADDRINUSE");
      await server.close();
      expect(existsSync(path)).toBe(false);

      // As a process that was killed leaves it.
      const killed = spawnSync(process.execPath, ["-e", LEAVE_SOCKET, path]);
      expect(killed.signal).toBe("SIGKILL");
      expect(existsSync(path)).toBe(true);
      const again = await start({ env: { TCP_SOCKET: path } });
      expect(await (await LineClient.connect({ path })).ask(stats)).toMatchObject({ ok: true });
      await again.server.close();

      writeFileSync(path, "somebody's");
      await expect(start({ env: { TCP_SOCKET: path } })).rejects.toThrow("EADDRINUSE");
    });
  });

  describe("a stop", () => {
    test("answers who waits, refuses new work, and still hears of what runs", async () => {
      const { one, client, server, port, queue } = await start();
      await one.ask({ cmd: "PUSH", queue: "q", data: 1 });
      const { job } = await one.ask({ cmd: "PULL", queue: "q" });
      const waiting = await client();
      waiting.send({ cmd: "PULL", queue: "q" }, { cmd: "PUSH", queue: "seen", data: 0 });
      while ((await one.ask(stats)).queued === 0);
      server.stop();
      expect(await waiting.next()).toEqual(failure("stopping"));
      expect(await waiting.next()).toMatchObject({ ok: true });
      expect(await one.ask({ cmd: "PUSH", queue: "q", data: 2 })).toEqual(failure("stopping"));
      expect(await one.ask({ cmd: "PULL", queue: "q" })).toEqual(failure("stopping"));
      expect(await one.ask({ cmd: "ACK", id: job.id })).toEqual({ ok: true });
      const late = connect({ host: "127.0.0.1", port });
      const [refused] = (await once(late, "error").catch((error: unknown) => [error])) as [Error];
      expect(refused.message).toContain("ECONNREFUSED");
      await server.close();
      await one.closed;
      expect(await queue.of("default").count()).toMatchObject({ waiting: 1, completed: 1 });
    });
  });
});
