//! A client that sends exactly the header fields it is told to, over a connection for each request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

pub(crate) struct Client {
    address: SocketAddr,
    /// The secret part of every token that has been given out: no answer may show one elsewhere.
    secrets: Mutex<Vec<String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, secrets: Mutex::default() }
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &[u8])],
        body: &str,
    ) -> Reply {
        self.try_send(method, path, fields, body).expect("an answer")
    }

    /// `None` if the server hangs up without an answer.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &[u8])],
        body: &str,
    ) -> Option<Reply> {
        let mut request = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        let length = body.len().to_string();
        let own: [(&str, &[u8]); 3] = [
            ("host", b"localhost"),
            ("connection", b"close"),
            ("content-length", length.as_bytes()),
        ];
        // An empty cookie stands for none; what is to be sent empty says so with a space.
        for (name, value) in own.iter().chain(fields).filter(|(_, value)| !value.is_empty()) {
            request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        request.extend([b"\r\n", body.as_bytes()].concat());
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(&request).unwrap();
        let mut answer = Vec::new();
        // A server that refuses a request early may reset the connection after its answer.
        let _ = stream.read_to_end(&mut answer);
        let reply = Reply::parse(&String::from_utf8(answer).unwrap())?;
        self.look_for_secrets(&reply);
        Some(reply)
    }

    fn look_for_secrets(&self, reply: &Reply) {
        let mut secrets = self.secrets.lock().unwrap();
        for (_, token) in reply.cookies().filter_map(|pair| pair.split_once("ses1_")) {
            secrets.push(token[22..].to_owned());
        }
        for secret in secrets.iter() {
            assert!(!reply.body.contains(secret), "{reply:?}");
            for (name, value) in reply.headers.iter().filter(|(name, _)| name != "set-cookie") {
                assert!(!value.contains(secret), "{name}: {value}");
            }
        }
    }
}

impl Reply {
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Some(Self { status, headers, body: body.to_owned() })
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(field, _)| field == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// The pairs of every `Set-Cookie`.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &str> {
        let fields = self.headers.iter().filter(|(field, _)| field == "set-cookie");
        fields.filter_map(|(_, value)| value.split(';').next())
    }

    /// Everything but the date: what one kind of dead token could be told from another by.
    pub(crate) fn without_date(&self) -> Self {
        let mut same = self.clone();
        same.headers.retain(|(name, _)| name != "date");
        same
    }

    pub(crate) fn is_kept_out_of_caches(&self) -> bool {
        self.all("cache-control") == ["no-store"] && self.all("vary").contains(&"cookie")
    }
}

impl PartialEq for Reply {
    fn eq(&self, other: &Self) -> bool {
        (self.status, &self.headers, &self.body) == (other.status, &other.headers, &other.body)
    }
}
