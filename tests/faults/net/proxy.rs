//! A network on loopback that fails as it is told to.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Stands between a client and a server. Dropped, it cuts all that goes through it.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    /// They arrive late.
    Late(Duration),
    /// None goes either way, as in a network that drops packets.
    Hang,
    /// The server hears everything, and the client nothing.
    SwallowAnswers,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Raised to cut every connection there is.
    severed: watch::Sender<u64>,
    passed: [AtomicU64; 2],
    cut: Mutex<Cut>,
}

#[derive(Debug, Default)]
struct Cut {
    /// So many bytes more go this way before the connection that carries them is cut.
    after: Option<(Way, u64)>,
    /// The port, as the server sees it, of the connection that was cut.
    port: Option<u16>,
}

impl Proxy {
    /// Listens for a server.
    pub(crate) async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            mode: watch::Sender::new(Mode::Pass),
            severed: watch::Sender::new(0),
            passed: Default::default(),
            cut: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes have gone a way.
    pub(crate) fn passed(&self, way: Way) -> u64 {
        self.shared.passed[way as usize].load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Cuts, once, the connection that is the first to carry so many bytes this way from now on; at 0, when the
    /// first byte comes, which is not passed on.
    pub(crate) fn cut_after(&self, way: Way, bytes: u64) {
        *self.shared.cut.lock().unwrap() = Cut { after: Some((way, bytes)), port: None };
    }

    /// The port of the connection that was cut, as the server sees it; and cuts no more.
    pub(crate) fn was_cut(&self) -> Option<u16> {
        std::mem::take(&mut *self.shared.cut.lock().unwrap()).port
    }

    /// Cuts every connection there is.
    pub(crate) fn sever(&self) {
        self.shared.severed.send_modify(|severed| *severed += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.sever();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, shared.clone()));
    }
}

/// Carries one connection until either side ends it, or the proxy does.
async fn carry(client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut severed = shared.severed.subscribe();
    let server = TcpStream::connect(shared.server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let port = server.local_addr()?.port();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // What ends drops all four halves, and so both connections.
    tokio::select! {
        ended = shared.pump(Way::ToServer, port, from_client, to_server) => ended,
        ended = shared.pump(Way::ToClient, port, from_server, to_client) => ended,
        _ = severed.changed() => Ok(()),
    }
}

impl Shared {
    async fn pump(
        &self,
        way: Way,
        port: u16,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        let mut buffer = [0; 8_192];
        let mut modes = self.mode.subscribe();
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let waited = modes.wait_for(|mode| *mode != Mode::Hang).await;
            let mode = waited.map_or(Mode::Pass, |mode| *mode);
            match mode {
                Mode::Late(by) => tokio::time::sleep(by).await,
                Mode::SwallowAnswers if way == Way::ToClient => continue,
                _ => {}
            }
            let (pass, cut) = self.count(way, port, read);
            to.write_all(&buffer[..pass]).await?;
            if cut {
                return Ok(());
            }
        }
    }

    /// How many of these bytes go on, and whether the connection is cut then.
    fn count(&self, way: Way, port: u16, bytes: usize) -> (usize, bool) {
        let mut cut = self.cut.lock().unwrap();
        let (pass, cuts) = match cut.after {
            Some((that, left)) if that == way => {
                let bytes = bytes as u64;
                cut.after = (bytes < left).then_some((way, left.saturating_sub(bytes)));
                if cut.after.is_none() {
                    cut.port = Some(port);
                }
                (bytes.min(left), cut.after.is_none())
            }
            _ => (bytes as u64, false),
        };
        self.passed[way as usize].fetch_add(pass, Ordering::SeqCst);
        (usize::try_from(pass).unwrap(), cuts)
    }
}
