package privatepg

import (
	"maps"
	"slices"
)

// settings returns what is given to the server at every start, so that a newer program
// brings newer ones. They beat postgresql.conf.
//
// The machine is taken to be small and shared: two cores, on which the program,
// the event store and often the load run as well.
func settings() map[string]string {
	buffers := buffersFor(usableMemory())
	return map[string]string{
		// No network. The folder of the socket is 0700, too.
		"listen_addresses":        "",
		"port":                    "5432", // only names the socket
		"unix_socket_permissions": "0700",

		// Durability. A crash may tear no page and lose no commit: besides the read
		// models, which can be built again, the cluster holds waypost_vault (the only
		// copy of the data keys) and waypost_run (leases). So commits wait for the disk
		// unless a connection says otherwise. The projections say so
		// (synchronous_commit=off): rows and position commit together, hence losing the
		// last half second of both only projects it again. It is set there, not here,
		// because a Postgres that is given from outside defaults to on as well.
		"fsync":              "on",
		"full_page_writes":   "on",
		"synchronous_commit": "on",

		// Nobody replicates from it. Minimal WAL also lets a rebuild COPY into the
		// tables it has just created without logging the rows.
		"wal_level":                        "minimal",
		"max_wal_senders":                  "0",
		"max_logical_replication_workers":  "0",
		"wal_buffers":                      "16MB", // one WAL segment: a batch of rows seldom waits for a write
		"max_wal_size":                     "1GB",  // bounds the disk taken, and the time to recover
		"min_wal_size":                     "128MB",
		"checkpoint_timeout":               "15min", // each checkpoint is followed by full page images; max_wal_size comes first under load
		"max_connections":                  "60",
		"shared_buffers":                   megabytes(buffers),
		"effective_cache_size":             megabytes(cachedOfBuffers * buffers),
		"work_mem":                         "8MB",
		"maintenance_work_mem":             "64MB",
		"random_page_cost":                 "1.1", // SSD
		"jit":                              "off", // compiling costs more than these queries
		"max_worker_processes":             "2",
		"max_parallel_workers_per_gather":  "0", // one dashboard query must not take both cores
		"max_parallel_maintenance_workers": "0",

		// The work-list is small and every row of it lives for a second or so: looking
		// once a minute, as the default does, leaves 100,000 dead rows for 1,000 live
		// ones. The threshold keeps tables of a few rows (heartbeats) from being
		// vacuumed at each look; large tables keep the default's 20 %.
		"autovacuum":                   "on",
		"autovacuum_naptime":           "5s",
		"autovacuum_max_workers":       "2",
		"autovacuum_vacuum_threshold":  "1000",
		"autovacuum_analyze_threshold": "1000",
		"autovacuum_vacuum_cost_limit": "1000",
		"autovacuum_work_mem":          "32MB",

		// What statements say is personal data. "log" leaves out the errors of
		// sessions, which quote values (the session itself gets them), and "terse" the
		// DETAIL lines, which quote the statement a crashed session ran.
		"log_destination":             "stderr",
		"logging_collector":           "off",
		"log_line_prefix":             "",
		"log_min_messages":            "log",
		"log_min_error_statement":     "panic",
		"log_error_verbosity":         "terse",
		"log_statement":               "none",
		"log_min_duration_statement":  "-1",
		"log_min_duration_sample":     "-1",
		"log_duration":                "off",
		"log_parameter_max_length":    "0",
		"log_checkpoints":             "off",
		"log_autovacuum_min_duration": "-1",
		"log_lock_waits":              "off",

		"cluster_name": "waypost",
		"timezone":     "UTC",
		"log_timezone": "UTC",
	}
}

// serverArguments lists the settings as arguments of postgres, own ones and
// those that go before them, in a fixed order.
func serverArguments(overrides ...map[string]string) []string {
	all := settings()
	for _, o := range overrides {
		maps.Copy(all, o)
	}
	var args []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}
