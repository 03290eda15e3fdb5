//! The tracer against real processes. The test program is also the `lr tracer` that the handle
//! starts, which is why it brings its own harness.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod asleep;
mod cores;
mod costs;
mod counts;
mod crowds;
mod endings;
mod faults;
mod holds;
mod image;
mod in_place;
mod kills;
mod lives;
mod pages;
mod privilege;
mod refusals;
mod remaps;
mod signals;
mod tallies;
mod walls;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, verb, _, pid] = arguments.as_slice()
        && verb == "tracer"
    {
        lr_tracer::tracer_main(pid.parse().expect("a pid")).expect("the tracer runs");
        return;
    }
    macro_rules! trials {
        ($($module:ident :: $name:ident),* $(,)?) => {
            vec![$(Trial::test(stringify!($module::$name), || { $module::$name(); Ok(()) })),*]
        };
    }
    let trials = trials![
        asleep::no_call_returns_because_of_us,
        cores::a_core_has_none_of_our_bytes,
        cores::a_childs_core_has_none_either_and_its_parent_is_watched_on,
        costs::one_thread_that_is_emulated,
        costs::one_thread_that_is_stepped,
        costs::one_thread_that_does_other_things,
        costs::threads_that_wait_in_line,
        counts::every_instruction_of_a_function_at_once,
        counts::every_instruction_of_an_optimised_function,
        counts::atomic_updates_stay_atomic,
        counts::an_int3_inside_an_instruction_is_no_breakpoint,
        counts::a_limit_is_exact_across_threads,
        counts::conditions_and_fields,
        counts::two_actions_share_a_site,
        counts::a_twin_may_become_a_site,
        counts::a_busy_line_is_paused_and_the_target_lives,
        counts::a_rate_is_kept_and_the_rest_counted,
        crowds::hundreds_of_threads_are_born_and_die_while_we_come_and_go,
        crowds::a_thousand_threads_are_all_counted,
        crowds::an_exec_and_an_attachment_do_not_wait_for_each_other,
        crowds::children_that_share_memory_are_met_at_attach,
        crowds::children_that_share_memory_leave_their_parents_sites,
        crowds::children_that_share_memory_are_let_go,
        crowds::an_exit_among_hits_keeps_its_status,
        crowds::a_site_goes_away_under_those_who_hit_it,
        endings::release_restores_every_byte,
        endings::losing_the_agent_restores_every_byte,
        endings::a_killed_tracers_bytes_are_put_back,
        endings::what_is_not_planted_any_more_is_left_alone,
        endings::an_action_whose_time_is_over_is_unplanted_unasked,
        endings::the_tracer_ends_well_when_told_to,
        endings::an_exit_is_reported,
        endings::a_kill_is_reported,
        endings::an_exec_is_reported,
        endings::a_process_that_is_gone_is_refused,
        faults::a_fault_is_the_targets_own,
        faults::a_return_may_be_stepped,
        holds::a_thread_stands_still_until_it_is_let_on,
        holds::a_thread_goes_on_when_its_time_is_over,
        holds::who_is_late_does_not_let_the_next_hit_on,
        holds::who_share_a_stop_share_its_cost,
        holds::each_hit_of_a_holding_action_is_kept_or_counted,
        holds::a_costly_action_is_let_loose_when_its_line_was_counted,
        holds::losing_the_agent_lets_all_on,
        holds::taking_the_action_away_lets_all_on,
        holds::a_kill_reaches_a_thread_that_stands_still,
        holds::children_are_born_while_a_thread_stands_still,
        holds::an_exec_does_not_wait_for_a_thread_that_stands_still,
        holds::an_exit_does_not_wait_for_a_thread_that_stands_still,
        in_place::each_pass_of_one_thread_is_counted,
        in_place::threads_that_pass_unseen_come_to_no_harm,
        in_place::a_site_goes_away_under_those_who_step_in_it,
        in_place::no_byte_is_left_by_those_who_step_in_place,
        kills::nothing_is_left_of_a_tracer_that_is_killed_at_once,
        kills::a_target_never_lives_on_with_a_wrong_value,
        lives::children_live_on_untraced,
        lives::signals_keep_their_order_under_stepping,
        lives::a_blocked_sigtrap_stays_blocked,
        lives::a_sigtrap_that_is_not_blocked_stays_so,
        lives::a_stopped_process_stays_stopped_and_goes_on,
        lives::a_sent_sigtrap_reaches_its_handler,
        lives::a_process_outlives_its_main_thread,
        lives::births_without_end_do_not_keep_the_tracer,
        lives::children_born_while_leaving_live_on,
        pages::a_page_that_does_not_come_is_unreadable,
        pages::a_thread_that_waits_for_a_page_keeps_nobody_else_waiting,
        pages::a_thread_that_waits_for_a_page_is_let_go,
        privilege::a_program_gains_its_privilege_however_it_is_started,
        refusals::shared_text_is_refused,
        refusals::patched_text_is_refused,
        refusals::a_traced_process_is_refused_by_name,
        remaps::a_site_whose_twin_is_unloaded_is_given_up,
        refusals::text_that_is_in_no_private_file_is_refused,
        refusals::a_uprobe_that_is_there_is_left_alone,
        refusals::a_uprobe_that_comes_after_us_harms_nothing,
        remaps::another_files_int3_is_not_taken_for_ours,
        remaps::another_files_text_is_not_planted_in,
        remaps::a_file_that_is_mapped_again_is_planted_again,
        remaps::many_sites_of_a_file_that_is_mapped_again_are_all_given_up,
        remaps::places_are_refused_one_by_one,
        signals::handlers_run_as_they_would_have,
        signals::breakpoints_of_its_own_are_its_own,
        signals::a_call_goes_on_after_a_stop,
        signals::a_shell_stops_and_continues_its_job,
        tallies::every_hit_is_counted_in_its_group,
        tallies::what_is_more_than_the_groups_is_counted_as_other,
        tallies::nothing_is_counted_twice_or_lost_between_two_looks,
        tallies::a_limit_of_counted_hits_is_exact,
        tallies::what_was_counted_outlives_the_target,
        tallies::a_busy_counter_is_paused_and_loses_nothing_that_it_saw,
        walls::a_confined_process_makes_no_call_for_us,
        walls::a_process_that_is_not_dumpable_is_watched_by_root,
        walls::a_process_in_a_container_is_watched_from_outside,
    ];
    let mut arguments = Arguments::from_args();
    // Each trial wants the CPUs that there are for itself and its target.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit();
}
