//! The kit can fail: each store here breaks one clause, and a named case says so.
#![cfg(feature = "conformance")]

mod broken;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use broken::{Broken, Defect};
use session_core::conformance::{CASES, Case, Harness};
use session_core::{MemoryStore, SessionStore};

const EXPECTED: [(Defect, &str); 25] = [
    (Defect::BlindReplace, "engine.a_revocation_holds_in_every_order"),
    (Defect::BlindReplace, "records.a_stale_version_changes_nothing"),
    (Defect::CursorNeverExpires, "events.a_cursor_before_a_purge_has_expired"),
    (Defect::CursorSkips, "scans.a_list_is_in_order_of_ids"),
    (Defect::DamageBlocksScans, "corruption.a_corrupt_record_blocks_no_scan"),
    (Defect::EventsOfConflicts, "events.events_come_with_their_change"),
    (Defect::FenceIsIgnored, "engine.a_limit_holds_in_every_order_of_two_logins"),
    (Defect::FenceIsIgnored, "marks.of_two_changes_on_one_fence_one_wins"),
    (Defect::FenceIsNotMoved, "marks.each_write_moves_the_version"),
    (Defect::ForgetsChanges, "retries.a_replacement_is_applied_once"),
    (Defect::IdleEndIsBlind, "touches.an_idle_end_decided_on_old_activity_is_moved"),
    (Defect::LastRaise, "marks.a_raise_comes_back_with_older_records"),
    (Defect::ListForgetsRealm, "isolation.scans_keep_to_their_realm"),
    (Defect::NoFloor, "retention.an_erasure_leaves_a_floor"),
    (Defect::PurgeRemovesLive, "retention.a_purge_removes_old_tombstones_only"),
    (Defect::ReadsAClock, "retention.a_purge_removes_old_tombstones_only"),
    (Defect::ReplaceForgetsTouches, "touches.a_replacement_never_lowers_the_last_activity"),
    (Defect::ResurrectingInsert, "records.an_insert_never_replaces_a_tombstone"),
    (Defect::SilentInsert, "races.of_many_inserts_of_one_id_one_wins"),
    (Defect::SilentInsert, "records.an_insert_never_overwrites"),
    (Defect::StaleLoad, "data.a_replacement_keeps_sets_and_drops"),
    (Defect::TornChange, "cancellation.a_dropped_commit_is_whole"),
    (Defect::TornChange, "records.a_change_is_whole"),
    (Defect::TouchGoesBack, "touches.a_touch_never_goes_back"),
    (Defect::TouchMovesVersion, "touches.a_touch_moves_nothing_else"),
];

#[test]
fn each_defect_is_found_by_the_case_that_names_it() {
    for (defect, name) in EXPECTED {
        assert!(fails(case(name), Some(defect)), "{defect:?} is not found by {name}");
    }
    let name = "records.a_replacement_never_creates";
    assert!(fails(case(name), Some(Defect::UpsertingReplace)), "an upsert is not found");
}

/// So that what is found above is the defect, and not the wrapper that it is made by.
#[test]
fn the_same_store_without_a_defect_passes() {
    for case in CASES {
        case.run(&harness(None));
    }
}

#[test]
fn a_store_that_says_nothing_of_damage_fails() {
    let case = case("corruption.a_load_of_a_corrupt_record_is_an_error");
    let harness = Harness::new(MemoryStore::new());
    assert!(catch_unwind(AssertUnwindSafe(|| case.run(&harness))).is_err());
}

fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name() == name).expect("a case has this name")
}

fn fails(case: &Case, defect: Option<Defect>) -> bool {
    let harness = harness(defect);
    catch_unwind(AssertUnwindSafe(|| case.run(&harness))).is_err()
}

fn harness(defect: Option<Defect>) -> Harness {
    let store = Arc::new(Broken::new(defect));
    let damaged = Arc::clone(&store);
    Harness::from(store as Arc<dyn SessionStore>).corruptible(move |realm, id| {
        damaged.damage(realm, id);
        async {}
    })
}

#[test]
fn a_case_that_is_written_is_listed() {
    let sources = [
        ("agreement", include_str!("../src/conformance/agreement.rs")),
        ("batches", include_str!("../src/conformance/batches.rs")),
        ("cancellation", include_str!("../src/conformance/cancellation.rs")),
        ("corruption", include_str!("../src/conformance/corruption.rs")),
        ("cursors", include_str!("../src/conformance/cursors.rs")),
        ("data", include_str!("../src/conformance/data.rs")),
        ("engine", include_str!("../src/conformance/engine.rs")),
        ("events", include_str!("../src/conformance/events.rs")),
        ("isolation", include_str!("../src/conformance/isolation.rs")),
        ("management", include_str!("../src/conformance/management.rs")),
        ("marks", include_str!("../src/conformance/marks.rs")),
        ("notes", include_str!("../src/conformance/notes.rs")),
        ("races", include_str!("../src/conformance/races.rs")),
        ("records", include_str!("../src/conformance/records.rs")),
        ("retention", include_str!("../src/conformance/retention.rs")),
        ("retries", include_str!("../src/conformance/retries.rs")),
        ("scans", include_str!("../src/conformance/scans.rs")),
        ("secrets", include_str!("../src/conformance/secrets.rs")),
        ("touches", include_str!("../src/conformance/touches.rs")),
    ];
    let listed: Vec<String> = CASES.iter().map(Case::name).collect();
    let mut written = 0;
    for (group, source) in sources {
        for line in source.lines() {
            let Some(name) = line.strip_prefix("pub async fn ") else { continue };
            let (name, _) = name.split_once('(').expect("a function");
            assert!(listed.contains(&format!("{group}.{name}")), "{group}.{name} is not listed");
            written += 1;
        }
    }
    assert_eq!(written, listed.len());
}
