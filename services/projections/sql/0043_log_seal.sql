-- The monitor seals the log.
grant es_seal to bolt_monitor;
