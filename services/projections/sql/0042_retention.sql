-- The monitor archives old events, deletes the archive's oldest, and drops old pulses.
grant es_archive to bolt_monitor;
