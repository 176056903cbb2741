// Shows the response headers of this page, and the edges that `verge up` started.

const show = (id, text) => { document.getElementById(id).textContent = text; };

/** `edge-1; hit; detail=memory` → `memory`. */
const source = (cacheStatus) => /detail=(\w+)/.exec(cacheStatus)?.[1] ?? (/;\s*hit/.test(cacheStatus) ? "cache" : "origin");

async function loadPage() {
  const start = performance.now();
  const response = await fetch("/", { cache: "no-store" });
  await response.text();
  show("time", `${(performance.now() - start).toFixed(1)} ms`);
  for (const element of document.querySelectorAll("[data-header]")) {
    const name = element.dataset.header;
    const value = response.headers.get(name) ?? "unknown";
    element.textContent = name === "cache-status" ? source(value) : value;
  }
}

async function listEdges() {
  const { edges, command } = await (await fetch("/up.json", { cache: "no-store" })).json();
  show("command", command);
  for (const element of document.querySelectorAll(".command")) element.textContent = command;
  document.getElementById("edge-list").replaceChildren(...edges.map(({ name, url }) => {
    const link = Object.assign(document.createElement("a"), { href: url, textContent: name });
    if (new URL(url).port === location.port) link.setAttribute("aria-current", "true");
    const item = document.createElement("li");
    item.append(link);
    return item;
  }));
}

document.getElementById("again").addEventListener("click", loadPage);
await Promise.all([loadPage(), listEdges()]);
