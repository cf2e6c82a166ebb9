// The occurrences of series as ical.js finds them, which Thunderbird's calendar uses. Reads
// [{calendar, before}] from its input: the text, and a moment (ms) to stop at; writes their starts
// (ms), with exceptions moved and cancelled ones left out.
const fs = require("node:fs");
const { createRequire } = require("node:module");
const found = createRequire(`${process.argv[2]}/`)("ical.js");
const ICAL = found.default ?? found;

const MOST = 5000;

function starts({ calendar, before }) {
  const root = new ICAL.Component(ICAL.parse(calendar));
  for (const zone of root.getAllSubcomponents("vtimezone")) {
    ICAL.TimezoneService.register(new ICAL.Timezone(zone));
  }
  const parts = root.getAllSubcomponents("vevent").map((part) => new ICAL.Event(part));
  const master = parts.find((part) => !part.isRecurrenceException());
  for (const part of parts) if (part !== master) master.relateException(part);
  const cancelled = ({ item }) => item.component.getFirstPropertyValue("status") === "CANCELLED";
  const made = [];
  const iterator = master.iterator();
  for (let count = 0, next; count < MOST && (next = iterator.next()); count += 1) {
    const details = master.getOccurrenceDetails(next);
    const start = details.startDate.toJSDate().getTime();
    if (next.toJSDate().getTime() >= before) break;
    if (!cancelled(details)) made.push(start);
  }
  ICAL.TimezoneService.reset();
  return made;
}

const asked = JSON.parse(fs.readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(asked.map(starts)));
