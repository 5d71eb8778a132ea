import { tenantQuery } from "../schemas/basics.ts";
import { addedJob } from "../schemas/jobs.ts";
import * as schedules from "../schemas/schedules.ts";
import { define } from "./define.ts";

const one = { params: schedules.scheduleParams, query: tenantQuery };

export const scheduleOperations = {
  listSchedules: define("read", "get /schedules", {
    id: "listSchedules",
    summary: "All schedules, by name",
    query: tenantQuery,
    data: schedules.schedules,
  }),
  addSchedule: define("administer", "post /schedules", {
    id: "addSchedule",
    summary: "Add a job again and again",
    query: tenantQuery,
    body: schedules.newSchedule,
    made: true,
    data: schedules.schedule,
    refused: ["DUPLICATE_SCHEDULE"],
  }),
  previewSchedule: define("read", "post /schedules/preview", {
    id: "previewSchedule",
    summary: "When a schedule would be due, and what it says in plain words",
    body: schedules.previewBody,
    data: schedules.preview,
  }),
  getSchedule: define("read", "get /schedules/{name}", {
    id: "getSchedule",
    summary: "A schedule",
    ...one,
    data: schedules.schedule,
    refused: ["SCHEDULE_NOT_FOUND"],
  }),
  updateSchedule: define("administer", "patch /schedules/{name}", {
    id: "updateSchedule",
    summary: "Change, pause or resume a schedule",
    description: "What is absent stays as it is; `job` is replaced as a whole.",
    ...one,
    body: schedules.schedulePatch,
    data: schedules.schedule,
    refused: ["SCHEDULE_NOT_FOUND"],
  }),
  removeSchedule: define("administer", "delete /schedules/{name}", {
    id: "removeSchedule",
    summary: "Remove a schedule; jobs that it has added stay",
    ...one,
    data: schedules.scheduleParams,
    refused: ["SCHEDULE_NOT_FOUND"],
  }),
  runSchedule: define("administer", "post /schedules/{name}/run", {
    id: "runSchedule",
    summary: "Add a schedule's job now; its next run stays",
    ...one,
    made: true,
    data: addedJob,
    refused: ["SCHEDULE_NOT_FOUND", "DUPLICATE_JOB"],
  }),
};
