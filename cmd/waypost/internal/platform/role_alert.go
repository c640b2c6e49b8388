package platform

import (
	"github.com/waypost/waypost/adapters/datadir"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/ports/alerting"
)

// evaluateAlerts is the role alert: it evaluates the alert rules and sends notifications.
func (c *core) evaluateAlerts(hooks *command.Hooks) (*alerts.Alerts, error) {
	raised := alerts.New(c.stores.Log, c.now, NewID)
	if !c.settings.has(roleAlert) {
		return raised, nil
	}
	reader := alerting.NewFactsReader(alerting.FactsOptions{
		ReadModel: c.model, Lag: c.lag, Hooks: hooks, Shorter: c.stores.Log.Shorter,
		DiskUsed: func() float64 { return datadir.DiskUsed(c.settings.DataDir) },
	})
	c.parts.run("alerts", alerting.New(alerting.Options{
		Reader: reader, Alerts: raised, LeaderLeases: c.leases, Process: NewID(), Clock: c.now, Logger: c.log, Readings: &c.readings,
	}).Run)
	return raised, c.notify(raised)
}
