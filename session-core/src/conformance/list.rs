//! All cases, and how one is run.

use super::bed::Bed;
use super::harness::{BoxFuture, Harness};
use crate::Timestamp;

/// A case of the kit.
///
/// ```
/// use session_core::conformance::CASES;
///
/// assert!(CASES.iter().any(|case| case.name() == "records.an_insert_never_overwrites"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Case {
    group: &'static str,
    name: &'static str,
    body: for<'a> fn(&'a Bed) -> BoxFuture<'a, ()>,
}

impl Case {
    /// Its subject and its name.
    pub fn name(&self) -> String {
        format!("{}.{}", self.group, self.name)
    }

    /// Runs the case at every era, each time in a realm of its own.
    ///
    /// # Panics
    /// The store breaks a clause of its contract.
    pub fn run(&self, harness: &Harness) {
        for (era, base) in ERAS {
            // A realm's name is short, a case's is not.
            let bed = Bed::new(harness, &realm_name(self.group, self.name, era), base);
            harness.runner.block_on(Box::pin(async {
                (self.body)(&bed).await;
            }));
        }
    }
}

/// One minute into 1970, so that some instants are before it; in 2030; and at the end of the year 9999, so that
/// some are after it.
const ERAS: [(&str, Timestamp); 3] = [
    ("1970", Timestamp::from_millis(60_000)),
    ("2030", Timestamp::from_millis(1_893_456_000_123)),
    ("9999", Timestamp::from_millis(253_402_300_799_000)),
];

fn realm_name(group: &str, name: &str, era: &str) -> String {
    let room = 60 - group.len() - era.len() - 2;
    format!("{group}.{}.{era}", &name[..name.len().min(room)])
}

/// Runs the case of this name: what the tests of [`conformance!`](crate::conformance!) do.
///
/// # Panics
/// There is no such case, or the store breaks a clause of its contract.
///
/// ```
/// use session_core::MemoryStore;
/// use session_core::conformance::{Harness, run};
///
/// run("records", "an_insert_is_found", &Harness::new(MemoryStore::new()));
/// ```
pub fn run(group: &str, name: &str, harness: &Harness) {
    let case = CASES.iter().find(|case| case.group == group && case.name == name);
    case.expect("a case has this name").run(harness);
}

/// Hands the names of all cases to another macro, after what that is to be told besides.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ($($then:tt)*) => {
        $($then)* {
            agreement {
                every_trace_is_answered_as_by_the_reference
            }
            batches {
                each_change_has_its_own_outcome
                later_changes_see_earlier_ones
                a_batch_is_applied_once
                a_batch_may_be_of_any_size
            }
            cancellation {
                a_dropped_commit_is_whole
                a_store_goes_on_after_dropped_calls
            }
            corruption {
                a_load_of_a_corrupt_record_is_an_error
                a_corrupt_record_blocks_no_scan
                a_corrupt_record_stops_no_revocation
                a_corrupt_record_stops_no_sweep
            }
            cursors {
                hostile_cursors_harm_nothing
            }
            data {
                a_replacement_keeps_sets_and_drops
                large_data_comes_back
                hostile_data_comes_back
                scans_carry_no_data
            }
            engine {
                a_limit_that_evicts_holds_under_parallel_logins
                a_limit_that_refuses_holds_under_parallel_logins
                a_limit_holds_in_every_order_of_two_logins
                a_login_older_than_a_revocation_is_refused
                a_revocation_holds_in_every_order
                all_but_the_current_leaves_exactly_that_one
                sweepers_end_what_is_idle_and_nothing_else
                parallel_edits_are_all_kept
                data_over_the_limit_is_refused
            }
            events {
                every_field_comes_back
                events_come_with_their_change
                events_come_in_order
                looking_back_comes_to_an_end
                a_query_finds_what_it_asks
                a_reader_follows_along
                a_filtered_reader_follows_along
                a_reader_misses_nothing_under_concurrent_commits
                a_cursor_before_a_purge_has_expired
                an_erasure_expires_no_cursor
            }
            isolation {
                loads_keep_to_their_realm
                commits_keep_to_their_realm
                touches_keep_to_their_realm
                scans_keep_to_their_realm
                events_keep_to_their_realm
                removals_keep_to_their_realm
                subjects_are_compared_byte_for_byte
            }
            management {
                a_stricter_policy_acts_at_once_and_a_looser_one_on_new_sessions
                groups_limit_by_the_strictest
                one_at_a_time_tells_the_other_and_machines_evict_nobody
                a_refused_login_is_told_and_ends_nothing
                a_disabled_account_has_no_session_left
                everyone_is_signed_out_by_one_change
                a_changed_role_ends_sessions_for_its_own_reason
                only_a_proof_is_recent_and_only_a_sign_in_moves_the_deadline
                each_step_is_told_with_its_actor_and_its_instants
            }
            marks {
                an_unwritten_mark_is_zero
                each_write_moves_the_version
                a_stale_fence_writes_nothing
                of_two_changes_on_one_fence_one_wins
                a_raise_comes_back_with_older_records
                only_the_last_raises_are_kept
                a_restamped_record_is_kept
                marks_reach_whom_they_should
                stamps_are_kept
                a_stale_write_of_a_mark_is_fenced
            }
            notes {
                a_note_comes_with_the_edit_that_it_tells_of
                parallel_edits_are_told_once_each
            }
            races {
                of_many_inserts_of_one_id_one_wins
                of_many_replacements_of_one_version_one_wins
                no_update_is_lost
                a_fence_lets_in_one_at_a_time
                an_unwritten_mark_is_a_fence
                a_raise_catches_every_insert_before_it
                a_load_is_of_one_instant
                changes_in_opposite_orders_go_through
                two_sweepers_end_each_session_once
            }
            records {
                an_insert_is_found
                unknown_ids_are_nothing
                every_field_comes_back
                durations_are_kept_in_milliseconds
                an_insert_never_overwrites
                an_insert_never_replaces_a_tombstone
                a_replacement_never_creates
                a_stale_version_changes_nothing
                an_end_is_not_undone
                a_change_is_whole
                several_conflicts_give_one_of_them
                a_change_of_several_parts_is_applied
                an_empty_change_is_applied
                a_replacement_moves_the_indexes
            }
            retention {
                a_purge_removes_old_tombstones_only
                a_purge_removes_old_events_only
                a_purge_keeps_its_limit
                an_erasure_keeps_to_its_subject
                an_erasure_keeps_its_limit
                an_erasure_leaves_a_floor
                a_mark_is_kept_while_anything_is_left
                an_erasure_leaves_the_realms_mark
            }
            retries {
                an_insert_is_applied_once
                a_touch_does_not_hide_a_change
                a_replacement_is_applied_once
                a_raise_is_applied_once
                one_row_is_enough_to_know_a_change
                a_change_whose_rows_moved_on_is_a_conflict
                another_change_is_another
                a_conflict_leaves_no_trace
            }
            scans {
                a_list_is_in_order_of_ids
                a_list_keeps_to_its_query
                paging_is_exact_while_others_write
                the_due_come_in_order
                a_touched_session_is_still_due
                a_reschedule_moves_no_version
                sessions_below_an_epoch_are_found
                settled_marks_are_passed_over
                the_greatest_limit_is_one
            }
            secrets {
                parallel_requests_mint_one_successor
                a_replaced_secret_is_good_for_a_grace_and_then_ends_the_session
                a_lost_successor_is_sent_again
                a_stamp_ends_all_but_the_kept_one
                no_login_outlives_a_stamp_that_it_raced
                a_step_up_replaces_the_secret_at_once
                a_scope_lives_by_its_own_timeout
                an_erasure_leaves_nothing_and_an_export_leaves_nothing_out
            }
            touches {
                a_touch_moves_nothing_else
                a_touch_keeps_its_bounds
                a_touch_never_goes_back
                a_touch_of_nothing_is_not_live
                slots_are_touched_by_themselves
                an_old_touch_does_not_reach_a_new_entry
                the_touches_of_a_left_scope_are_forgotten
                a_batch_is_answered_in_order
                a_replacement_never_lowers_the_last_activity
                an_idle_end_decided_on_old_activity_is_moved
                sessions_of_subjects_are_touched
            }
        }
    };
}

macro_rules! cases {
    ($($group:ident { $($name:ident)* })*) => {
        /// Every case of the kit.
        pub const CASES: &[Case] = &[$($(
            Case {
                group: stringify!($group),
                name: stringify!($name),
                body: |bed| Box::pin(super::$group::$name(bed)),
            },
        )*)*];
    };
}

__conformance_cases!(cases!);

/// Makes a module of tests, one of each case, of a store of one's own.
///
/// The expression is evaluated for each test and makes the store: a [`Harness`], or an
/// `Arc<dyn SessionStore>`. It may use what is in scope where the macro stands.
///
/// ```
/// # fn main() {}
/// mod tests {
///     use session_core::MemoryStore;
///     use session_core::conformance::Harness;
///
///     session_core::conformance!(
///         memory,
///         Harness::new(MemoryStore::new()).incorruptible("it keeps no bytes, only values")
///     );
/// }
/// ```
///
/// [`Harness`]: crate::conformance::Harness
#[macro_export]
macro_rules! conformance {
    ($module:ident, $store:expr) => {
        #[cfg(test)]
        mod $module {
            #[allow(unused_imports, reason = "the expression may need what is in scope")]
            use super::*;

            fn __conformance_harness() -> $crate::conformance::Harness {
                ::std::convert::Into::into($store)
            }

            $crate::__conformance_cases!($crate::__conformance_tests!);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($($group:ident { $($name:ident)* })*) => {
        $(mod $group {
            $(#[test]
            fn $name() {
                let harness = super::__conformance_harness();
                $crate::conformance::run(stringify!($group), stringify!($name), &harness);
            })*
        })*
    };
}
