import { beginSignIn, session, signIn, useDemoKey } from "../session.ts";
import { state } from "../state.ts";
import { h, type VNode } from "../ui/h.ts";
import { button, quiet } from "../ui/parts.ts";

const focus = (node: HTMLElement | null): void => node?.focus();

export const signInCard = (): VNode => h("section", { id: "sign-in", class: "card narrow", "aria-labelledby": "sign-in-title" },
  h("h2", { id: "sign-in-title" }, session.canSignIn ? "Sign in" : "API key"),
  session.canSignIn ? h("div", { class: "actions" }, h("button", { type: "button", id: "sign-in-person", ref: focus, onclick: beginSignIn }, "Sign in")) : null,
  session.canSignIn ? h("h3", null, "Or use an API key") : null,
  quiet("The web UI requires the READ scope. PERSONAL adds phone numbers and content, AUDIT the ledger and the event log, SEND the form ",
    "for messages, and OPERATE changes to senders, alerts, and dead letters. The key is kept in this tab until you close it. The ADMIN ",
    "key is in the file admin.key in the server's data directory."),
  session.wantsLink ? quiet("This is the demo. To sign in, open the link that it printed in the terminal.") : null,
  h("form", {
    id: "sign-in-form",
    onsubmit: (event: SubmitEvent) => {
      event.preventDefault();
      const field = (event.currentTarget as HTMLFormElement).elements.namedItem("key") as HTMLInputElement;
      const key = field.value.trim();
      field.value = "";
      signIn(key);
    },
  },
  h("div", { class: "field" }, h("label", { for: "key" }, "Key"),
    h("input", { id: "key", name: "key", type: "password", autocomplete: "off", spellcheck: false, required: true,
      ref: session.canSignIn ? () => {} : focus })),
  h("p", { id: "sign-in-error", class: "error", role: "alert" }, session.fault),
  h("div", { class: "actions" }, h("button", { type: "submit", disabled: session.opening }, session.opening ? "Opening…" : "Open"),
    state.demo ? button("Use the demo's key", useDemoKey) : null)));
