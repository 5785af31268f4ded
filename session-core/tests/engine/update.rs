//! Data and secrets of a live session.

use pollster::block_on;
use session_core::{
    Answer, ChangeSet, Data, DataError, DataLimits, EncodedData, Error, EventKind, NewSession,
    Reason,
};

use crate::support::{World, classes, data, minutes, put, text};

#[test]
fn edits_set_and_remove_keys() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    let edit =
        |edits: ChangeSet| block_on(world.sessions.edit(&session, &edits)).unwrap().live().unwrap();
    let after = edit(put("lang", "en").set("zone", "UTC").unwrap());
    assert_eq!(text(&after, "lang").as_deref(), Some("en"));
    let after = edit(ChangeSet::new().remove("lang"));
    assert_eq!((text(&after, "lang"), text(&after, "zone").as_deref()), (None, Some("UTC")));
    assert_eq!(text(&session, "zone"), None, "a handle is a snapshot");
    edit(ChangeSet::new().remove("zone"));
    assert!(world.stored(session.id()).unwrap().data.is_none(), "no data is nothing stored");
    assert!(world.live(&token).data().unwrap().is_empty());
}

#[test]
fn two_handles_edit_different_keys_and_both_stay() {
    let world = World::new();
    let (token, one) = world.active("alice", "browser");
    let other = world.live(&token);
    let _ = block_on(world.sessions.edit(&one, &put("lang", "en"))).unwrap();
    let _ = block_on(world.sessions.edit(&other, &put("zone", "UTC"))).unwrap();
    let _ = block_on(world.sessions.edit(&one, &put("zone", "CET"))).unwrap();
    let session = world.live(&token);
    assert_eq!(text(&session, "lang").as_deref(), Some("en"));
    assert_eq!(text(&session, "zone").as_deref(), Some("CET"), "of one key the later stands");
}

#[test]
fn a_function_sees_what_is_there_and_answers() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    for expected in 1..=3_u32 {
        let (after, count) = block_on(world.sessions.update(&session, |data| {
            let next = data.get::<u32>("count").unwrap().unwrap_or(0) + 1;
            data.set("count", next).unwrap();
            next
        }))
        .unwrap()
        .live()
        .unwrap();
        assert_eq!((count, after.get("count").unwrap()), (expected, Some(expected)));
    }
}

#[test]
fn a_dead_session_is_not_edited() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    world.clock.advance(minutes(30));
    let answer = block_on(world.sessions.update(&session, |_| panic!("nothing to edit"))).unwrap();
    assert!(matches!(answer, Answer::Ended(end) if end.reason == Reason::IdleTimeout));
    let stored = world.stored(session.id()).unwrap();
    assert!(stored.record.end.is_some() && stored.data.is_none());
}

#[test]
fn an_old_secret_edits_nothing() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    let _ = block_on(world.sessions.rotate(&session)).unwrap();
    let answer = block_on(world.sessions.edit(&session, &put("lang", "en"))).unwrap();
    assert!(matches!(answer, Answer::Absent));
    assert!(matches!(block_on(world.sessions.rotate(&session)), Ok(Answer::Absent)));
}

#[test]
fn too_much_data_is_an_error_that_says_how_much() {
    let limits = DataLimits { key: 8, value: 16, total: 40 };
    let world = World::with(classes().data_limits(limits).build().unwrap());
    let (token, session) = world.active("alice", "browser");
    let edit = |edits: &ChangeSet| match block_on(world.sessions.edit(&session, edits)) {
        Err(Error::Data(error)) => error,
        other => panic!("it was taken: {other:?}"),
    };
    let long = edit(&put("123456789", "x"));
    assert!(matches!(long, DataError::KeyTooLong { length: 9, limit: 8, .. }));
    let large = edit(&put("key", "123456789012345"));
    assert!(matches!(large, DataError::ValueTooLarge { length: 17, limit: 16, .. }));
    let total = put("a", "1234567890").set("b", "1234567890").unwrap();
    let total = total.set("c", "1234567890").unwrap();
    assert!(matches!(edit(&total), DataError::TooLarge { limit: 40, .. }));
    assert!(world.live(&token).data().unwrap().is_empty(), "nothing was changed");
    let new = NewSession { data: data(&[("123456789", "x")]), ..NewSession::default() };
    assert!(matches!(block_on(world.sessions.create(new)), Err(Error::Data(_))));
    let with = crate::support::login("browser").data(data(&[("123456789", "x")]));
    let refused = block_on(world.sessions.login(&world.ticket("bob"), with));
    assert!(matches!(refused, Err(Error::Data(_))));
}

#[test]
fn rotating_changes_the_secret_and_nothing_else() {
    let world = World::new();
    let (old, session) = world.active("alice", "browser");
    let _ = block_on(world.sessions.edit(&session, &put("note", "kept"))).unwrap();
    let before = world.stored(session.id()).unwrap();
    world.clock.advance(minutes(10));
    let issued = block_on(world.sessions.rotate(&session)).unwrap().live().unwrap();
    let after = world.stored(session.id()).unwrap();
    assert_ne!(before.record.secret, after.record.secret);
    let same = session_core::Record {
        secret: before.record.secret,
        rotation: before.record.rotation.clone(),
        ..after.record.clone()
    };
    assert_eq!(same, before.record);
    assert_eq!(after.data, before.data);
    assert_eq!(text(&issued.session, "note").as_deref(), Some("kept"));
    assert!(matches!(world.resume(&old), Answer::Absent), "not reuse: it was forgotten");
    let session = world.live(&issued.token);
    let again = block_on(world.sessions.rotate(&session)).unwrap().live().unwrap();
    assert!(matches!(world.resume(&issued.token), Answer::Absent));
    assert!(world.is_live(&again.token));
    let rotations =
        world.kinds(session.id()).into_iter().filter(|kind| *kind == EventKind::Rotated);
    assert_eq!(rotations.count(), 2);
}

#[test]
fn what_is_kept_can_be_read_however_deep_it_is() {
    let nested = |levels: usize| {
        let outer =
            (0..levels).fold(serde_json::Value::Null, |inner, _| [inner].into_iter().collect());
        let mut data = Data::default();
        data.set("deep", outer).unwrap();
        data.encode(&DataLimits::default())
    };
    assert!(nested(63).unwrap().decode().is_ok());
    for levels in [64, 127, 500] {
        let error = nested(levels).unwrap_err();
        assert!(matches!(&error, DataError::TooDeep { key, limit: 64 } if key == "deep"));
    }
}

#[test]
fn no_error_tells_what_the_data_holds() {
    let card = "4111 1111 1111 1111";
    let wrong = data(&[("card", card)]).get::<u64>("card").unwrap_err();
    let broken = EncodedData::from_stored(format!("[\"{card}\"]")).decode().unwrap_err();
    for error in [wrong, broken] {
        let source = std::error::Error::source(&error).unwrap();
        let told = format!("{error} {error:?} {source} {source:?}");
        assert!(!told.contains("4111"), "{told}");
    }
}
