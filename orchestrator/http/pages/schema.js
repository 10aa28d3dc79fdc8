// The page of the API: reads openapi.json, shows every operation, sends requests to the server that served the page.

const base = new URL("../", import.meta.url);
const api = await (await fetch(new URL("schema/openapi.json", base))).json();
const key = document.getElementById("key");
const find = document.getElementById("find");

/** An element with properties and children; text never becomes markup. */
function make(name, properties = {}, ...children) {
  const { dataset, ...rest } = properties;
  const element = Object.assign(document.createElement(name), rest);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

function resolve(schema) {
  return schema?.$ref ? resolve(api.components.schemas[schema.$ref.split("/").pop()]) : schema ?? {};
}

/** The type of a schema in words, its bounds included. */
function words(schema) {
  const name = schema.$ref?.split("/").pop();
  const known = resolve(schema);
  if (known.anyOf) return known.anyOf.map(words).join(" or ");
  if ("const" in known) return JSON.stringify(known.const);
  if (known.enum) return known.enum.join(" | ");
  if (known.type === "array") return `list of ${words(known.items ?? {})}`;
  const bounds = [
    known.minimum !== undefined && `≥ ${known.minimum}`,
    known.maximum !== undefined && `≤ ${known.maximum}`,
    known.minLength && `at least ${known.minLength} long`,
    known.maxLength && `at most ${known.maxLength} long`,
    known.pattern && `like ${known.pattern}`,
  ].filter(Boolean);
  const type = name ?? known.format ?? known.type ?? "anything";
  return bounds.length ? `${type} (${bounds.join(", ")})` : type;
}

function field(parameter) {
  const schema = resolve(parameter.schema);
  const choices = schema.enum ?? (schema.type === "boolean" ? ["false", "true"] : null);
  const common = { name: parameter.name, required: parameter.required, dataset: { place: parameter.in, type: schema.type ?? "" } };
  if (choices) {
    return make("select", common, make("option", { value: "" }, "—"), ...choices.map((one) => make("option", { value: one }, one)));
  }
  if (schema.type === "array") return make("textarea", { ...common, rows: 1, placeholder: "one per line" });
  const placeholder = schema.default === undefined || schema.default === null ? "" : String(schema.default);
  return make("input", { ...common, placeholder, autocomplete: "off" });
}

function address(path, inputs) {
  let filled = path;
  const query = new URLSearchParams();
  for (const input of inputs) {
    if (input.dataset.place === "path") {
      filled = filled.replace(`{${input.name}}`, encodeURIComponent(input.value));
    } else if (input.dataset.type === "array") {
      for (const line of input.value.split("\n").filter(Boolean)) query.append(input.name, line);
    } else if (input.value !== "") {
      query.append(input.name, input.value);
    }
  }
  const search = query.toString();
  return new URL(filled.slice(1) + (search ? `?${search}` : ""), base);
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function asCurl(method, url, headers, body) {
  const parts = ["curl", "-X", method, quoted(url.href)];
  for (const [name, value] of Object.entries(headers)) {
    parts.push("-H", name === "authorization" ? '"Authorization: Bearer $ORCHESTRATOR_API_KEY"' : quoted(`${name}: ${value}`));
  }
  if (body !== undefined) parts.push("-d", quoted(body));
  return parts.join(" ");
}

async function send(method, url, headers, body, signal, shown) {
  const begun = performance.now();
  const answer = await fetch(url, { method, headers, body, signal });
  const text = await answer.text();
  const took = Math.round(performance.now() - begun);
  const status = make("p", { className: answer.ok ? "status" : "status bad" }, `${answer.status} ${answer.statusText} · ${took} ms`);
  const isJson = answer.headers.get("content-type")?.includes("json");
  shown.append(status, make("pre", {}, isJson ? JSON.stringify(JSON.parse(text), null, 2) : text));
}

/** The form of one operation: its parameters, its body, and what came back. */
function form(method, path, operation) {
  const parameters = operation.parameters ?? [];
  const inputs = parameters.map(field);
  const rows = parameters.flatMap((parameter, place) => [
    make("label", { className: parameter.required ? "path required" : "path" }, parameter.name),
    inputs[place],
    make("span", { className: "kind" }, words(parameter.schema)),
  ]);
  inputs.forEach((input, place) => { input.ariaLabel = parameters[place].name; });
  const { schema, example } = operation.requestBody?.content["application/json"] ?? {};
  const body = schema && make("textarea", { className: "body", spellcheck: false, ariaLabel: "Body", value: JSON.stringify(example, null, 2) });
  const button = make("button", { type: "submit" }, "Send");
  const stop = make("button", { type: "button", disabled: true }, "Stop");
  const shown = make("div", { ariaLive: "polite" });
  const element = make("form", { className: "inside" });
  if (operation.description) element.append(make("p", {}, operation.description));
  if (rows.length) element.append(make("div", { className: "fields" }, ...rows));
  if (body) element.append(make("p", {}, "Body: ", make("code", {}, words(schema)), operation.requestBody.required ? "" : " (may be left out)"), body);
  element.append(make("p", {}, button, " ", stop), shown);
  let sending = null;
  stop.addEventListener("click", () => sending?.abort());
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    sending = new AbortController();
    [button.disabled, stop.disabled] = [true, false];
    const headers = key.value ? { authorization: `Bearer ${key.value}` } : {};
    const content = body?.value.trim() || undefined;
    if (content !== undefined) headers["content-type"] = "application/json";
    const url = address(path, inputs);
    shown.replaceChildren(make("pre", {}, asCurl(method, url, headers, content)));
    try {
      await send(method, url, headers, content, sending.signal, shown);
    } catch (error) {
      shown.append(make("p", { className: "status bad" }, error.name === "AbortError" ? "Stopped." : String(error)));
    } finally {
      [button.disabled, stop.disabled] = [false, true];
    }
  });
  return element;
}

function foldable(head, inside) {
  const element = make("details", {}, make("summary", {}, ...head));
  element.addEventListener("toggle", () => { if (element.open && element.children.length === 1) element.append(inside()); });
  return element;
}

document.getElementById("title").textContent = api.info.title;
document.getElementById("about").textContent = `${api.info.description} Version ${api.info.version}.`;

const groups = new Map();
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const head = [
      make("span", { className: `method ${method}` }, method.toUpperCase()),
      make("span", { className: "path" }, path),
      make("span", { className: "says" }, operation.summary ?? ""),
    ];
    const element = foldable(head, () => form(method.toUpperCase(), path, operation));
    element.id = operation.operationId;
    element.dataset.text = `${method} ${path} ${operation.operationId} ${operation.summary} ${operation.description ?? ""}`.toLowerCase();
    const tag = operation.tags?.[0] ?? "Others";
    groups.set(tag, [...(groups.get(tag) ?? []), element]);
  }
}
for (const [tag, elements] of groups) {
  document.getElementById("operations").append(make("section", {}, make("h2", {}, tag), ...elements));
}
for (const [name, schema] of Object.entries(api.components.schemas)) {
  const element = foldable([make("span", { className: "path" }, name), make("span", { className: "says" }, schema.description ?? "")],
    () => make("pre", {}, JSON.stringify(schema, null, 2)));
  document.getElementById("schemas").append(element);
}

find.addEventListener("input", () => {
  const wanted = find.value.toLowerCase();
  for (const element of document.querySelectorAll("#operations details")) element.hidden = !element.dataset.text.includes(wanted);
});
document.getElementById("tools").addEventListener("submit", (event) => event.preventDefault());
document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
