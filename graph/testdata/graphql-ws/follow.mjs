// Follows messageUpdates with the client that most browsers use, through a
// connection that is cut, and prints what it sees as JSON lines.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, key, after, updates] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));

let socket;
let seen = 0;
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${key}` },
  retryAttempts: 5,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
  on: {
    connected: (s) => { socket = s; say({ connected: true }); },
    closed: (event) => say({ closed: event.code }),
  },
});

// The client repeats a subscription with the variables that it has then: those name
// the last cursor seen.
const variables = { after };
client.subscribe(
  { query: 'subscription($after: String) { messageUpdates(after: $after) { cursor } }', variables },
  {
    next: ({ data, errors }) => {
      if (errors) { say({ errors }); return; }
      variables.after = data.messageUpdates.cursor;
      say({ cursor: variables.after });
      seen++;
      if (seen === 1) { socket.terminate(); }
      if (seen === Number(updates)) { say({ done: true }); }
    },
    error: (error) => { say({ error: error.code ?? String(error) }); process.exit(0); },
    complete: () => say({ complete: true }),
  },
);
