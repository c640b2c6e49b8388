// The erasure of one person's data.
import { ask, messageOf } from "../api/client.ts";
import { Erase, type EraseData } from "../api/operations.ts";
import { count } from "../lib/format.ts";
import { isUserId } from "../lib/recognize.ts";
import type { Route, View } from "../route.ts";
import { forbidden, state } from "../state.ts";
import { h, reactive } from "../ui/h.ts";
import { openDialog } from "../ui/overlay.ts";
import { card, facts, field, mono, quiet, time, values } from "../ui/parts.ts";

export function erasure(_: Route): View {
  const view = reactive({ receipt: null as EraseData["eraseRecipient"] | null, fault: "" });

  function confirm(event: SubmitEvent): void {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement, { person = "", reason = "" } = values(form);
    view.fault = "";
    openDialog({
      title: "Erase the data of this person", danger: true, close: "Don't erase", label: () => "Erase permanently",
      body: () => [h("p", null, h("strong", null, person)),
        h("p", null, "Their data is erased from the messages of all senders, under every ID that WhatsApp has linked with this one. "
          + "Waiting messages to them are cancelled. No one can restore the data.")],
      run: async () => {
        try {
          view.receipt = (await ask(Erase, { ...(isUserId(person) ? { toUserId: person } : { to: person }), reason })).eraseRecipient;
          form.reset();
        } catch (error) {
          view.fault = messageOf(error);
          throw error;
        }
      },
    });
  }

  return {
    title: "Erasure", stop: () => {},
    render: () => {
      const reason = forbidden(Erase) ?? (state.viewer?.senderIds ? "This requires a key that is not limited to senders." : null);
      if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Erasure"), quiet(reason));
      const { receipt } = view;
      return h("div", { class: "board" },
        card("Erase a person's data", { id: "erase" }, null,
          quiet("Phone numbers, labels, content, and WhatsApp's IDs become unreadable everywhere. Counts and the ledger stay correct."),
          h("form", { onsubmit: confirm },
            field("Number or user ID", h("input", { name: "person", required: true, autocomplete: "off", placeholder: "+1 415 555 0101" })),
            field("Reason", h("input", { name: "reason", required: true, autocomplete: "off" }), "Recorded. Without personal data."),
            h("p", { class: "error", role: "alert" }, view.fault),
            h("div", { class: "actions" }, h("button", { type: "submit", class: "danger" }, "Erase…")))),
        card("Receipt", { id: "receipt" }, null, receipt === null ? quiet("The receipt of an erasure is shown here. It doesn't identify the person.")
          : facts([["Erasure ID", mono(receipt.id)], ["Recorded", time(receipt.at)], ["Messages", count(receipt.messages)],
            ["Events", count(receipt.events)]])));
    },
  };
}
