//! The agent against real processes and a small server. The test program is also the agent and
//! tracer process that `launch` starts, which is why it brings its own harness.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod attached;
mod counted;
mod ends;
mod nonsense;
mod outputs;
mod refusals;
mod server;
mod snapshots;
mod wide;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|verb| verb.to_str()) {
        Some("agent-process") => std::process::exit(lr_agent::process::main(args)),
        Some("tracer") => std::process::exit(lr_agent::tracer_main()),
        _ => {}
    }
    macro_rules! trials {
        ($($module:ident :: $name:ident),* $(,)?) => {
            vec![$(Trial::test(stringify!($module::$name), || { $module::$name(); Ok(()) })),*]
        };
    }
    let trials = trials![
        attached::a_log_reaches_the_server_with_its_values,
        attached::threads_and_counts_are_complete,
        attached::what_cannot_be_bound_is_an_error_with_suggestions,
        attached::an_edit_and_a_removal_are_followed,
        attached::a_function_in_a_library_is_found,
        counted::every_pass_is_counted_in_every_language,
        counted::every_log_in_every_language,
        counted::threads_are_groups_and_conditions,
        counted::what_was_counted_before_the_end_arrives,
        counted::a_limit_of_counted_hits_ends_the_action,
        counted::rows_go_to_a_file_too,
        counted::a_busy_line_is_paused_and_every_hit_accounted_for,
        ends::detaching_puts_every_byte_back,
        ends::a_limit_ends_the_action_exactly,
        ends::sigterm_puts_every_byte_back,
        ends::a_killed_agent_leaves_an_unharmed_target,
        ends::an_exit_is_told_with_its_status,
        ends::an_exec_is_told,
        ends::an_exit_while_nothing_is_planted_is_told,
        ends::a_silent_server_is_not_waited_for,
        nonsense::a_server_that_answers_nonsense_changes_nothing,
        outputs::standard_output_has_every_event_and_the_server_none,
        outputs::a_reader_that_is_stuck_keeps_nobody_waiting,
        outputs::a_reader_that_goes_away_ends_the_action_and_what_is_stored_goes_on,
        outputs::a_full_disk_ends_the_action_with_what_was_lost,
        refusals::nobody_has_that_pid,
        refusals::a_traced_process_names_its_tracer,
        refusals::a_process_that_ignores_sigtrap,
        refusals::a_thirty_two_bit_program,
        refusals::no_server_answers,
        snapshots::a_snapshot_shows_frames_and_values_in_every_language,
        snapshots::snapshots_and_logs_share_a_site,
        snapshots::other_threads_are_read_where_they_sleep,
        snapshots::a_snapshot_without_a_hit_is_removed_without_trace,
        snapshots::a_log_of_a_whole_holds_the_thread_for_it,
        snapshots::threads_come_and_go_while_snapshots_are_taken,
        snapshots::the_target_may_die_while_it_is_read,
        snapshots::a_killed_agent_lets_a_held_thread_on,
        snapshots::a_watch_that_means_nothing_is_refused,
        wide::vectors_of_32_bytes_are_what_the_program_prints,
        wide::vectors_of_64_bytes_are_what_the_program_prints,
    ];
    let mut arguments = Arguments::from_args();
    // Each trial wants the CPUs that there are for itself and its target.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit();
}
