// The demo's panel for breaking the simulated WhatsApp. It changes the simulator's settings, not Waypost.
import { messageOf } from "../api/client.ts";
import { span } from "../lib/format.ts";
import type { Route, View } from "../route.ts";
import { poll, state } from "../state.ts";
import { h, reactive, type VNode } from "../ui/h.ts";
import { button, card, chip, held, quiet } from "../ui/parts.ts";

type Settings = Record<string, unknown>;

interface Fault {
  id: string;
  name: string;
  note: string;
  setting: string;
  /** Additional settings. */
  with?: Settings;
  steps: readonly number[];
  from: (value: unknown) => number;
  to: (step: number) => unknown;
  text: (step: number) => string;
  broken: (step: number) => boolean;
}

const shares = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1];
const share = { steps: shares, from: Number, to: (step: number) => step,
  text: (step: number) => (step === 0 ? "none" : `${Math.round(step * 100)}%`), broken: (step: number) => step > 0 };

/** Returns the milliseconds of a duration in Go's notation, such as 1m30s or 50ms. */
function milliseconds(text: unknown): number {
  const units: Record<string, number> = { ns: 1e-6, us: 1e-3, "µs": 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 };
  return [...String(text).matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * units[unit!]!, 0);
}

const delay = (steps: readonly number[], usual: number) => ({
  steps, from: milliseconds, to: (ms: number) => `${ms}ms`, text: (ms: number) => span(ms / 1000), broken: (ms: number) => ms > usual,
});

const faults: readonly Fault[] = [
  { id: "drop", name: "Drop responses", note: "accepted, then the connection is cut", setting: "drop_response_rate", ...share },
  { id: "errors", name: "Temporary errors", note: "code 131000: retried, then dead letters", setting: "error_rate",
    with: { error_codes: [131000] }, ...share },
  { id: "server-errors", name: "Empty 502", note: "unknown whether the message was accepted", setting: "empty_5xx_rate", ...share },
  { id: "refuse", name: "Permanent errors", note: "code 131026, undeliverable: never retried", setting: "fail_after_accept_rate", ...share },
  { id: "throttle", name: "Throttle", note: "code 130429 above this rate", setting: "rate",
    steps: [1000, 500, 200, 80, 40, 20, 10, 5, 2, 1],
    from: value => (Number(value) === 0 ? 1000 : Number(value)), to: rate => rate, text: rate => `above ${rate}/s`,
      broken: rate => rate < 80 },
  { id: "slow", name: "Slow down calls", note: "time until a response", setting: "latency",
    ...delay([0, 50, 120, 250, 500, 1000, 2000, 5000, 10_000, 20_000], 250) },
  { id: "late", name: "Late webhooks", note: "time between statuses: delivery latency", setting: "webhook_delay",
    ...delay([0, 50, 300, 900, 2000, 5000, 10_000, 20_000], 900) },
  { id: "silent", name: "Lose webhooks", note: "statuses that are never sent", setting: "webhook_drop_rate", ...share },
];

const repaired: Settings = { ...Object.fromEntries(faults.map(({ setting }) => [setting, null])), error_codes: null, hang_numbers: null,
  fail_numbers: null };

async function control(request: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch("demo/control", { ...request, headers: { ...request.headers, authorization: `Bearer ${state.demo!.secret}` }, signal: AbortSignal.timeout(10_000) });
  } catch (cause) {
    throw new Error("Cannot reach the simulator's settings.", { cause });
  }
  if (!response.ok) throw new Error((await response.text()).trim().slice(0, 300) || `The simulator responded with status ${response.status}.`);
  return response;
}

export function breakIt(_: Route): View {
  const view = reactive({
    settings: null as Settings | null, said: "", bad: false, dragged: new Map() as ReadonlyMap<string, number>,
  });
  let changes: Promise<void> = Promise.resolve(); // one after the other, so that the last one wins

  const load = async (): Promise<void> => {
    view.settings = await (await control()).json() as Settings;
  };

  function change(next: Settings, done: string): void {
    changes = changes.then(async () => {
      try {
        await control({ method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(next) });
        await load();
        [view.said, view.bad] = [done, false];
      } catch (error) {
        [view.said, view.bad] = [messageOf(error), true];
      }
      view.dragged = new Map();
    });
  }

  const stop = state.demo ? poll(5000, load) : () => {};
  return { title: "Break it", stop, render };

  function render(): VNode {
    if (!state.demo) return h("section", { class: "card narrow" }, h("h2", null, "Break it"),
      quiet("Only the demo (waypost demo) has a simulated WhatsApp that you can break."));
    const hanging = listed("hang_numbers"), held = Object.keys((view.settings?.fail_numbers ?? {}) as Record<string, number>);
    const broken = view.settings === null ? 0
      : faults.filter(fault => fault.broken(fault.from(view.settings![fault.setting] ?? 0))).length + Number(hanging.length > 0) + Number(held.length > 0);
    return h("div", { class: "board" },
      card(["Break it ", chip(broken === 0 ? "nothing broken" : `${broken} ${broken === 1 ? "thing" : "things"} broken`, broken === 0
        ? "good" : "bad", { id: "broken" })],
        { id: "break", class: "wide" }, button("Fix everything", () => change(repaired, "Everything is fixed."), { id: "mend", class: "" }),
        quiet("These change the simulated WhatsApp at ", h("code", null, state.demo.simulator), ", not Waypost. Watch the ",
          h("a", { href: "#/" }, "overview"), ", the ",
          h("a", { href: "#/messages" }, "messages"), ", and the ", h("a", { href: "#/ledger" }, "ledger"), " while you change them."),
        h("form", { id: "faults", class: "faults", onsubmit: (event: Event) => event.preventDefault() },
          faults.map(slider),
          numbers("Hang a number", "its calls get no response", "hang", hanging, ids => change({ hang_numbers: ids }, "Changed.")),
          numbers("Expire a token", "code 190: Waypost holds the sender", "expire", held,
            ids => change({ fail_numbers: Object.fromEntries(ids.map(id => [id, 190])) }, "Changed.")),
          h("p", { id: "faults-note", role: "status", class: view.bad ? "error" : "quiet" }, view.said))));
  }

  function listed(name: string): string[] {
    const value = view.settings?.[name];
    return Array.isArray(value) ? value.map(String) : [];
  }

  function slider(fault: Fault): VNode {
    const { id, name, note, setting, steps, text } = fault;
    const value = fault.from(view.settings?.[setting] ?? 0);
    const nearest = steps.reduce((best, step, i) => (Math.abs(step - value) < Math.abs(steps[best]! - value) ? i : best), 0);
    const at = view.dragged.get(id) ?? nearest, shown = view.dragged.has(id) ? steps[at]! : value;
    const index = (event: Event): number => Number(held(event));
    return h("div", { class: "fault", key: id },
      h("label", { for: id }, h("span", null, name, h("span", { class: "quiet" }, ` ${note}`)),
        h("output", { id: `${id}-value`, for: id, "data-tone": fault.broken(shown) ? "bad" : null }, view.settings ? text(shown) : "…")),
      h("input", {
        id, type: "range", name: setting, min: 0, max: steps.length - 1, step: 1, value: String(at), "aria-valuetext": text(shown),
          disabled: view.settings === null,
        oninput: (event: Event) => { view.dragged = new Map(view.dragged).set(id, index(event)); },
        onchange: (event: Event) => change({ ...fault.with, [setting]: fault.to(steps[index(event)]!) },
          `${name}: ${text(steps[index(event)]!)}.`),
      }));
  }

  function numbers(name: string, note: string, id: string, chosen: readonly string[], changed: (ids: string[]) => void): VNode {
    return h("fieldset", { id, key: id }, h("legend", null, name, h("span", { class: "quiet" }, ` ${note}`)),
      (state.senders ?? []).map(sender =>
      h("label", { class: "check", key: sender.id }, h("input", {
        type: "checkbox", checked: chosen.includes(sender.phoneNumberId),
        onchange: (event: Event) => changed((event.target as HTMLInputElement).checked ? [...chosen, sender.phoneNumberId]
          : chosen.filter(other => other !== sender.phoneNumberId)),
      }), `${sender.name} (${sender.phoneNumberId})`)));
  }
}
