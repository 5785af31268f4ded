//! What operations ask of a store's backend: round trips to a server, syncs of a disk.
//!
//! `cargo xtask stores` runs it. A server is given by its URL: its round trips are counted here, by a proxy, and its
//! syncs by itself. For a store on a disk somebody else counts: each operation is announced by a look at a file that is
//! not there, which a tracer of system calls sees.

mod operations;
mod proxy;
mod server;

use std::fs;

use serde_json::{Value, json};

use operations::{OPERATIONS, Operation, World};
use proxy::Proxy;
use server::Server;

/// Whatever went wrong, for a person to read.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    // Cargo says `--bench` to every benchmark, and nothing when it only tests that they run.
    let url = std::env::args().skip(1).find(|given| given != "--bench");
    let url = url.as_deref().unwrap_or("memory:");
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build()?.block_on(async {
        if url.starts_with("postgres:") { of_a_server(url).await } else { announced(url).await }
    })
}

async fn announced(url: &str) -> Result<(), Failure> {
    let mut world = World::new(session_engine::open(url).await?);
    for operation in OPERATIONS {
        operation.prepare(&mut world).await?;
        announce("begin", operation);
        operation.run(&mut world).await?;
        announce("end", operation);
        tell(operation, &json!({}));
    }
    Ok(())
}

fn announce(what: &str, operation: Operation) {
    // It is not there: all that counts is that it was asked for.
    let _ = fs::metadata(format!("costs:{what}:{}", operation.name()));
}

async fn of_a_server(url: &str) -> Result<(), Failure> {
    let proxy = Proxy::before(url)?;
    let server = Server::connect(url).await?;
    let mut world = World::new(session_engine::open(proxy.url()).await?);
    for operation in OPERATIONS {
        operation.prepare(&mut world).await?;
        // A connection prepares its statements when it first uses them: that is not counted.
        operation.run(&mut world).await?;
        operation.prepare(&mut world).await?;
        let before = proxy.round_trips();
        operation.run(&mut world).await?;
        let round_trips = proxy.round_trips() - before;

        operation.prepare(&mut world).await?;
        world.reopen(session_engine::open("memory:").await?);
        let before = server.syncs().await?;
        world.reopen(session_engine::open(proxy.url()).await?);
        operation.run(&mut world).await?;
        world.reopen(session_engine::open("memory:").await?);
        let syncs = server.syncs().await? - before;
        world.reopen(session_engine::open(proxy.url()).await?);
        tell(operation, &json!({ "round_trips": round_trips, "syncs": syncs }));
    }
    Ok(())
}

fn tell(operation: Operation, counted: &Value) {
    let (name, times) = (operation.name(), operation.times());
    println!("{}", json!({ "operation": name, "times": times, "counted": counted }));
}
