//! A cluster comes up, goes down in every way, and leaves nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::net::TcpStream;

use postgres_cluster::{Cluster, Error, Mode, Options};

fn listens(cluster: &Cluster) -> bool {
    TcpStream::connect(("127.0.0.1", cluster.port())).is_ok()
}

#[test]
fn it_comes_back_after_every_way_of_going_down() {
    let mut cluster = Options::default().without_fsync().start().unwrap();
    let (url, directory) = (cluster.url(), cluster.directory().to_owned());
    assert!(listens(&cluster));
    let database = cluster.database("second").unwrap();
    assert!(database.ends_with("/second"));
    assert!(matches!(cluster.database("second").unwrap_err(), Error::Failed { .. }));
    for mode in [Some(Mode::Fast), Some(Mode::Immediate), None] {
        match mode {
            Some(mode) => cluster.stop(mode).unwrap(),
            None => cluster.kill().unwrap(),
        }
        assert!(!listens(&cluster));
        // Stopping what does not run is no error.
        cluster.stop(Mode::Fast).unwrap();
        cluster.start_again().unwrap();
        assert!(listens(&cluster));
        assert_eq!(cluster.url(), url);
    }
    let password = url.split([':', '@']).nth(2).unwrap().to_owned();
    assert!(!format!("{cluster:?}").contains(&password));
    drop(cluster);
    assert!(!directory.exists());
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let error = Options::default().setting("shared_buffers=none").start().unwrap_err();
    assert!(error.to_string().contains("shared_buffers"), "{error}");
}
