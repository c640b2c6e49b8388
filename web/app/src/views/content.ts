// The content of a message, drawn as WhatsApp shows it. The recipient's phone has more: a template's text, and files.
import { plural, words } from "../lib/format.ts";
import { h, type Child, type VNode } from "../ui/h.ts";

type Part = Record<string, unknown>;

const part = (value: unknown): Part => (typeof value === "object" && value !== null ? value as Part : {});
const parts = (value: unknown): Part[] => (Array.isArray(value) ? value.map(part) : []);
const text = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : "");

/** A paragraph of the sender's text, in the direction of its first letter. */
const paragraph = (value: unknown, name?: string): Child => {
  const shown = text(value);
  return shown ? h("p", { dir: "auto", class: name ?? "said" }, shown) : null;
};

const buttons = (labels: readonly string[]): Child => (labels.length > 0
  ? h("ul", { class: "bubble-buttons", "aria-label": "Buttons" }, labels.map((label, i) => h("li", { key: i, dir: "auto" }, label))) : null);

const file = (content: Part, kind: string): Child => [
  h("p", { class: "attachment" }, `${kind}: `, text(content.filename) || text(content.link) || `media ${text(content.id)}`),
  paragraph(content.caption),
];

function interactive(content: Part): Child {
  const reply = part(content.button_reply ?? content.list_reply ?? content.nfm_reply);
  if (reply.title ?? reply.body) return [paragraph(reply.title ?? reply.body), paragraph(reply.description, "said quiet")]; // a person's choice
  const header = part(content.header), action = part(content.action);
  const replies = parts(action.buttons).map(button => text(part(button.reply).title));
  const rows = parts(action.sections).flatMap(section => parts(section.rows).map(row => text(row.title)));
  const single = text(action.button) || text(part(action.parameters).display_text);
  return [
    header.type === "text" ? paragraph(header.text, "said strong") : header.type ? h("p", { class: "attachment" }, words(text(header.type))) : null,
    paragraph(part(content.body).text), paragraph(part(content.footer).text, "said quiet"),
    buttons([...replies, ...(single ? [single] : [])].filter(Boolean)),
    rows.length > 0 ? h("details", null, h("summary", null, "Choices"), h("ul", null, rows.map((row, i) => h("li", { key: i, dir: "auto" }, row)))) : null,
  ];
}

function template(content: Part): Child {
  const language = text(part(content.language).code) || text(content.language);
  return [
    h("p", { class: "attachment" }, `Template ${text(content.name)}, ${language}`),
    parts(content.components).map((component, i) => {
      const values = parts(component.parameters).map(parameter => text(parameter.text) || text(parameter.payload) || words(text(parameter.type)));
      return values.length === 0 ? null : h("div", { key: i }, h("p", { class: "quiet" }, words(text(component.type))),
        h("ol", { class: "variables" }, values.map((value, at) => h("li", { key: at, dir: "auto" }, value))));
    }),
  ];
}

/** The parts of a template, as WhatsApp lists them, with their variables in braces. */
function listed(components: unknown): Child {
  return parts(components).map((component, i) => {
    const key = { key: i };
    switch (text(component.type).toUpperCase()) {
      case "HEADER": {
        const format = text(component.format) || "TEXT";
        return h("div", key, format === "TEXT" ? paragraph(component.text, "said strong") : h("p", { class: "attachment" }, words(format)));
      }
      case "BODY": return h("div", key, paragraph(component.text ?? (component.add_security_recommendation === undefined ? "" : "{{1}} is your verification code.")));
      case "FOOTER": return h("div", key, paragraph(component.text, "said quiet"));
      case "BUTTONS": return h("div", key, buttons(parts(component.buttons).map(button => text(button.text) || words(text(button.type)))));
      case "CAROUSEL": return h("details", key, h("summary", null, plural(parts(component.cards).length, "card")),
        parts(component.cards).map((card, at) => h("div", { key: at, class: "bubble" }, listed(card.components))));
      default: return h("p", { key: i, class: "attachment" }, words(text(component.type)));
    }
  });
}

/** Draws a template. */
export const templateBubble = (components: unknown): VNode => h("div", { class: "bubble" }, listed(components));

/** Returns the names of the variables in a template's body, in order: 1, 2, or names. */
export function bodyVariables(components: unknown): string[] {
  const body = parts(components).find(({ type }) => text(type).toUpperCase() === "BODY");
  const words = text(body?.text) || (body?.add_security_recommendation === undefined ? "" : "{{1}}"); // WhatsApp's own text, which has the code
  return [...new Set([...words.matchAll(/\{\{\s*(\w+)\s*\}\}/g)].map(([, name]) => name!))];
}

function drawn(type: string, content: Part): Child {
  switch (type) {
    case "TEXT": return paragraph(content.body);
    case "TEMPLATE": return template(content);
    case "INTERACTIVE": return interactive(content);
    case "BUTTON": return paragraph(content.text);
    case "SYSTEM": return paragraph(content.body);
    case "ORDER": return [h("p", { class: "attachment" }, `Order of ${plural(parts(content.product_items).length, "product")}`), paragraph(content.text)];
    case "IMAGE": case "VIDEO": case "AUDIO": case "DOCUMENT": case "STICKER": return file(content, words(type));
    case "REACTION": return h("p", { class: "reaction" }, text(content.emoji) || "reaction removed");
    case "LOCATION": return [paragraph(content.name, "said strong"), paragraph(content.address), paragraph(`${text(content.latitude)}, ${text(content.longitude)}`)];
    default: return h("p", { class: "attachment" }, `A message of the type ${words(type)}`);
  }
}

/** Draws the content of a message. content is the Cloud API's object of the type, in capitals. */
export const bubble = (type: string, content: unknown): VNode =>
  h("div", { class: "bubble" }, type === "CONTACTS"
    ? h("ul", null, parts(content).map((contact, i) => h("li", { key: i, dir: "auto" }, text(part(contact.name).formatted_name))))
    : drawn(type, part(content)));
