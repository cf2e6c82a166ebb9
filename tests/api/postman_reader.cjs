// How Postman's own library understands a collection: each request, ready to be sent, and what
// it did not take over. Reads the collection from its input.
const fs = require("node:fs");
const { createRequire } = require("node:module");
const { Collection } = createRequire(`${process.argv[2]}/`)("postman-collection");

const written = JSON.parse(fs.readFileSync(0, "utf8"));
const collection = new Collection(written);

// Descriptions get a type, addresses are put together anew, and lists that are empty are left out.
const KNOWN = new Set(["description", "raw"]);
const lost = [];
function compare(before, after, path) {
  if (before === null || typeof before !== "object") {
    if (before !== after) lost.push(path);
    return;
  }
  for (const [name, value] of Object.entries(before)) {
    const empty = Array.isArray(value) && value.length === 0;
    if (KNOWN.has(name) || empty) continue;
    compare(value, after?.[name], `${path}/${name}`);
  }
}
compare(written, collection.toJSON(), "");

const requests = [];
collection.forEachItem((item) => {
  const folders = [];
  item.forEachParent((parent) => folders.unshift(parent.name));
  const auth = item.getAuth();
  requests.push({
    folders,
    name: item.name,
    method: item.request.method,
    url: item.request.url.toString().replace(/\?.*/, ""),
    sent: item.request.url.query.filter((one) => !one.disabled).length,
    variables: item.request.url.variables.map((one) => one.key),
    auth: auth?.type ?? null,
    token: auth?.parameters().get("token") ?? null,
    contentType: item.request.headers.get("content-type") ?? null,
    body: item.request.body?.toString() ?? null,
  });
});
process.stdout.write(
  JSON.stringify({
    name: collection.name,
    variables: collection.variables.map((one) => one.key),
    lost,
    requests,
  }),
);
