"use strict";

// Every operation is one POST. A subscription uses Server-Sent Events, so that the key in
// the headers editor also applies to it.
async function* subscribe(params, headers) {
  const stopped = new AbortController();
  try {
    const response = await post(params, { ...headers, Accept: "text/event-stream" }, stopped.signal);
    if (!response.headers.get("Content-Type").startsWith("text/event-stream")) {
      yield await response.json();
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        const lines = frame.split("\n");
        if (lines.includes("event: complete")) return;
        const data = lines.filter(line => line.startsWith("data: ")).map(line => line.slice(6)).join("\n");
        if (data) yield JSON.parse(data);
      }
    }
  } finally {
    stopped.abort();
  }
}

function post(params, headers, signal) {
  return fetch("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(params),
    signal,
  });
}

function isSubscription(params, documentAST) {
  return documentAST?.definitions.some(d =>
    d.kind === "OperationDefinition" && d.operation === "subscription" &&
    (!params.operationName || d.name?.value === params.operationName));
}

async function fetcher(params, options = {}) {
  const headers = options.headers ?? {};
  if (isSubscription(params, options.documentAST)) return subscribe(params, headers);
  return (await post(params, headers)).json();
}

// The demo returns its key for the secret of its link, which the web UI stores. Elsewhere this file contains no key.
async function demoKey() {
  try {
    const secret = localStorage.getItem("demo") ?? "";
    const response = await fetch("/demo.json", { headers: { Authorization: `Bearer ${secret}` } });
    return response.ok ? (await response.json()).key : "";
  } catch {
    return "";
  }
}

const startQuery = `# Waypost's API. The headers tab below holds your key.
query {
  viewer { name scopes }
  senders { id name state queueDepth }
}
`;

demoKey().then(key => {
  const headers = JSON.stringify({ Authorization: `Bearer ${key || "KEY"}` }, null, 2);
  ReactDOM.createRoot(document.getElementById("graphiql")).render(
    React.createElement(GraphiQL, {
      fetcher,
      defaultQuery: startQuery,
      // In the demo, this run's key replaces a key that the browser remembers.
      ...(key ? { headers } : { defaultHeaders: headers }),
      defaultEditorToolsVisibility: key ? true : "headers",
    }),
  );
});
