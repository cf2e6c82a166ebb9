// What customers run in Node; see consumers.py. Reads one request as JSON, writes what came of it.
import crypto from "node:crypto";
import fs from "node:fs";

function verifyMeetbotWebhook(rawBody, signatureHeader, secret) {
  if (!signatureHeader?.startsWith("sha256=")) return false;
  const provided = Buffer.from(signatureHeader.slice("sha256=".length), "hex");
  const expected = crypto.createHmac("sha256", secret).update(rawBody).digest();
  return provided.length === expected.length && crypto.timingSafeEqual(provided, expected);
}

// The App Router's handler: `req` is a standard Request.
async function POST(req, secret, queueProcess) {
  const raw = await req.text();
  if (!verifyMeetbotWebhook(raw, req.headers.get("x-meetbot-signature"), secret)) {
    return new Response("invalid signature", { status: 401 });
  }
  const event = JSON.parse(raw);
  if (event.type === "recording.finalized") {
    queueProcess(event.data);
  }
  return new Response("ok");
}

async function onJobFailed(event, act) {
  const { failure_code, failure_detail, jobId } = event.data;
  switch (failure_code) {
    case "host_denied_admission":
    case "recording_disabled":
      return act("notify", { jobId, failure_detail });
    case "waiting_for_host":
    case "lobby_timeout":
    case "dispatch_timeout":
      return act("retry", { jobId, delaySec: 60 });
    case "auth_failure":
    case "quota_exceeded":
      return act("page", { jobId, failure_code, failure_detail });
    case "internal_error":
      return act("warn", { jobId, failure_detail });
    default:
      return act("finalized", { jobId });
  }
}

const asked = JSON.parse(fs.readFileSync(0, "utf8"));
const headers = asked.signature === null ? {} : { "x-meetbot-signature": asked.signature };
const queued = [];
let answer;
if (asked.run === "verify") {
  answer = verifyMeetbotWebhook(asked.body, asked.signature, asked.secret);
} else if (asked.run === "handle") {
  const request = new Request("https://yours.example/hook", {
    method: "POST",
    headers,
    body: asked.body,
  });
  const response = await POST(request, asked.secret, (data) => queued.push(data));
  answer = { status: response.status, queued };
} else {
  const good = verifyMeetbotWebhook(asked.body, asked.signature, asked.secret);
  if (good) await onJobFailed(JSON.parse(asked.body), (did, what) => queued.push({ did, ...what }));
  answer = { status: good ? 200 : 401, queued };
}
process.stdout.write(JSON.stringify(answer));
