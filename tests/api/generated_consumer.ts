// What a customer writes with the generated types; each line that must not pass says so.
import type { components, operations, paths } from "./meetbot";

type Job = components["schemas"]["JobOut"];
type NewJob = operations["createJob"]["requestBody"]["content"]["application/json"];
type Page =
  paths["/api/v1/jobs"]["get"]["responses"][200]["content"]["application/json"];

export const asked: NewJob = {
  meetingUrl: "https://meet.google.com/abc-defg-hij",
  joinAt: "2026-05-09T14:00:00Z",
};

// @ts-expect-error a meeting is needed
export const nowhere: NewJob = { displayName: "Acme Notetaker" };

export function finished(page: Page): string[] {
  return page.data
    .filter((job: Job) => job.status === "completed" && job.exitReason !== null)
    .map((job) => job.manifestUri ?? "");
}

export function never(job: Job): boolean {
  // @ts-expect-error there is no such status
  return job.status === "done";
}

export function cursor(page: Page): string {
  // @ts-expect-error it is null on the last page
  return page.nextCursor;
}
