// A campaign: the messages with one label, across senders.
import { ask } from "../api/client.ts";
import { CampaignPauses, CancelMany, MessageCounts, PauseCampaign, ResumeCampaign, type CampaignPauseNow } from "../api/operations.ts";
import { count, plural } from "../lib/format.ts";
import { go, link, type Route, type View } from "../route.ts";
import { forbidden, may, poll, report, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { attempt, note, openDialog } from "../ui/overlay.ts";
import { actorOf, button, card, cell, field, quiet, table, time, values } from "../ui/parts.ts";
import { cancelMessages } from "./actions.ts";
import { campaignFigures, open, pausedBy, sumOf, type Counts } from "./campaign_parts.ts";
import { hindered, stateChip } from "./queues.ts";

const every = 5000; // a count reads all matching rows
const senderLimit = 20; // senders whose messages are counted

export const campaign = (route: Route): View => (route.params.label && route.params.value ? one(route.params.label, route.params.value) : choice());

/** The form for a label, and the paused campaigns. */
function choice(): View {
  const view = reactive({ fault: "", pauses: [] as readonly CampaignPauseNow[] });
  return {
    title: "Campaigns",
    stop: poll(every, async () => { view.pauses = (await ask(CampaignPauses, {})).campaignPauses; }),
    render: () => card("Campaign", { id: "campaign", class: "narrow" }, null,
      quiet("A campaign is the messages with one label."),
      h("form", {
        onsubmit: (event: SubmitEvent) => {
          event.preventDefault();
          const text = values(event.currentTarget as HTMLFormElement).label ?? "", at = text.indexOf("=");
          if (at <= 0 || at === text.length - 1) view.fault = "Enter a label as name=value, for example campaign=spring.";
          else go(link(["campaigns", text.slice(0, at).trim(), text.slice(at + 1).trim()]));
        },
      }, h("div", { class: "field" }, h("label", { for: "campaign-label" }, "Label"),
        h("input", { id: "campaign-label", name: "label", required: true, autocomplete: "off", placeholder: "campaign=spring" })),
      h("p", { class: "error", role: "alert" }, view.fault),
      h("div", { class: "actions" }, h("button", { type: "submit" }, "Show"))),
      view.pauses.length > 0 ? [h("h3", null, "Paused campaigns"), h("ul", { id: "paused-campaigns", class: "alert-lines" }, view.pauses.map(pausedCampaign))] : null),
  };
}

/** A paused campaign in one line. Without the scope PERSONAL, the value of its label is masked, so it is not linked. */
function pausedCampaign({ id, label: { name, value }, reason, since, by }: CampaignPauseNow): VNode {
  const text = `${name} = ${value}`;
  return h("li", { key: id }, may("PERSONAL") ? h("a", { href: link(["campaigns", name, value]) }, text) : text,
    h("span", { class: "quiet" }, "since ", time(since, "seconds"), ` by ${actorOf(by)}:`), h("q", null, reason));
}

function one(label: string, value: string): View {
  const labels = [{ name: label, value }];
  const shown = reactive({ counts: null as Counts | null, senders: [] as { id: string; counts: Counts }[], pause: undefined as CampaignPauseNow | null | undefined });
  let changes = 0;
  const paused = (now: CampaignPauseNow | null): void => {
    changes++;
    shown.pause = now;
  };
  const loadPause = async (): Promise<void> => {
    const before = changes, { campaignPauses } = await ask(CampaignPauses, { label: { name: label, value } });
    if (before === changes) shown.pause = campaignPauses[0] ?? null; // otherwise, the reply is older than a change
  };
  const load = async (): Promise<void> => {
    const of = async (senderId: string | null): Promise<Counts> => (await ask(MessageCounts, { filter: { labels, senderId } })).messageCounts;
    shown.counts = await of(null);
    const senders: { id: string; counts: Counts }[] = [];
    for (const { id } of (state.senders ?? []).slice(0, senderLimit)) { // one after the other, because each count reads many rows
      const counts = await of(id);
      if (sumOf(counts) > 0) senders.push({ id, counts });
    }
    shown.senders = senders;
  };
  const ends = [poll(every, loadPause), poll(every, load)];
  const list = (query: Record<string, string>): string => link(["messages"], new URLSearchParams({ label: `${label}=${value}`, ...query }));
  const senderRow = ({ id, counts }: { id: string; counts: Counts }): Child => {
    const sender = state.senders?.find(s => s.id === id);
    return h("tr", { key: id },
      cell("Sender", null, h("a", { href: link(["senders", id]) }, sender?.name ?? id), " ", sender && hindered(sender) ? stateChip(sender) : null),
      cell("Messages", { class: "number" }, h("a", { href: list({ sender: id }) }, count(sumOf(counts)))),
      cell("Waiting", { class: "number" }, count(sumOf(counts, open))));
  };
  const pauseTools = (): Child => {
    if (forbidden(PauseCampaign) || state.viewer?.senderIds || shown.pause === undefined) return null; // a pause concerns all senders
    if (!shown.pause) return button("Pause…", () => pause(label, value, null, paused), { id: "pause-campaign" });
    return [button("Reason…", () => pause(label, value, shown.pause ?? null, paused), { id: "pause-reason" }),
      button("Resume", () => void attempt("Campaign resumed.", async () => {
        await ask(ResumeCampaign, { label: { name: label, value } });
        paused(null);
      }), { id: "resume-campaign" })];
  };
  return {
    title: `Campaign ${label}=${value}`,
    stop: () => { for (const end of ends) end(); },
    render: () => h("div", { class: "board" },
      card(`${label} = ${value}`, { id: "campaign", class: "wide" },
        [h("a", { href: list({}) }, "Messages"), pauseTools(),
          !forbidden(CancelMany) && shown.counts && sumOf(shown.counts, open) > 0
            ? button("Cancel the waiting messages…", () => cancelMessages({ labels }, `the label ${label} = ${value}`, () => void load().catch(report))) : null],
        shown.pause && pausedBy(shown.pause, "Its messages wait, including those queued later."),
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
      h("p", null, "Messages with this label are still accepted, but wait, whatever their sender and lane. Calls in flight are completed. Waiting messages can expire."),
      now ? h("p", null, "If someone has resumed the campaign in the meantime, saving pauses it again.") : null,
      field("Reason", h("input", { name: "reason", required: true, autocomplete: "off", defaultValue: now?.reason ?? "" }), "Shown to everyone who sees the messages."),
    ],
    run: async values => {
      const { pauseCampaign } = await ask(PauseCampaign, { input: { label: { name: label, value }, reason: values.reason! } });
      paused(pauseCampaign);
      note(!now ? "Campaign paused." : pauseCampaign.id === now.id ? "Reason changed." : "Campaign paused again.");
    },
  });
}
