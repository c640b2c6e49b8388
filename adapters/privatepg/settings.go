package privatepg

import (
	"maps"
	"slices"
)

// settings returns the settings that are passed to the server at every start, so that a
// newer version of Waypost brings newer settings. They override postgresql.conf.
//
// The machine is assumed to be small and shared: two cores, which also run Waypost, the
// event store, and often the load.
func settings() map[string]string {
	buffers := buffersFor(UsableMemory())
	return map[string]string{
		// No network. The directory of the socket also has mode 0700.
		"listen_addresses":        "",
		"port":                    "5432", // only names the socket
		"unix_socket_permissions": "0700",

		// Durability. A crash must tear no page and lose no commit: in addition to the
		// read models, which can be rebuilt, the cluster contains waypost_vault (the
		// only copy of the data keys) and waypost_run (leases). So commits wait for the
		// disk unless a connection disables that. The projections do
		// (synchronous_commit=off): rows and position commit together, so if the last
		// half second of both is lost, it is only projected again. They disable it
		// themselves because it is also on by default in an external Postgres.
		"fsync":              "on",
		"full_page_writes":   "on",
		"synchronous_commit": "on",

		// There are no replicas. Minimal WAL also lets a rebuild COPY into the tables
		// that it has just created without logging the rows.
		"wal_level":                       "minimal",
		"max_wal_senders":                 "0",
		"max_logical_replication_workers": "0",
		// The WAL writer touches all WAL buffers as soon as it starts, so the default, 16 MB
		// here, is memory and page faults of an idle platform. With 4 MB,
		// messages cost no additional CPU time at saturation.
		"wal_buffers":                      "4MB",
		"max_wal_size":                     "1GB", // limits the disk space and the recovery time
		"min_wal_size":                     "128MB",
		"checkpoint_timeout":               "15min", // each checkpoint is followed by full-page images; under load, max_wal_size triggers one earlier
		"max_connections":                  "60",
		"shared_buffers":                   megabytes(buffers),
		"effective_cache_size":             megabytes(cachedOfBuffers * buffers),
		"work_mem":                         "8MB",
		"maintenance_work_mem":             "64MB",
		"random_page_cost":                 "1.1", // SSD
		"jit":                              "off", // compiling costs more than these queries
		"max_worker_processes":             "2",
		"max_parallel_workers_per_gather":  "0", // one dashboard query must not use both cores
		"max_parallel_maintenance_workers": "0",

		// The work list is small, and every row in it lives for about a second. With
		// the default check once per minute, there would be 100,000 dead rows for 1,000
		// live ones. A check starts a process for each database, which took 2% of a core
		// every 5 s, also while nothing was sent. The 35,000 dead rows of 30 s at 600
		// messages per second cost a fetch for 20 senders 100 more pages than those of 5 s,
		// because scans mark dead index entries. The threshold keeps tables of a few
		// rows (heartbeats) from being vacuumed at each check. Large tables keep the
		// default of 20%.
		"autovacuum":                   "on",
		"autovacuum_naptime":           "30s",
		"autovacuum_max_workers":       "2",
		"autovacuum_vacuum_threshold":  "1000",
		"autovacuum_analyze_threshold": "1000",
		"autovacuum_vacuum_cost_limit": "1000",
		"autovacuum_work_mem":          "32MB",

		// Statements contain personal data. "log" omits the errors of sessions, which
		// quote values (the session itself receives them), and "terse" the DETAIL
		// lines, which quote the statement of a crashed session.
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

// serverArguments returns the settings as arguments of postgres, own ones and
// overrides, in a fixed order.
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
