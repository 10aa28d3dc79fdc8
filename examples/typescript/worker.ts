// A worker in TypeScript: asks for tasks of kind `shout`, works, sends heartbeats, reports. Types from the server's OpenAPI:
//
//     orchestrator openapi > openapi.json && npm install && npm run types && npm run check
//     npm start /srv/shop
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.d.ts";

type Claimed = components["schemas"]["ClaimedTask"];

const key = process.env.ORCHESTRATOR_API_KEY;
const api = createClient<paths>({
  baseUrl: process.env.ORCHESTRATOR_URL ?? "http://127.0.0.1:8080",
  headers: key ? { Authorization: `Bearer ${key}` } : {},
});
const me = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
const ending = new AbortController();
process.once("SIGTERM", () => ending.abort());

async function work(task: Claimed, stop: AbortSignal): Promise<unknown> {
  if (stop.aborted) throw new Error("stopped");
  return { shout: task.prompt?.toUpperCase() };
}

async function beat(task: Claimed, stop: AbortController, over: AbortSignal): Promise<void> {
  // Held by the server for up to half the lease: a cancelled task is heard of at once.
  while (!over.aborted) {
    const { data } = await api.POST("/api/v1/tasks/{task_id}/heartbeat", {
      params: { path: { task_id: task.id } },
      body: { lease: task.lease, wait: 20 },
      signal: over,
    });
    if (data?.data?.directive !== "continue") return stop.abort();
  }
}

async function run(task: Claimed): Promise<void> {
  const stop = new AbortController();
  const over = new AbortController();
  beat(task, stop, over.signal).catch(() => over.signal.aborted || stop.abort());
  const params = { path: { task_id: task.id } };
  try {
    const result = await work(task, stop.signal);
    await api.POST("/api/v1/tasks/{task_id}/complete", { params, body: { lease: task.lease, result } });
  } catch (error) {
    const body = { lease: task.lease, error: { type: "Error", message: String(error) } };
    await api.POST("/api/v1/tasks/{task_id}/fail", { params, body });
  } finally {
    over.abort();
  }
}

while (!ending.signal.aborted) {
  try {
    const { data, error } = await api.GET("/api/v1/tasks/next", {
      params: {
        query: {
          work_path: [process.argv[2] ?? process.cwd()],
          worker_id: me,
          kinds: ["shout"],
          lease_seconds: 60,
          // An answer that got lost can be had again, and a claim that nobody heartbeats goes back by itself.
          poll_id: randomUUID(),
          confirm_seconds: 15,
        },
      },
      signal: ending.signal,
    });
    if (error) throw new Error(JSON.stringify(error));
    if (data.data) await run(data.data);
  } catch (error) {
    if (ending.signal.aborted) break;
    console.error(String(error));
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
