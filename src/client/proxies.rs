//! Which address a request came from, where proxies stand in between.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::str::FromStr;

use ipnet::IpNet;

/// Which proxies are believed when they say whom they speak for.
///
/// A proxy appends the address that it was asked from to a header field; whatever stands to the left of what the
/// own proxies have appended was written by anybody. So the field is read from the right, over the own proxies, and the
/// first address that is none of theirs is the client. By default no header is believed, and the address is that of the
/// connection: a guess would let every client choose its own address, or give all of them the proxy's.
///
/// It is written as one line, for an option or a file:
///
/// | text | means |
/// |---|---|
/// | `none` | the connection's address |
/// | `x-forwarded-for hops=1` | one proxy, which appends to `X-Forwarded-For`; nobody reaches the application but through it |
/// | `forwarded networks=10.0.0.0/8,fd00::/8` | any number of proxies in these networks, which append to `Forwarded` (RFC 7239) |
///
/// Where what is needed is missing or cannot be read (`unknown`, a hidden name, too few addresses), the answer is the
/// last address that is known for sure: that of the proxy which handed it on, or of the connection. A connection without an
/// address, such as a Unix socket's, counts as one of `hops`; to `networks` nobody is known behind it.
///
/// ```
/// use session_engine::client::Proxies;
///
/// let proxies: Proxies = "x-forwarded-for networks=10.0.0.0/8".parse().unwrap();
/// let field = b"203.0.113.66, 198.51.100.7, 10.0.0.2".as_slice();
/// let client = proxies.client(Some([10, 0, 0, 1].into()), &[field]);
/// assert_eq!(client, Some([198, 51, 100, 7].into()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Option<Trust>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trust {
    header: ProxyHeader,
    whom: Whom,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whom {
    Hops(NonZeroU8),
    Networks(Vec<IpNet>),
}

/// The header field that the own proxies append to. One of them is chosen: a client sends the other at will.
///
/// ```
/// assert_eq!(session_engine::client::ProxyHeader::Forwarded.name(), "forwarded");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyHeader {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`, which no standard describes, and most proxies write.
    XForwardedFor,
}

impl ProxyHeader {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::XForwardedFor => "x-forwarded-for",
        }
    }
}

impl Proxies {
    /// No proxy is believed.
    pub const fn none() -> Self {
        Self(None)
    }

    /// So many proxies stand in a row before the application, and nobody reaches it, nor any of them, but through all
    /// of them.
    pub const fn hops(header: ProxyHeader, hops: NonZeroU8) -> Self {
        Self(Some(Trust { header, whom: Whom::Hops(hops) }))
    }

    /// The proxies have addresses in these networks, and nobody else has.
    pub fn networks(header: ProxyHeader, networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(Some(Trust { header, whom: Whom::Networks(networks.into_iter().collect()) }))
    }

    /// The header field that is read, if any.
    pub fn header(&self) -> Option<ProxyHeader> {
        self.0.as_ref().map(|trust| trust.header)
    }

    /// The address of the client: `peer` is the other end of the connection, `fields` are the values of the
    /// [header](Proxies::header), in the order in which they came.
    pub fn client(&self, peer: Option<IpAddr>, fields: &[&[u8]]) -> Option<IpAddr> {
        let peer = peer.map(|peer| peer.to_canonical());
        let Some(Trust { header, whom }) = &self.0 else { return peer };
        // From the nearest proxy to the farthest: what stands to the left was there before.
        let mut nodes = fields.iter().rev().flat_map(|field| header.nodes(field).into_iter().rev());
        match whom {
            Whom::Hops(hops) => {
                let mut sure = peer;
                for _ in 0..hops.get() {
                    match nodes.next() {
                        Some(Some(node)) => sure = Some(node),
                        // What it says it was asked by is nothing: then it is who asked.
                        Some(None) => return sure,
                        // Fewer have handed it on than there should be: it came past some of them.
                        None => return peer,
                    }
                }
                sure
            }
            Whom::Networks(networks) => {
                let own =
                    |address: &IpAddr| networks.iter().any(|network| network.contains(address));
                let mut sure = peer?;
                while own(&sure) {
                    match nodes.next() {
                        Some(Some(node)) => sure = node,
                        Some(None) | None => break,
                    }
                }
                Some(sure)
            }
        }
    }
}

impl ProxyHeader {
    /// The addresses that a field names, from left to right; `None` for each that is hidden, unknown or no address.
    fn nodes(self, field: &[u8]) -> Vec<Option<IpAddr>> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        match self {
            Self::XForwardedFor => {
                let nodes = field.split(|byte| *byte == b',');
                nodes.map(|node| text(node).and_then(|node| address(node.trim()))).collect()
            }
            Self::Forwarded => match text(field).and_then(elements) {
                Some(all) => all.iter().map(|one| forwarded_for(one)).collect(),
                None => vec![None],
            },
        }
    }
}

/// The elements of a `Forwarded` field, each a list of pairs; `None` if it is not written as RFC 7239, 4 says.
fn elements(field: &str) -> Option<Vec<Vec<(String, String)>>> {
    let mut rest = field.trim();
    let mut all = vec![Vec::new()];
    while !rest.is_empty() {
        // An element may be empty (RFC 9110, 5.6.1.2), and so may a pair.
        if let Some(after) = rest.strip_prefix(',') {
            all.push(Vec::new());
            rest = after.trim_start();
            continue;
        }
        if let Some(after) = rest.strip_prefix(';') {
            rest = after.trim_start();
            continue;
        }
        let (name, after) = rest.split_once('=')?;
        let is_quoted = after.starts_with('"');
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find([',', ';']).unwrap_or(after.len());
                (after[..end].trim_end().to_owned(), &after[end..])
            }
        };
        let is_token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
        };
        if !is_token(name) || (!is_quoted && !is_token(&value)) {
            return None;
        }
        all.last_mut()?.push((name.to_ascii_lowercase(), value));
        rest = after.trim_start();
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            return None;
        }
    }
    all.retain(|pairs| !pairs.is_empty());
    Some(all)
}

/// The text up to the closing quote, and what follows that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// The node that an element of `Forwarded` stands for.
fn forwarded_for(pairs: &[(String, String)]) -> Option<IpAddr> {
    let mut nodes = pairs.iter().filter(|(name, _)| name == "for");
    match (nodes.next(), nodes.next()) {
        (Some((_, node)), None) => address(node),
        _ => None,
    }
}

/// An address, with or without a port: `192.0.2.7`, `192.0.2.7:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let is_port = |port: &str| {
        port.strip_prefix(':').is_some_and(|port| {
            !port.is_empty() && port.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    };
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return (port.is_empty() || is_port(port)).then(|| IpAddr::from(address).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let colon = text.find(':')?;
    let (address, port) = text.split_at(colon);
    is_port(port).then(|| address.parse::<Ipv4Addr>().ok().map(IpAddr::from)).flatten()
}

impl FromStr for Proxies {
    type Err = ProxiesError;

    fn from_str(text: &str) -> Result<Self, ProxiesError> {
        let mut words = text.split_whitespace();
        let header = match words.next() {
            Some("none") if words.clone().next().is_none() => return Ok(Self::none()),
            Some(name) if name.eq_ignore_ascii_case("forwarded") => ProxyHeader::Forwarded,
            Some(name) if name.eq_ignore_ascii_case("x-forwarded-for") => {
                ProxyHeader::XForwardedFor
            }
            _ => return Err(ProxiesError::Form),
        };
        let (Some(trust), None) = (words.next(), words.next()) else {
            return Err(ProxiesError::Form);
        };
        if let Some(hops) = trust.strip_prefix("hops=") {
            let hops =
                hops.parse().map_err(|_| ProxiesError::Hops(hops.chars().take(32).collect()))?;
            return Ok(Self::hops(header, hops));
        }
        let networks = trust.strip_prefix("networks=").ok_or(ProxiesError::Form)?;
        let networks: Result<Vec<_>, _> = networks.split(',').map(network).collect();
        Ok(Self::networks(header, networks?))
    }
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, ProxiesError> {
    let single = || text.parse::<IpAddr>().map(IpNet::from).ok();
    let shown = || text.chars().take(64).collect();
    let network = text.parse::<IpNet>().ok().or_else(single);
    match network.ok_or_else(|| ProxiesError::Network(shown()))? {
        network if network.prefix_len() == 0 => Err(ProxiesError::Everybody),
        // No address would be in it: they are all taken for what they are.
        IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some() => {
            Err(ProxiesError::Mapped(shown()))
        }
        network => Ok(network),
    }
}

/// As it is read again.
impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Trust { header, whom }) = &self.0 else { return f.write_str("none") };
        match whom {
            Whom::Hops(hops) => write!(f, "{} hops={hops}", header.name()),
            Whom::Networks(networks) => {
                let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
                write!(f, "{} networks={}", header.name(), networks.join(","))
            }
        }
    }
}

/// A text does not say which proxies are believed.
///
/// ```
/// use session_engine::client::Proxies;
///
/// let error = "x-forwarded-for networks=10.0.0.0/33".parse::<Proxies>().unwrap_err();
/// assert_eq!(error.to_string(), "\"10.0.0.0/33\" is no network such as 10.0.0.0/8 and no address");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxiesError {
    /// It is none of the forms that there are.
    #[error(
        "proxies are told as none, or by their header (forwarded or x-forwarded-for) and by hops=NUMBER or \
         networks=NETWORK,NETWORK"
    )]
    Form,
    /// The number of hops is none.
    #[error("{0:?} is no number of proxies, which is from 1 to 255")]
    Hops(String),
    /// A network is none.
    #[error("{0:?} is no network such as 10.0.0.0/8 and no address")]
    Network(String),
    /// A network is everybody's: every client would choose its address.
    #[error("a network of all addresses holds more than the own proxies")]
    Everybody,
    /// A network of IPv4 is written as one of IPv6.
    #[error("{0:?} is a network of IPv4: write it as one")]
    Mapped(String),
}

#[cfg(test)]
mod tests;
