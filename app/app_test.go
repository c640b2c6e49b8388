package app_test

import (
	"reflect"
	"testing"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/app/bulk"
	"github.com/waypost/waypost/app/command"
)

// deliveries are no deliveries.
type deliveries struct{ app.HookDeliveryReader }

func TestNewLeavesOutNoCommandAndNoQuery(t *testing.T) {
	t.Parallel()
	model := &postgres.ReadModel{}
	commands, queries := app.New(app.Parts{
		Messages: &command.Messages{}, Queue: &command.QueueMessage{}, Operations: &bulk.Runner{}, Erase: &command.EraseRecipient{},
		Senders: &command.Senders{}, Templates: &command.SyncTemplates{}, Keys: &command.Keys{}, Hooks: &command.Hooks{}, Alerts: &alerts.Alerts{},
		Audit: &audit.Reader{}, Reads: &audit.Reads{}, ReadModel: model, Ledger: model, HookDeliveries: deliveries{},
	})
	for _, side := range []reflect.Value{reflect.ValueOf(commands), reflect.ValueOf(queries)} {
		for i := range side.NumField() {
			if side.Field(i).IsNil() {
				t.Errorf("New does not set %s.%s", side.Type(), side.Type().Field(i).Name)
			}
		}
	}
}
