//! A proxy on loopback that counts round trips.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::Failure;

/// Stands before a server.
///
/// A round trip begins when a client speaks first on its connection, or speaks again after the server has. What it
/// sends in one go, however much that is, counts once.
#[derive(Debug)]
pub(crate) struct Proxy {
    url: String,
    round_trips: Arc<AtomicU64>,
}

impl Proxy {
    /// Stands before the server that a URL names by host and port.
    pub(crate) fn before(url: &str) -> Result<Self, Failure> {
        let (before, rest) = url.split_once('@').ok_or("the URL names no user")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (server, rest) = rest.split_at(end);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("{before}@{}{rest}", listener.local_addr()?);
        let round_trips = Arc::new(AtomicU64::new(0));
        let (server, counted) = (server.to_owned(), Arc::clone(&round_trips));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection that cannot be made is one that is closed.
                let _ = join(client, &server, &counted);
            }
        });
        Ok(Self { url, round_trips })
    }

    /// The URL that leads through it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many there have been, over all connections.
    pub(crate) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }
}

fn join(client: TcpStream, server: &str, round_trips: &Arc<AtomicU64>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let asked = Arc::new(AtomicBool::new(false));
    let (asks, answers) = (Arc::clone(&asked), asked);
    let round_trips = Arc::clone(round_trips);
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        pass(from_client, to_server, || {
            if !asks.swap(true, Ordering::SeqCst) {
                round_trips.fetch_add(1, Ordering::SeqCst);
            }
        });
    });
    thread::spawn(move || pass(server, client, || answers.store(false, Ordering::SeqCst)));
    Ok(())
}

/// Passes on what comes, and closes both sides when one is closed.
fn pass(mut from: TcpStream, mut to: TcpStream, seen: impl Fn()) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        seen();
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
