// Package app is the table of contents of the application. Commands lists what callers of
// the API can do, and Queries lists what they can read. The GraphQL API gets both from
// New, so it cannot use a command or query that is missing here. The other ports, such as
// dispatch, ingest, and the webhook endpoint, get the commands that they need directly.
package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/app/bulk"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
	"github.com/waypost/waypost/domain/alert"
	read "github.com/waypost/waypost/domain/audit"
	"github.com/waypost/waypost/domain/campaign"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/coverage"
	"github.com/waypost/waypost/domain/hook"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// Commands are everything that can be done to Waypost. Each one has recorded its events
// when it returns.
type Commands struct {
	// QueueMessage accepts a message, or returns the existing one of a repeated request.
	QueueMessage func(ctx context.Context, r message.Request, cause event.Cause) (command.Queued, error)
	// QueueMessages is QueueMessage for several messages, with one result for each.
	QueueMessages func(ctx context.Context, requests []message.Request, cause event.Cause) []command.QueueResult
	// CancelMessage cancels a message that has no call in flight and was not accepted.
	CancelMessage func(ctx context.Context, id uuid.UUID, reason string, cause event.Cause) (repository.Loaded, error)
	// StartOperation starts to cancel, requeue, or discard many messages.
	StartOperation func(ctx context.Context, r bulk.Request, cause event.Cause) (bulk.Operation, error)
	// EraseRecipient erases the personal data of a recipient.
	EraseRecipient func(ctx context.Context, to, toUserID, reason string, cause event.Cause) (command.Erasure, error)

	// SetOptOut records that a person opted out of a sender's marketing, or in again.
	SetOptOut func(ctx context.Context, senderID, to, toUserID string, optedOut bool, reason string, cause event.Cause) (conversation.Person, conversation.Marketing, error)
	// MarkInboundRead marks a message that someone wrote as read at WhatsApp.
	MarkInboundRead func(ctx context.Context, m inbox.Message, typing bool, cause event.Cause) error
	// OpenInboundFile opens the file of a message that someone wrote.
	OpenInboundFile func(ctx context.Context, m inbox.Message) (inbox.Media, error)

	// SyncTemplates records what WhatsApp lists about the templates of a business account.
	SyncTemplates func(ctx context.Context, businessAccountID string, cause event.Cause) (command.TemplateSync, error)

	// RegisterSender registers a sender and claims its phone number.
	RegisterSender func(ctx context.Context, r sender.Registration, token string, cause event.Cause) (sender.Sender, error)
	// UpdateSender changes a sender, and its access token if one is given.
	UpdateSender func(ctx context.Context, id string, u sender.Changes, token string, cause event.Cause) (sender.Sender, error)
	// SetSenderRate changes the maximum number of calls per second.
	SetSenderRate func(ctx context.Context, id string, callsPerSecond int, cause event.Cause) (sender.Sender, error)
	// PauseCampaign stops new calls of all messages with a label, or changes the reason.
	PauseCampaign func(ctx context.Context, l message.Label, reason string, cause event.Cause) (campaign.Pause, error)
	// ResumeCampaign ends the pause of a label. It returns false if the label is not paused.
	ResumeCampaign func(ctx context.Context, l message.Label, cause event.Cause) (campaign.Pause, bool, error)
	// EndCampaignPause ends a pause by its ID. It returns false if the pause has already ended.
	EndCampaignPause func(ctx context.Context, id uuid.UUID, cause event.Cause) (campaign.Pause, bool, error)
	// PauseSender stops some priorities of a sender, or all of them.
	PauseSender func(ctx context.Context, id string, priorities []string, reason string, cause event.Cause) (sender.Sender, error)
	// ResumeSender ends a pause.
	ResumeSender func(ctx context.Context, id string, cause event.Cause) (sender.Sender, error)
	// ResumeLanes ends the pause of some priorities of a sender.
	ResumeLanes func(ctx context.Context, id string, priorities []string, cause event.Cause) (sender.Sender, error)
	// LiftRestrictions ends all restrictions of a sender, as far as Waypost is concerned.
	LiftRestrictions func(ctx context.Context, id, reason string, cause event.Cause) (sender.Sender, error)

	// CreateKey creates an API key and returns it with its secret.
	CreateKey func(ctx context.Context, caller access.Grant, r access.Request, cause event.Cause) (access.Key, string, error)
	// CreateAccessToken creates a short-lived key for its issuer.
	CreateAccessToken func(ctx context.Context, issuer access.Issuer, r access.Request, ttl time.Duration, cause event.Cause) (access.Key, string, error)
	// CreateViewToken creates a token for one view in a page of someone else.
	CreateViewToken func(ctx context.Context, issuer access.Issuer, r access.Request, v access.View, personal bool, ttl time.Duration, cause event.Cause) (access.Key, string, error)
	// RevokeKey revokes an API key.
	RevokeKey func(ctx context.Context, caller access.Grant, id string, cause event.Cause) (access.Key, error)
	// RecordRead records that someone reads the event log or personal data.
	RecordRead func(ctx context.Context, by domain.Actor, r read.LogRead) error

	// CreateOutgoingWebhook creates an outgoing webhook and returns it with its secret.
	CreateOutgoingWebhook func(ctx context.Context, s hook.Spec, cause event.Cause) (hook.Hook, string, error)
	// UpdateOutgoingWebhook replaces the configuration of an outgoing webhook.
	UpdateOutgoingWebhook func(ctx context.Context, id string, s hook.Spec, cause event.Cause) (hook.Hook, error)
	// RotateOutgoingWebhookSecret replaces the secret of an outgoing webhook.
	RotateOutgoingWebhookSecret func(ctx context.Context, id string, cause event.Cause) (hook.Hook, string, error)
	// DisableOutgoingWebhook stops deliveries.
	DisableOutgoingWebhook func(ctx context.Context, id, reason string, cause event.Cause) (hook.Hook, error)
	// EnableOutgoingWebhook resumes deliveries where they stopped.
	EnableOutgoingWebhook func(ctx context.Context, id string, cause event.Cause) (hook.Hook, error)
	// RemoveOutgoingWebhook permanently removes an outgoing webhook.
	RemoveOutgoingWebhook func(ctx context.Context, id string, cause event.Cause) (hook.Hook, error)

	// RaiseAlert raises an alert. It returns false if the alert already exists.
	RaiseAlert func(ctx context.Context, id uuid.UUID, e alert.AlertRaised) (query.Alert, bool, error)
	// ResolveAlert resolves an alert.
	ResolveAlert func(ctx context.Context, id uuid.UUID, reason string) (query.Alert, error)
	// AcknowledgeAlert records that an operator has acknowledged an alert.
	AcknowledgeAlert func(ctx context.Context, id uuid.UUID, note string, cause event.Cause, sees func(alert.Alert) bool) (query.Alert, error)
	// StartSilence silences the alerts of a kind and a sender, or of all, until a time.
	StartSilence func(ctx context.Context, kind alert.Kind, sender, reason string, until time.Time, cause event.Cause) (alert.Silence, error)
	// EndSilence ends a silence early.
	EndSilence func(ctx context.Context, id string, cause event.Cause, sees func(alert.Silence) bool) (alert.Silence, error)
	// SetAlertSilence puts an alert under a silence, or under none.
	SetAlertSilence func(ctx context.Context, id uuid.UUID, by *alert.Silence) (query.Alert, error)
	// SetAlertRule changes a rule, or adds one.
	SetAlertRule func(ctx context.Context, id string, c alert.RuleChanges, cause event.Cause) (alert.Rule, error)
}

// Queries are everything that can be asked. The fields read streams of the event log, so
// they return what commands have just recorded. The embedded interfaces read the read
// models, which can be a moment behind.
type Queries struct {
	// FindMessage returns a message.
	FindMessage func(ctx context.Context, id uuid.UUID) (repository.Loaded, error)
	// FindMessageAt returns a message at a revision or a later one.
	FindMessageAt func(ctx context.Context, id uuid.UUID, revision event.Revision) (repository.Loaded, error)
	// ListInbound returns a page of the messages that people wrote to a sender, oldest first.
	ListInbound func(ctx context.Context, senderID string, after event.Position, first int) (inbox.Page, error)
	// FindInbound returns a message that someone wrote.
	FindInbound func(ctx context.Context, id string) (inbox.Message, error)
	// InboundOf returns the message of an event, or false if the event is not one of a message
	// to a sender.
	InboundOf func(ctx context.Context, e event.Recorded) (inbox.Message, bool, error)
	// InboundStreamOf returns the stream of the messages to a sender.
	InboundStreamOf func(ctx context.Context, senderID string) (string, error)
	// ReadInbound returns the message at a place in the event log, or false if there is none to a
	// sender.
	ReadInbound func(ctx context.Context, at query.Place) (inbox.Message, bool, error)
	// ReadEcho returns the message that a number sent without Waypost at a place, or false if
	// there is none.
	ReadEcho func(ctx context.Context, at query.Place) (inbound.EchoReceived, bool, error)
	// CheckMessages returns what QueueMessages would return, and records nothing.
	CheckMessages func(ctx context.Context, requests []message.Request) []command.QueueResult
	// FindOperation returns a bulk operation and its progress.
	FindOperation func(ctx context.Context, id uuid.UUID) (bulk.Operation, error)
	// ListOperations returns the newest bulk operations that sees accepts, newest first.
	ListOperations func(ctx context.Context, sees func(bulk.Operation) bool) ([]bulk.Operation, error)
	// AwaitOperation waits for the end of a bulk operation that this process runs.
	AwaitOperation func(ctx context.Context, id uuid.UUID)
	// FindSender returns a sender.
	FindSender func(ctx context.Context, id string) (sender.Sender, error)
	// ListCampaignPauses returns the paused campaigns, by the age of the pauses.
	ListCampaignPauses func(ctx context.Context) (campaign.Pauses, error)
	// CampaignPausesOf returns the pauses that hold messages with these labels, as far as this process
	// has read the log.
	CampaignPausesOf func(labels []message.Label) []campaign.Pause
	// ListKeys returns the API keys.
	ListKeys func(ctx context.Context) ([]access.Key, error)
	// FindKeyName returns the name of an API key.
	FindKeyName func(ctx context.Context, id string) (string, bool, error)
	// ListOutgoingWebhooks returns the outgoing webhooks.
	ListOutgoingWebhooks func() []repository.RegisteredHook
	// FindAlertAt returns an alert at a log position.
	FindAlertAt func(ctx context.Context, id uuid.UUID, until event.Position) (query.Alert, error)
	// ListAlertsAfter returns the alerts that changed after a log position.
	ListAlertsAfter func(ctx context.Context, after event.Position) ([]query.Alert, error)
	// ReadEvents returns a page of the event log.
	ReadEvents func(ctx context.Context, f audit.Filter, p audit.Page) (audit.Events, error)
	// PastLedger returns the ledger at an earlier time.
	PastLedger func(ctx context.Context, senderID *string, asOf time.Time) (query.Ledger, error)

	MessageReader
	ConversationReader
	SenderReader
	TemplateReader
	LedgerReader
	MetricsReader
	AlertReader
	HookDeliveryReader
}

// MessageReader reads lists and counts of messages.
type MessageReader interface {
	// Messages returns a page of messages, newest first.
	Messages(ctx context.Context, filter query.MessageFilter, page query.Page) (query.MessagePage, error)
	// MessageCounts returns the number of messages with each status. It can leave out a
	// status that no message has.
	MessageCounts(ctx context.Context, filter query.MessageFilter) ([]query.StatusCount, error)
	// DeadLetters returns a page of dead letters, newest first.
	DeadLetters(ctx context.Context, filter query.DeadLetterFilter, page query.Page) (query.DeadLetterPage, error)
	// SelectMessages passes all messages that the filter finds at one moment to yield.
	SelectMessages(ctx context.Context, filter query.MessageFilter, yield func([]uuid.UUID) error) error
	// SelectDeadLetters passes all dead letters that the filter finds at one moment to
	// yield.
	SelectDeadLetters(ctx context.Context, filter query.DeadLetterFilter, yield func([]uuid.UUID) error) error
}

// ConversationReader reads what is known about senders and the people that they talk to.
type ConversationReader interface {
	// ListConversations returns a page of conversations, most recently changed first.
	ListConversations(ctx context.Context, f query.ConversationFilter, p query.Page) (query.ConversationPage, error)
	// Conversation returns what is known about a sender and the person who has an ID.
	Conversation(ctx context.Context, senderID, id string) (query.Conversation, error)
	// ConversationItems returns a page of the messages in both directions, latest first.
	ConversationItems(ctx context.Context, senderID, id string, p query.Page) (query.ConversationItems, error)
	// LastSent returns when WhatsApp last accepted a message to the person, or zero.
	LastSent(ctx context.Context, senderID, id string) (time.Time, error)
	// MessagesByID returns the known messages with these IDs, in no order.
	MessagesByID(ctx context.Context, ids []uuid.UUID) ([]query.Message, error)
}

// SenderReader reads senders and the depths of their queues.
type SenderReader interface {
	// Senders returns all senders, ordered by ID.
	Senders(ctx context.Context, now time.Time) ([]query.Sender, error)
	// Sender returns one sender, or false if the read model has no sender with that ID.
	Sender(ctx context.Context, id string, now time.Time) (query.Sender, bool, error)
	// QueueDepths returns the queue depth of each sender. It can leave out a sender whose
	// queue is empty.
	QueueDepths(ctx context.Context, now time.Time, ids []string) (map[string]query.QueueDepth, error)
}

// TemplateReader reads message templates.
type TemplateReader interface {
	// Templates returns a page of templates, after a place if that is not nil.
	Templates(ctx context.Context, f query.TemplateFilter, first int, after *query.TemplatePlace) (query.TemplatePage, error)
	// TemplateQueues counts the open messages of the templates of accounts, of the given
	// senders, or of all if senderIDs is nil.
	TemplateQueues(ctx context.Context, accounts, senderIDs []string) (query.TemplateQueues, error)
}

// LedgerReader reads where all messages are, and how current the read models are.
type LedgerReader interface {
	// Ledger returns the ledger of one sender, or of all senders if senderID is nil.
	Ledger(ctx context.Context, senderID *string, now time.Time) (query.Ledger, error)
	// ReadModel returns the position and the lag of the read models.
	ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error)
	// ParkedStreams returns the streams that the read models leave out.
	ParkedStreams(ctx context.Context) ([]query.ParkedStream, error)
}

// MetricsReader reads metrics.
type MetricsReader interface {
	// Metrics returns the metrics of a window that ends now, of one sender, or of all
	// senders if senderID is nil.
	Metrics(ctx context.Context, senderID *string, window time.Duration, now time.Time) (query.Metrics, error)
	// MetricSeries returns the metrics of each step of a time span.
	MetricSeries(ctx context.Context, senderID *string, from, to time.Time, step time.Duration, now time.Time) ([]query.Metrics, error)
	// SenderMetrics returns the metrics of several senders, without their queues.
	SenderMetrics(ctx context.Context, senderIDs []string, window time.Duration, now time.Time) (map[string]query.Metrics, error)
	// Coverage returns how completely the webhooks of all phone numbers were recorded, by phone
	// number ID.
	Coverage(ctx context.Context, now time.Time) (map[string]coverage.Coverage, error)
	// Lanes returns the status of the lanes of all processes.
	Lanes(ctx context.Context) (map[string]query.LaneStatus, error)
	// MessagingLimits returns the state of the messaging limits that are counted, by sender.
	MessagingLimits(ctx context.Context, now time.Time) (map[string]query.MessagingLimit, error)
}

// AlertReader reads alerts and rules.
type AlertReader interface {
	// Alerts returns a page of alerts, most recently changed first.
	Alerts(ctx context.Context, f query.AlertFilter, p query.Page) (query.AlertPage, error)
	// AlertRules returns the current rules.
	AlertRules(ctx context.Context) ([]alert.Rule, error)
	// Silences returns the silences of alerts that have not ended at now, the one that ends first at the top.
	Silences(ctx context.Context, now time.Time) ([]alert.Silence, error)
	// AlertsPosition returns the log position that Alerts has reached.
	AlertsPosition(ctx context.Context) (event.Position, error)
}

// HookDeliveryReader reads the deliveries to outgoing webhooks.
type HookDeliveryReader interface {
	// HookDeliveries returns a page of deliveries, newest first: before the given ID if it
	// is not zero, and only failed deliveries if failed is set.
	HookDeliveries(ctx context.Context, hookID string, failed bool, first int, before int64) (query.HookDeliveryPage, error)
}

// Parts are what New builds the commands and queries from. All are required.
type Parts struct {
	Messages   *command.Messages
	Queue      *command.QueueMessage
	Operations *bulk.Runner
	Erase      *command.EraseRecipient
	Inbound    *inbox.Commands
	Inbox      *inbox.Reader
	OptOuts    *command.SetOptOut
	Senders    *command.Senders
	Campaigns  *repository.Campaigns
	Templates  *command.SyncTemplates
	Keys       *command.Keys
	Hooks      *command.Hooks
	Alerts     *alerts.Alerts
	Audit      *audit.Reader
	Reads      *audit.Reads

	// ReadModel implements the reads that Ledger and HookDeliveries don't.
	ReadModel interface {
		MessageReader
		ConversationReader
		SenderReader
		TemplateReader
		MetricsReader
		AlertReader
	}
	Ledger         LedgerReader
	HookDeliveries HookDeliveryReader
}

// New returns all commands and queries.
func New(p Parts) (Commands, Queries) {
	return Commands{
			QueueMessage: p.Queue.Handle, QueueMessages: p.Queue.HandleMany, CancelMessage: p.Messages.Cancel,
			StartOperation: p.Operations.Start, EraseRecipient: p.Erase.Handle,
			SetOptOut: p.OptOuts.Handle, SyncTemplates: p.Templates.Handle, MarkInboundRead: p.Inbound.MarkRead, OpenInboundFile: p.Inbound.OpenFile,
			RegisterSender: p.Senders.Register, UpdateSender: p.Senders.Update, SetSenderRate: p.Senders.SetRate,
			PauseCampaign: p.Campaigns.Pause, ResumeCampaign: p.Campaigns.Resume, EndCampaignPause: p.Campaigns.ResumePause,
			PauseSender: p.Senders.Pause, ResumeSender: p.Senders.Resume, ResumeLanes: p.Senders.ResumeLanes, LiftRestrictions: p.Senders.LiftRestrictions,
			CreateKey: p.Keys.Create, CreateAccessToken: p.Keys.CreateToken, CreateViewToken: p.Keys.CreateViewToken, RevokeKey: p.Keys.Revoke, RecordRead: p.Reads.Record,
			CreateOutgoingWebhook: p.Hooks.Register, UpdateOutgoingWebhook: p.Hooks.Update, RotateOutgoingWebhookSecret: p.Hooks.Rotate,
			DisableOutgoingWebhook: p.Hooks.Disable, EnableOutgoingWebhook: p.Hooks.Enable, RemoveOutgoingWebhook: p.Hooks.Remove,
			RaiseAlert: p.Alerts.Raise, ResolveAlert: p.Alerts.Resolve, AcknowledgeAlert: p.Alerts.Acknowledge, SetAlertRule: p.Alerts.SetRule,
			StartSilence: p.Alerts.StartSilence, EndSilence: p.Alerts.EndSilence, SetAlertSilence: p.Alerts.SetSilence,
		}, Queries{
			FindMessage: p.Messages.Load, FindMessageAt: p.Messages.LoadAt, ListInbound: p.Inbox.List, FindInbound: p.Inbox.Find, InboundOf: p.Inbox.Of,
			InboundStreamOf: p.Inbox.StreamOf, ReadInbound: p.Inbox.ReadAt, ReadEcho: p.Inbox.ReadEcho, CheckMessages: p.Queue.CheckMany,
			FindOperation: p.Operations.Find, ListOperations: p.Operations.List, AwaitOperation: p.Operations.Wait, FindSender: p.Senders.Load,
			ListCampaignPauses: p.Campaigns.List, CampaignPausesOf: p.Campaigns.Of,
			ListKeys: p.Keys.List, FindKeyName: p.Keys.Name, ListOutgoingWebhooks: p.Hooks.List,
			FindAlertAt: p.Alerts.LoadAt, ListAlertsAfter: p.Alerts.Missing, ReadEvents: p.Audit.Read, PastLedger: p.Audit.Ledger,
			MessageReader: p.ReadModel, ConversationReader: p.ReadModel, SenderReader: p.ReadModel, TemplateReader: p.ReadModel,
			MetricsReader: p.ReadModel, AlertReader: p.ReadModel,
			LedgerReader: p.Ledger, HookDeliveryReader: p.HookDeliveries,
		}
}
