// The form that queues a message.
import { untracked } from "@preact/signals";
import { ask, messageOf, Refused, ServerAway } from "../api/client.ts";
import { OneMessage, Queue, TemplateChoices, type MessageContentInput, type QueueMessageInput, type TemplateChoicesData, type TemplateInput } from "../api/operations.ts";
import { count, plural } from "../lib/format.ts";
import { isUserId } from "../lib/recognize.ts";
import type { Route, View } from "../route.ts";
import { forbidden, report, state } from "../state.ts";
import { h, reactive, type Child } from "../ui/h.ts";
import { fromField, utc } from "../ui/zone.ts";
import { bodyVariables, templateBubble } from "./content.ts";
import { card, field, held as heldBy, markField, messageLink, options, quiet, segments, values } from "../ui/parts.ts";
import { queueOnce, textContent, WrongField } from "./queueing.ts";

type Kind = "text" | "template" | "other";

export function queue(route: Route): View {
  const view = reactive({ kind: "text" as Kind, busy: false, fault: "", accepted: [] as { id: string; replayed: boolean }[] });
  const policy = reactive({ sender: "", outside: "SEND", choices: [] as Choice[], typed: noTemplates });
  let stopped = false, listed = "";
  const given = reactive({ ...blank, to: route.query.get("to") ?? "", sender: route.query.get("sender") ?? "", loaded: true });
  const copyOf = route.query.get("copy");
  if (copyOf) void copy(copyOf);

  /** Fills the form with the values of another message. */
  async function copy(id: string): Promise<void> {
    given.loaded = false;
    try {
      const { message } = await ask(OneMessage, { id, audit: false });
      if (message?.content == null) throw new Error("The message has no content to copy.");
      const { kind, ...content } = contentFields(message.type, message.content);
      view.kind = kind;
      Object.assign(given, content, {
        to: message.to ?? message.toUserId ?? "", sender: message.sender.id, priority: message.priority, onAmbiguous: message.onAmbiguous,
        labels: message.labels.map(({ name, value }) => `${name}=${value}`).join(", "),
      });
      type({ name: given.name, language: given.language });
    } catch (error) {
      view.fault = messageOf(error);
    }
    given.loaded = true;
  }

  /** Loads the templates of the chosen sender's account, for the form to offer. */
  async function offer(): Promise<void> {
    const senders = state.senders ?? [], chosen = policy.sender || given.sender;
    const account = (chosen ? senders.find(({ id }) => id === chosen) : senders[0])?.businessAccountId ?? "";
    if (account === listed || forbidden(TemplateChoices)) return;
    [listed, policy.choices] = [account, []];
    if (!account) return;
    try {
      const { templates } = await ask(TemplateChoices, { account });
      if (account === listed) policy.choices = templates.edges.map(({ node }) => node).filter(({ sending }) => sending !== "FAILING");
    } catch (error) {
      report(error); // the names can be typed
    }
  }

  const type = (change: Partial<Typed>): void => { policy.typed = { ...policy.typed, ...change }; };

  /** Keeps the texts of fields that are about to be replaced by others, for when they are shown again. */
  function keep(): void {
    const form = new FormData(document.querySelector<HTMLFormElement>("#queue") ?? undefined);
    for (const name of replaced) given[name] = String(form.get(name) ?? given[name]);
  }

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (view.busy) return;
    const form = event.currentTarget as HTMLFormElement;
    [view.busy, view.fault] = [true, ""];
    markField(form, null);
    try {
      const input = read(values(form), view.kind, policy.choices);
      const { message: { id }, replayed } = await queueOnce(input, text => { view.fault = text; }, () => stopped);
      view.accepted = [{ id, replayed }, ...view.accepted].slice(0, 10);
      view.fault = "";
      (form.elements.namedItem("body") as HTMLTextAreaElement | null)?.select();
    } catch (error) {
      view.fault = error instanceof ServerAway ? "No response. Press Queue again: the message will not be sent twice." : messageOf(error);
      markField(form, error instanceof Refused ? inputOf(error.field) : error instanceof WrongField ? error.field : null);
    }
    view.busy = false;
  }

  return {
    title: "Queue a message", stop: () => { stopped = true; },
    render: () => {
      const reason = forbidden(Queue);
      if (view.kind === "template" || policy.outside === "FALLBACK") void untracked(offer);
      if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Queue a message"), quiet(reason));
      return h("div", { class: "board" },
        card("Queue a message", { id: "queue-card" },
          segments("Content", view.kind, [["text", "Text"], ["template", "Template"], ["other", "Other"]],
          id => {
            keep();
            view.kind = id as Kind;
          }),
          copyOf && given.loaded && !view.fault ? quiet("A copy of message ", messageLink(copyOf), ". It is queued as a new message, without the original's schedule, time until it is overdue, key, reply, and rule for a closed window.") : null,
          !given.loaded ? quiet("Loading…") : h("form", { id: "queue", onsubmit: submit },
            h("div", { class: "row" },
              field("Sender", h("select", { name: "senderId", required: true, onchange: (event: Event) => { policy.sender = heldBy(event); } },
                options((state.senders ?? []).map(({ id, name }) => [id, `${name} (${id})`] as const), given.sender))),
              field("Number or user ID", h("input",
                { name: "to", autocomplete: "off", placeholder: "+1 415 555 0101", required: true, defaultValue: given.to }))),
            content(view.kind, given, policy, type),
            h("div", { class: "row" },
              field("Lane", h("select", { name: "priority" },
                options([["OTP", "OTP"], ["TRANSACTIONAL", "transactional"], ["BULK", "bulk"]], given.priority))),
              field("If a response is lost", h("select", { name: "onAmbiguous" },
                options([["RESEND", "send again"], ["DEAD_LETTER", "dead letter"]], given.onAmbiguous)))),
            view.kind === "template" ? null : [
              field("If the 24-hour window is closed", h("select", { name: "outsideWindow", onchange: (event: Event) => {
                keep();
                policy.outside = heldBy(event);
              } },
                options([["SEND", "send anyway"], ["FALLBACK", "send a template instead"], ["FAIL", "fail"]], policy.outside)),
                "Waypost acts only if it is certain that the window is closed, or when WhatsApp refuses the message."),
              policy.outside === "FALLBACK" ? templateFields("fallback", given, policy, type) : null],
            h("details", null, h("summary", null, "Schedule, labels, and key"),
              h("div", { class: "row" },
                field(`Not before${utc.value ? ", UTC" : ""}`, h("input", { name: "sendAt", type: "datetime-local", step: 1 })),
                field(`Not after${utc.value ? ", UTC" : ""}`, h("input", { name: "expiresAt", type: "datetime-local", step: 1 }))),
              field("Overdue after", h("input", { name: "deliverWithin", type: "number", min: 1, max: 2592000, step: 1 }),
                "Seconds from WhatsApp's acceptance. If the message is not delivered by then, its delivery is reported as overdue."),
              field("Labels", h("input", { name: "labels", autocomplete: "off", defaultValue: given.labels, placeholder: "campaign=spring, order=1042" })),
              field("Idempotency key", h("input", { name: "idempotencyKey", autocomplete: "off", spellcheck: false }),
                "Repeating the same key and content returns the same message. Don't include personal data. If empty, a key is generated.")),
            h("p", { class: "error", role: "alert" }, view.fault),
            h("div", { class: "actions" }, h("button", { type: "submit", disabled: view.busy || !state.senders }, view.busy ? "Queueing…" : "Queue")))),
        card("Accepted", { id: "accepted" }, null,
          h("div", { id: "queue-note", role: "status" }, view.accepted.length === 0 ? null
            : h("ul", { class: "accepted" }, view.accepted.map(({ id, replayed }) =>
            h("li", { key: `${id}${replayed}` }, replayed ? "Already queued: " : "Message queued: ",
              messageLink(id), ".")))),
          view.accepted.length === 0 ? quiet("Queued messages are durably recorded. Follow them here.") : null));
    },
  };
}

type Choice = TemplateChoicesData["templates"]["edges"][number]["node"];

/** The names and languages of templates, as typed so far. */
interface Typed { name: string; language: string; fallbackName: string; fallbackLanguage: string }

const noTemplates: Typed = { name: "", language: "", fallbackName: "", fallbackLanguage: "" };

interface Offer { choices: readonly Choice[]; typed: Typed }

/** The names of the form's inputs for a template: of the content, or of the fallback. */
const inputsOf = (of: "template" | "fallback") => (of === "template"
  ? { name: "name", language: "language", variables: "variables" } as const
  : { name: "fallbackName", language: "fallbackLanguage", variables: "fallbackVariables" } as const);

/** The fields for a template. They offer those that are known, and show the chosen one. */
function templateFields(of: "template" | "fallback", given: Given, { choices, typed }: Offer, type: (change: Partial<Typed>) => void): Child {
  const inputs = inputsOf(of), name = typed[inputs.name], named = choices.filter(choice => choice.name === name);
  const chosen = named.find(({ language }) => language === typed[inputs.language]);
  const variables = chosen?.components ? bodyVariables(chosen.components) : null;
  const typing = (input: "name" | "language") => (event: Event): void => type({ [inputs[input]]: heldBy(event) });
  return h("div", { class: "chosen-template", key: of },
    h("div", { class: "row" },
      field(of === "template" ? "Template" : "Fallback template", h("input", { name: inputs.name, required: true, defaultValue: given[inputs.name], autocomplete: "off",
        spellcheck: false, placeholder: "hello_world", list: `${of}-names`, oninput: typing("name") })),
      field(of === "template" ? "Language" : "Fallback language", h("input", { name: inputs.language, required: true, defaultValue: given[inputs.language], autocomplete: "off",
        spellcheck: false, placeholder: named[0]?.language ?? "en_US", list: `${of}-languages`, oninput: typing("language") }))),
    h("datalist", { id: `${of}-names` }, options([...new Set(choices.map(choice => choice.name))].map(one => [one, one]))),
    h("datalist", { id: `${of}-languages` }, options(named.map(({ language }) => [language, language]))),
    chosen?.components ? templateBubble(chosen.components) : null,
    variables?.length === 0 ? null : field(of === "template" ? "Body variables" : "Fallback variables",
      h("textarea", { name: inputs.variables, rows: 3, defaultValue: given[inputs.variables] }),
      variables ? `One per line: ${variables.map(variable => `{{${variable}}}`).join(", ")}.` : "One per line, in order."));
}

/** The values that the form begins with. */
interface Given {
  sender: string; to: string; priority: string; onAmbiguous: string; labels: string;
  body: string; name: string; language: string; variables: string; json: string;
  fallbackName: string; fallbackLanguage: string; fallbackVariables: string;
}

/** The fields that depend on the kind of content, or on the rule for a closed window. */
const replaced = ["body", "name", "language", "variables", "json", "fallbackName", "fallbackLanguage", "fallbackVariables"] as const;

const blank: Given = {
  sender: "", to: "", priority: "TRANSACTIONAL", onAmbiguous: "RESEND", labels: "", body: "", name: "", language: "", variables: "", json: "",
  fallbackName: "", fallbackLanguage: "", fallbackVariables: "",
};

type Part = Record<string, unknown>;

/** Returns the fields of the form for the content of a message, which is the Cloud API's object of its type. */
function contentFields(type: string, content: unknown): Partial<Given> & { kind: Kind } {
  const object = content as Part;
  if (type === "TEXT") return { kind: "text", body: String(object.body ?? "") };
  if (type !== "TEMPLATE") return { kind: "other", json: JSON.stringify({ [type.toLowerCase()]: content }, null, 2) };
  const components = (object.components ?? []) as Part[], language = String((object.language as Part).code);
  const parameters = (components[0]?.parameters ?? []) as Part[];
  if (components.length > 1 || components[0] && components[0].type !== "body" || parameters.some(({ type: kind, parameter_name: named }) => kind !== "text" || named)) {
    const shaped = components.map(({ type: kind, sub_type: subType, index, ...rest }) => ({
      type: String(kind).toUpperCase(), ...(subType ? { subType } : {}), ...(index !== undefined ? { index: Number(index) } : {}), ...rest,
    }));
    return { kind: "other", json: JSON.stringify({ template: { name: object.name, language, components: shaped } }, null, 2) };
  }
  return { kind: "template", name: String(object.name), language, variables: parameters.map(({ text }) => String(text)).join("\n") };
}

function content(kind: Kind, given: Given, offer: Offer, type: (change: Partial<Typed>) => void): Child {
  switch (kind) {
    case "text":
      return field("Text", h("textarea", { name: "body", rows: 4, required: true, dir: "auto", defaultValue: given.body }));
    case "template":
      return templateFields("template", given, offer, type);
    default:
      return field("Content as JSON",
        h("textarea", { name: "json", rows: 6, required: true, defaultValue: given.json, spellcheck: false, class: "mono",
        placeholder: '{ "image": { "link": "https://…", "caption": "…" } }' }),
        "A MessageContentInput: image, video, audio, document, sticker, location, contacts, reaction, or interactive.");
  }
}

/** Returns the name of the form's input for a field of the request: both kinds of recipients are in one. */
function inputOf(name: string | null): string | null {
  if (name === "toUserId") return "to";
  const [first, second] = (name ?? "").split(".");
  return first === "fallback" ? inputsOf("fallback")[second === "language" || second === "name" ? second : "variables"] : name;
}

function read(held: Record<string, string>, kind: Kind, choices: readonly Choice[]): QueueMessageInput {
  const labels = (held.labels ?? "").split(",").map(label => label.trim()).filter(Boolean).map(label => {
    const at = label.indexOf("=");
    if (at <= 0) throw new WrongField("labels", `“${label}” is not a label; use name=value.`);
    return { name: label.slice(0, at).trim(), value: label.slice(at + 1).trim() };
  });
  return {
    senderId: held.senderId ?? "", ...(isUserId(held.to ?? "") ? { toUserId: held.to! } : { to: held.to ?? "" }), content: contentOf(held, kind, choices),
    priority: held.priority as NonNullable<QueueMessageInput["priority"]>,
      onAmbiguous: held.onAmbiguous as NonNullable<QueueMessageInput["onAmbiguous"]>,
    ...(held.sendAt ? { sendAt: fromField(held.sendAt) } : {}),
      ...(held.expiresAt ? { expiresAt: fromField(held.expiresAt) } : {}),
    ...(held.outsideWindow && held.outsideWindow !== "SEND" ? { outsideWindow: held.outsideWindow as NonNullable<QueueMessageInput["outsideWindow"]> } : {}),
    ...(held.outsideWindow === "FALLBACK" ? { fallback: templateOf(held, "fallback", choices) } : {}),
    ...(held.deliverWithin ? { deliverWithin: `PT${held.deliverWithin}S` } : {}),
    ...(labels.length > 0 ? { labels } : {}), ...(held.idempotencyKey ? { idempotencyKey: held.idempotencyKey } : {}),
  };
}

/** Reads the fields for a template. A known one can name its variables. */
function templateOf(held: Record<string, string>, of: "template" | "fallback", choices: readonly Choice[]): TemplateInput {
  const inputs = inputsOf(of), name = held[inputs.name] ?? "", language = held[inputs.language] ?? "";
  const lines = (held[inputs.variables] ?? "").trimEnd().split("\n").map(line => line.trim());
  const blank = lines.indexOf("");
  // Without it, the values after it would move to other variables.
  if (blank >= 0 && lines.length > 1) throw new WrongField(inputs.variables, `Variable {{${blank + 1}}} is blank; WhatsApp needs a value for each.`);
  const known = choices.find(choice => choice.name === name && choice.language === language);
  const wanted = known?.components ? bodyVariables(known.components).length : null, filled = lines.filter(Boolean).length;
  if (wanted !== null && wanted !== filled) throw new WrongField(inputs.variables, `The template has ${plural(wanted, "variable")} in its body, but ${count(filled)} ${filled === 1 ? "is" : "are"} given.`);
  const names = known?.parameterFormat === "NAMED" ? bodyVariables(known.components) : [];
  const parameters = lines.filter(Boolean).map((text, i) => ({ type: "text", text, ...(names[i] ? { parameter_name: names[i] } : {}) }));
  return { name, language, ...(parameters.length > 0 ? { components: [{ type: "BODY", parameters }] } : {}) };
}

function contentOf(held: Record<string, string>, kind: Kind, choices: readonly Choice[]): MessageContentInput {
  if (kind === "text") return textContent(held.body ?? "");
  if (kind === "template") return { template: templateOf(held, "template", choices) };
  try {
    return JSON.parse(held.json ?? "") as MessageContentInput;
  } catch (error) {
    throw new WrongField("json", `Invalid JSON: ${(error as Error).message}`);
  }
}

