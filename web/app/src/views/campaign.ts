// A campaign: the messages with one label, across senders.
import { ask } from "../api/client.ts";
import { CampaignPauses, CancelMany, MessageCounts, PauseCampaign, ResumeCampaign, type CampaignPauseNow } from "../api/operations.ts";
import { count, plural } from "../lib/format.ts";
import { go, link, type Route, type View } from "../route.ts";
import { forbidden, may, poll, state } from "../state.ts";
import { h, reactive, type Child } from "../ui/h.ts";
import { attempt, note, openDialog } from "../ui/overlay.ts";
import { button, card, cell, field, quiet, statusChip, table, values } from "../ui/parts.ts";
import { cancelMessages } from "./actions.ts";
import { campaignFigures, pausedBy, sumOf, waiting, type Counts } from "./campaign_parts.ts";

const every = 5000; // a count reads all matching rows
const senderLimit = 20; // senders whose messages are counted

export const campaign = (route: Route): View => (route.params.label && route.params.value ? one(route.params.label, route.params.value) : choice());

/** The form for a label. */
function choice(): View {
  const fault = reactive({ text: "" });
  return {
    title: "Campaigns", stop: () => {},
    render: () => card("Campaign", { id: "campaign", class: "narrow" }, null,
      quiet("A campaign is the messages with one label."),
      h("form", {
        onsubmit: (event: SubmitEvent) => {
          event.preventDefault();
          const text = values(event.currentTarget as HTMLFormElement).label ?? "", at = text.indexOf("=");
          if (at <= 0 || at === text.length - 1) fault.text = "Enter a label as name=value, for example campaign=spring.";
          else go(link(["campaigns", text.slice(0, at).trim(), text.slice(at + 1).trim()]));
        },
      }, h("div", { class: "field" }, h("label", { for: "campaign-label" }, "Label"),
        h("input", { id: "campaign-label", name: "label", required: true, autocomplete: "off", placeholder: "campaign=spring" })),
      h("p", { class: "error", role: "alert" }, fault.text),
      h("div", { class: "actions" }, h("button", { type: "submit" }, "Show")))),
  };
}

function one(label: string, value: string): View {
  const labels = [{ name: label, value }];
  const shown = reactive({ counts: null as Counts | null, senders: [] as { id: string; counts: Counts }[], pause: null as CampaignPauseNow | null });
  const load = async (): Promise<void> => {
    shown.pause = (await ask(CampaignPauses, { label: { name: label, value } })).campaignPauses[0] ?? null;
    const of = async (senderId: string | null): Promise<Counts> => (await ask(MessageCounts, { filter: { labels, senderId } })).messageCounts;
    shown.counts = await of(null);
    const senders: { id: string; counts: Counts }[] = [];
    for (const { id } of (state.senders ?? []).slice(0, senderLimit)) { // one after the other, because each count reads many rows
      const counts = await of(id);
      if (sumOf(counts) > 0) senders.push({ id, counts });
    }
    shown.senders = senders;
  };
  const stop = poll(every, load);
  const list = (query: Record<string, string>): string => link(["messages"], new URLSearchParams({ label: `${label}=${value}`, ...query }));
  const senderRow = ({ id, counts }: { id: string; counts: Counts }): Child => {
    const sender = state.senders?.find(s => s.id === id);
    return h("tr", { key: id },
      cell("Sender", null, h("a", { href: link(["senders", id]) }, sender?.name ?? id), " ", sender && sender.state !== "ACTIVE" ? statusChip(sender.state) : null),
      cell("Messages", { class: "number" }, h("a", { href: list({ sender: id }) }, count(sumOf(counts)))),
      cell("Waiting", { class: "number" }, count(sumOf(counts, waiting))));
  };
  const pauseTools = (): Child => {
    if (forbidden(PauseCampaign) || state.viewer?.senderIds) return null; // a pause concerns all senders
    const paused = (now: CampaignPauseNow): void => { shown.pause = now; };
    if (!shown.pause) return button("Pause…", () => pause(label, value, null, paused), { id: "pause-campaign" });
    return [button("Reason…", () => pause(label, value, shown.pause, paused), { id: "pause-reason" }),
      button("Resume", () => void attempt("Campaign resumed.", async () => {
        await ask(ResumeCampaign, { label: { name: label, value } });
        shown.pause = null;
      }), { id: "resume-campaign" })];
  };
  return {
    title: `Campaign ${label}=${value}`, stop,
    render: () => h("div", { class: "board" },
      card(`${label} = ${value}`, { id: "campaign", class: "wide" },
        [h("a", { href: list({}) }, "Messages"), pauseTools(),
          may("OPERATE") && !forbidden(CancelMany) && shown.counts && sumOf(shown.counts, waiting) > 0
            ? button("Cancel the waiting messages…", () => cancelMessages({ labels }, `the label ${label} = ${value}`, () => void load())) : null],
        shown.pause && pausedBy(shown.pause, "New calls of its messages wait, those that are queued later too."),
        shown.counts === null ? quiet("Counting…") : campaignFigures(shown.counts, status => list({ status }))),
      card("Senders", { id: "campaign-senders", class: "wide" }, null,
        shown.senders.length === 0 ? quiet("None yet.")
          : table({ class: "stack" }, "Messages by sender", [{ name: "Sender" }, { name: "Messages", class: "number" }, { name: "Waiting", class: "number" }],
            shown.senders.map(senderRow)),
        (state.senders?.length ?? 0) > senderLimit ? quiet(`Only the first ${plural(senderLimit, "sender")} are counted here.`) : null)),
  };
}

/** Opens the dialog that pauses a campaign, or that changes the reason of its pause. */
function pause(label: string, value: string, now: CampaignPauseNow | null, paused: (pause: CampaignPauseNow) => void): void {
  openDialog({
    title: now ? `Pause of ${label} = ${value}` : `Pause ${label} = ${value}`, label: () => (now ? "Save" : "Pause"),
    body: () => [
      h("p", null, "Messages with this label are still accepted and wait, of all senders and lanes. Calls in flight are completed. Waiting messages can expire."),
      field("Reason", h("input", { name: "reason", required: true, autocomplete: "off", defaultValue: now?.reason ?? "" }), "Shown to everyone who sees the messages."),
    ],
    run: async values => {
      paused((await ask(PauseCampaign, { input: { label: { name: label, value }, reason: values.reason! } })).pauseCampaign);
      note(now ? "Reason changed." : "Campaign paused.");
    },
  });
}
